"""Sends paid calls. Whatever the network or a gateway does becomes an `Answer`, never an exception."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from batchgen.domain.clock import Clock
from batchgen.domain.deadline import Deadline
from batchgen.domain.errors import ContractError
from batchgen.domain.following import Stage
from batchgen.domain.text import escaped, one_line
from batchgen.domain.wire import Answer, ApiError, Call, CallEnd
from batchgen.gateway.exchange import Exchange
from batchgen.gateway.headers import REQUEST_ID_HEADERS, leads_to, longest, request_ids, retry_after
from batchgen.gateway.image_address import absolute
from batchgen.gateway.json_body import Shape
from batchgen.gateway.proxy import DIRECT, Proxies
from batchgen.gateway.rate_headers import spent_for, told_rate
from batchgen.gateway.reading import body_of, read_body
from batchgen.gateway.scan import SinkFactory
from batchgen.gateway.transport import WIRE_ERRORS, SessionOwner
from batchgen.gateway.unread import with_unread


class Client(SessionOwner):
    """One session for all paid calls of a process.

    Each call has a connection of its own: a handshake is nothing against a minute of waiting, and only so can it be
    known that no byte of a request left, and whose an answer is. Redirects, cookies and retries do not exist here.

    Args:
        clock: for stamps and durations; deadlines are the event loop's.
        key: the key behind the name of a variable; asked at the last moment and kept nowhere.
        request_id_headers: response headers that carry a request id.
        proxies: the ways out.
        secrets: gives the keys of the route; like that of the call they are looked for in what comes.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        key: Callable[[str], str],
        request_id_headers: tuple[str, ...] = REQUEST_ID_HEADERS,
        proxies: Proxies = DIRECT,
        secrets: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        super().__init__(proxies=proxies, secrets=secrets)
        self._clock = clock
        self._key = key
        self._request_id_headers = request_id_headers

    async def send(self, call: Call, sinks: SinkFactory) -> Answer:
        """Make one paid call and stream its answer into the sinks.

        Args:
            call: what to send.
            sinks: makes the sink of the picture with that index, once each, when its first bytes are there.

        Raises:
            ContractError: nobody reads the answers of its operation; nothing was sent.
            Exception: else only what a sink or the key look-up raises, and cancellation; never for the wire's sake.
        """
        return (await self._exchange(call, sinks))[0]

    async def look(self, call: Call, sinks: SinkFactory) -> tuple[Stage, Answer]:
        """Ask how far a call is that the gateway works on, which is free; return that, and what came.

        Args:
            call: what asks, with how the call is followed.
            sinks: as for `send`.

        Raises:
            ContractError: nobody reads the answers of its operation, or it is not followed.
            Exception: as `send`.
        """
        if call.following is None:
            raise ContractError(f"{call.url} is no call that is followed")
        answer, document = await self._exchange(call, sinks)
        answered = 200 <= answer.status < 300 and answer.ending is CallEnd.COMPLETE
        stage = call.following.stage(document) if answered else Stage.WAITING
        answer = replace(answer, task="")
        if stage is Stage.FAILED and answer.error is None:
            answer = replace(
                answer, error=ApiError(answer.text or "the gateway says that it failed", code="task_failed")
            )
        return stage, answer

    async def is_there(self, call: Call) -> bool:
        """Ask something that costs nothing; tell whether the gateway itself answers, with whatever but a server error.

        Args:
            call: the question.
        """
        secret = self._key(call.key_env) if call.key_env else ""
        if _refusal(call, secret):
            return False
        headers = {"Authorization": f"Bearer {secret}"} if call.key_env else {}
        try:
            async with Deadline(call.timeout).waiting():
                response = await self._ask(call.method, call.url, headers)
        except WIRE_ERRORS:
            return False
        response.close()
        return 0 < response.status < 500 and "html" not in response.headers.get("content-type", "").lower()

    async def _exchange(self, call: Call, sinks: SinkFactory) -> tuple[Answer, object]:
        """Make one request; return its answer, and the document that it was where it was one."""
        secret = self._key(call.key_env) if call.key_env else ""
        if refusal := _refusal(call, secret):
            return Answer(call.attempt, CallEnd.NOT_SENT, detail=refusal), None
        exchange = Exchange(call, sinks, self._clock, self._secrets(secret))
        headers = {"Authorization": f"Bearer {secret}"} if call.key_env else {}
        await exchange.run(lambda body: self._ask(call.method, call.url, headers, data=body))
        document = exchange.body.document if exchange.body.shape is Shape.WHOLE else None
        answer = _numbered(self._answer(call, exchange, secret), call, document)
        return self._clean(secret, answer), document  # again: some escapes are gone only now

    def _answer(self, call: Call, exchange: Exchange, secret: str) -> Answer:
        """Put the exchange into a plain value, without any key should the other side have echoed it."""
        request, response, clean = exchange.request, exchange.response, partial(self._clean, secret)
        trouble = exchange.trouble or (leads_to(response.status, response.headers) if response is not None else "")
        detail = one_line(clean(trouble), 300)
        if response is None:
            return Answer(
                call.attempt,
                exchange.ending,
                detail=detail,
                obstacle=None if self._reached else exchange.obstacle,
                sent_at=request.sent_at,
                total=request.seconds(),
            )
        text = clean(exchange.text)
        sent, scanned = exchange.sent(), exchange.scanner.pictures
        body = exchange.body if text == exchange.text else body_of(text)
        reading = read_body(body, text, scanned, call.operation, sent, call.picture_at)
        reply, whole = reading.reply, exchange.body.shape is Shape.WHOLE
        shown = reading.shown or ((len(scanned) - 1,) if exchange.scanner.inside else ())
        headers: Mapping[str, str] = response.headers
        ids = request_ids(headers, self._request_id_headers)
        answer = Answer(
            attempt=call.attempt,
            ending=exchange.ending,
            status=response.status,
            is_json=whole,
            content_type=one_line(clean(headers.get("content-type", "")), 200),
            retry_after=longest((retry_after(headers, self._clock.now()), reply.retry_after)),
            spent_for=spent_for(headers, self._clock.now()),
            told_rate=told_rate(headers),
            request_ids=clean(ids),
            pictures=exchange.pictures(shown),
            urls=tuple(absolute(each, call.url) for each in reply.urls),
            text=reply.text,
            error=reply.error,
            usage=reply.usage,
            revised_prompt=reply.revised_prompt,
            effective=reply.effective,
            excerpt="" if whole else escaped(text),
            detail=detail,
            sent_at=request.sent_at,
            first_byte=exchange.first_byte,
            total=request.seconds(),
        )
        return with_unread(answer, reading.body.document, text, exchange.pictures(range(len(scanned))), sent)


def _numbered(answer: Answer, call: Call, document: object) -> Answer:
    """Add to an answer without an image the number at the place that the contract names."""
    if call.following is None or not 200 <= answer.status < 300 or answer.pictures or answer.urls or answer.error:
        return answer
    return replace(answer, task=one_line(call.following.number(document), 200) or answer.task)


def _refusal(call: Call, secret: str) -> str:
    """Say why a call may not even be tried, "" when it may."""
    if not call.loopback and not call.url.startswith("https://"):
        return "the address is not https, so no key is sent there; set base_url to an https address"
    if call.key_env and not (secret.isascii() and secret.isprintable() and secret.strip()):
        return f"the key in {call.key_env} is empty or holds characters that no key has; set it anew"
    return ""
