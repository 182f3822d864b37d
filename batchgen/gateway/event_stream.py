"""Server-sent events, which some gateways send unasked, put together as the one document that they tell.

The shapes are those of OpenAI's images, responses and chat streams (specification of 2026-08), and a plain document in
one event. The text is a scanned one: pictures are marks in it, so that an event is small whatever it brought.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from batchgen.gateway.endpoints.accepted import is_waiting
from batchgen.gateway.json_body import Shape, parse

DONE = "[DONE]"

_BEGIN = re.compile(r"[\ufeff\s]*(?:(?:event|data|id|retry):|:)")
_LINE_END = re.compile(r"\r\n|\n|\r")
_IMAGE = re.compile(r"image_(?:generation|edit)\.completed")
_RESPONSE = re.compile(r"response\.(?:completed|failed|incomplete)")
_ITEM = "response.output_item.done"
# Events on the way to a result: what they hold is unfinished, or comes once more in the last one.
_ON_THE_WAY = re.compile(
    r".*(?:partial|preview).*|response\..+"
    r"|(?:.*[._])?(?:ping|heartbeat|keep_?alive|progress|started|queued|created|in_progress|generating)"
)
_BLANK_LINE = re.compile(r"(?:\r\n|\n|\r){2}")
_LAST = re.compile(r'"finish_reason"\s*:\s*"|"error"')
_MARK_IN_CUT = re.compile(r'"b64_json"\s*:\s*"(?:data:)?(#\d{1,3})"')
_OF_ONE_IMAGE = ("b64_json", "url", "revised_prompt")
_SPOKEN = frozenset({"content", "refusal", "reasoning_content"})  # fields of a chat that come in pieces

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """What a stream tells.

    Attributes:
        shape: `WHOLE` with the completed image, the end of a response or a chat, an error, or a plain document; `SHORT`
            where it broke off, or brought previews alone; `OTHER` for mere words.
        document: as the endpoint would have sent it, as far as it came; None for nothing.
        ended: whether no event can follow.
    """

    shape: Shape
    document: Json | None = None
    ended: bool = False


def is_event_stream(text: str) -> bool:
    """Tell whether a body is a stream of events, by how it begins."""
    return _BEGIN.match(text) is not None


def may_have_ended(text: str) -> bool:
    """Tell by the last event whether the end or an image may be there: cheap, and wrong only on the hopeful side."""
    last = _BLANK_LINE.split(text.rstrip())[-1]
    return '"delta"' not in last or _LAST.search(last) is not None


def folded(text: str) -> Told:
    """Put the events of a stream together."""
    stream = _Stream()
    for name, data in _events(text):
        stream.take(name, data)
    return stream.told()


def _events(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and data of each event; of the last one also where the blank line behind it is missing."""
    name, data = "", list[str]()
    for line in [*_LINE_END.split(text.lstrip("\ufeff")), ""]:
        key, _, value = line.partition(":")
        if not line.strip():
            if data:
                yield name, "\n".join(data)
            name, data = "", []
        elif key == "event":
            name = value.strip()
        elif key == "data":
            data.append(value.removeprefix(" "))


