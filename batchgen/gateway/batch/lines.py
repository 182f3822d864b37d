"""The output and error files of a batch, read line by line as they come: one answer each, its picture streamed out."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from batchgen.domain.text import one_line
from batchgen.domain.wire import Answer, ApiError, CallEnd, Picture
from batchgen.gateway.echo import NOTHING_SENT, results
from batchgen.gateway.endpoints.images import BatchLineCodec
from batchgen.gateway.json_body import Shape, encode, parse
from batchgen.gateway.picture_start import key_pattern
from batchgen.gateway.scan import MAX_BODY, Scanner, Sink
from batchgen.gateway.unread import with_unread
from batchgen.gateway.watch import KeyWatch

# Lines that were never worked on, and cost nothing (OpenAI, Batch guide).
_UNTOUCHED = frozenset({"batch_expired", "batch_cancelled"})
_NAME = re.compile(rb'"custom_id"\s{0,8}:\s{0,8}"([^"\\]{1,200})"')
_LONGEST_NAME = 256
_CODEC = BatchLineCodec()


@dataclass(slots=True)
class BatchAnswer:
    """One answer.

    Attributes:
        custom_id: as the call was handed in.
        answer: its attempt is left 0.
        sinks: where its pictures went, for whoever makes the answer durable.
    """

    custom_id: str
    answer: Answer
    sinks: list[Sink]


class BatchLines:
    """Reads one file. Feed it pieces of any size.

    Args:
        sink: makes the sink of a picture by custom id and index; None where nobody wants that line.
        secrets: keys and passwords, which are looked for in every picture.
    """

    def __init__(self, sink: Callable[[str, int], Sink | None], *secrets: str) -> None:
        self._sink = sink
        self._secrets = secrets
        self._begin()

    async def feed(self, data: bytes) -> list[BatchAnswer]:
        """Take the next piece; gives the lines that ended in it."""
        found = []
        *ended, rest = data.split(b"\n")
        for piece in ended:
            await self._take(piece)
            if (line := await self.finish()) is not None:
                found.append(line)
        await self._take(rest)
        return found

    async def finish(self) -> BatchAnswer | None:
        """End the line that is being read; None when it was empty, or nobody can say whose it was."""
        await self._scan(bytes(self._held))
        self._scanner.finish()
        text, scanner, sinks, custom_id = self._scanner.text, self._scanner, self._sinks, self._name
        watches = self._watches
        self._begin()
        if not custom_id:
            return None
        shape, document = parse(text)
        if not isinstance(document, dict) or shape is not Shape.WHOLE:
            broken = Answer(0, CallEnd.CUT, status=200, detail="its line in the batch's answers is not whole")
            return BatchAnswer(custom_id, broken, [each for each in sinks.values() if each is not None])
        answer, marks = _answer(document)
        came = {
            index: Picture(kept.name, found.size, found.damage or watches[index].damage)
            for index, found in enumerate(scanner.pictures)
            if (kept := sinks.get(index)) is not None
        }
        shown = (came[index] for index in results(marks, scanner.pictures) if index in came)
        answer = replace(answer, pictures=tuple(shown))
        body = (document.get("response") or {}).get("body")
        answer = with_unread(answer, body, encode(body), tuple(came.values()), NOTHING_SENT)
        return BatchAnswer(custom_id, answer, [each for each in sinks.values() if each is not None])

    def _begin(self) -> None:
        self._scanner = Scanner(key_pattern(_CODEC.picture_keys))
        self._sinks: dict[int, Sink | None] = {}
        self._watches = defaultdict[int, KeyWatch](lambda: KeyWatch(*self._secrets))
        self._name = ""
        self._held = bytearray()  # the line, until it is known whose it is: as a rule its first hundred bytes

    async def _take(self, data: bytes) -> None:
        if self._name:
            await self._scan(data)
            return
        start = max(0, len(self._held) - _LONGEST_NAME)
        self._held += data
        if len(self._held) > MAX_BODY:
            self._held.clear()
        if (found := _NAME.search(self._held, start)) is not None:
            self._name = found[1].decode("utf-8", "replace")
            whole = bytes(self._held)
            self._held.clear()
            await self._scan(whole)

    async def _scan(self, data: bytes) -> None:
        if not data or self._scanner.too_large:
            return
        for index, piece in self._scanner.feed(data):
            if index not in self._sinks:
                self._sinks[index] = self._sink(self._name, index)
            kept = self._sinks[index]
            if kept is not None:
                self._watches[index].take(piece)
                await kept.write(piece)


def _answer(document: dict[str, Any]) -> tuple[Answer, tuple[int, ...]]:
    """Read what a line says, and which of its pictures are the result."""
    response, error = document.get("response"), document.get("error")
    ids = [("batch-request", document.get("id"))]
    if not isinstance(response, dict):
        found = error if isinstance(error, dict) else {}
        code, message = str(found.get("code") or ""), one_line(str(found.get("message") or "no answer"), 500)
        if code in _UNTOUCHED:
            return Answer(0, CallEnd.NOT_SENT, detail=f"{code}: {message}", request_ids=_texts(ids)), ()
        said = ApiError(message=message, code=code)
        return Answer(0, CallEnd.COMPLETE, status=500, is_json=True, error=said, request_ids=_texts(ids)), ()
    body, status = response.get("body"), response.get("status_code")
    reply = _CODEC.read(body)
    ids.append(("x-request-id", response.get("request_id")))
    answer = Answer(
        attempt=0,
        ending=CallEnd.COMPLETE,
        status=status if isinstance(status, int) and 100 <= status < 600 else 200,
        is_json=True,
        request_ids=_texts(ids),
        urls=reply.urls,
        text=reply.text,
        error=reply.error,
        usage=reply.usage,
        revised_prompt=reply.revised_prompt,
        effective=reply.effective,
    )
    return answer, reply.marks


def _texts(pairs: list[tuple[str, Any]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, one_line(value, 200)) for name, value in pairs if isinstance(value, str) and value)