class _Stream:
    """What the events so far tell."""

    def __init__(self) -> None:
        self._done = False  # whether the stream says itself that it is over
        self._cut = False  # whether it breaks off within an event
        self._images: list[Json] = []  # events of completed ones
        self._response: Json | None = None
        self._items: list[Json] = []  # of a response, each once it is done
        self._chat: _Chat | None = None
        self._plain: Json = {}  # events of no known kind, the later ones over the earlier
        self._error: Json | str | None = None
        self._spoke = False  # whether there were words that are no JSON

    def take(self, name: str, data: str) -> None:
        """Take the next event."""
        shape, event = parse(data)
        if data.strip() == DONE:
            self._done = True
        elif isinstance(event, dict):
            self._take_object(str(event.get("type") or name), event)
        elif isinstance(event, list):
            self._plain["data"] = event
        elif shape is Shape.SHORT:
            self._cut = True
            if _IMAGE.fullmatch(name) or _IMAGE.search(data):
                self._images += ({"b64_json": mark} for mark in _MARK_IN_CUT.findall(data))
        else:
            self._spoke = True

    def _take_object(self, kind: str, event: Json) -> None:
        if kind == "error" or event.get("error"):
            said = event.get("error") or {key: value for key, value in event.items() if key != "type"}
            self._error = self._error or (said if isinstance(said, dict) else str(said))
        elif _IMAGE.fullmatch(kind):
            self._images.append(event)
        elif _RESPONSE.fullmatch(kind) and isinstance(event.get("response"), dict):
            self._response = event["response"]
        elif kind == _ITEM and isinstance(event.get("item"), dict):
            self._items.append(event["item"])
        elif _is_chunk(event):
            self._chat = self._chat or _Chat()
            self._chat.take(event)
        elif not _ON_THE_WAY.fullmatch(kind):
            self._plain |= event

    def told(self) -> Told:
        """Say what all events together tell."""
        if self._images:
            return Told(Shape.SHORT if self._cut else Shape.WHOLE, _as_images(self._images), ended=not self._cut)
        if self._response is not None:
            output = self._response.get("output") or self._items
            return Told(Shape.WHOLE, {**self._response, "output": output}, ended=True)
        document = self._unfinished()
        if self._error is not None:
            return Told(Shape.WHOLE, {**document, "error": self._error}, ended=True)
        if not document:
            return Told(Shape.OTHER if self._spoke else Shape.SHORT)
        over = self._done or (self._chat.finished if self._chat is not None else not self._items)
        whole = over and not self._cut and (self._done or not is_waiting(document))
        return Told(Shape.WHOLE if whole else Shape.SHORT, document, ended=self._done)

    def _unfinished(self) -> Json:
        """Write what came without an event that ends it."""
        items = {"output": self._items} if self._items else {}
        return {**self._plain, **items, **(self._chat.document() if self._chat is not None else {})}


class _Chat:
    """A chat put together from its chunks."""

    def __init__(self) -> None:
        self.finished = False
        self._head: Json = {}
        self._message: Json = {}
        self._reason: object = None

    def take(self, chunk: Json) -> None:
        """Take the next chunk; of several choices the first counts."""
        self._head |= {key: value for key, value in chunk.items() if value and key not in {"choices", "object"}}
        for choice in chunk["choices"] if isinstance(chunk.get("choices"), list) else ():
            if isinstance(choice, dict) and not choice.get("index"):
                self._reason = choice.get("finish_reason") or self._reason
                self.finished = self._reason is not None
                delta = choice.get("delta") or choice.get("message")
                for key, value in delta.items() if isinstance(delta, dict) else ():
                    self._message[key] = _joined(key, self._message.get(key), value)

    def document(self) -> Json:
        """Write the chat as a reply that was not streamed."""
        choice = {"index": 0, "message": self._message, "finish_reason": self._reason}
        return {**self._head, "object": "chat.completion", "choices": [choice]}


def _is_chunk(event: Json) -> bool:
    choices = event.get("choices")
    deltas = isinstance(choices, list) and any(isinstance(each, dict) and "delta" in each for each in choices)
    return deltas or event.get("object") == "chat.completion.chunk"


def _as_images(events: list[Json]) -> Json:
    """Write events of completed images as the reply that would have held them."""
    head = {key: value for key, value in events[-1].items() if key not in {"type", *_OF_ONE_IMAGE}}
    return {**head, "data": [{key: event[key] for key in _OF_ONE_IMAGE if key in event} for event in events]}


def _joined(key: str, before: Any, after: Any) -> Any:
    """Join two pieces of a field: words and lists go on, anything else takes the place of what was."""
    if isinstance(before, str) and isinstance(after, str) and key in _SPOKEN:
        return before + after
    if isinstance(before, list) and isinstance(after, list):
        return before + after
    return before if after is None else after
