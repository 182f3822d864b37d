"""The HTTP library's exception says 400, so the gateway is believed to have said so, and the call to be free."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import aiohttp

from batchgen.domain.wire import Answer, CallEnd
from batchgen.gateway import client, exchange
from batchgen.gateway.exchange import Exchange

CHECKS = ("tests/integration/test_client.py::test_client_names_the_ending_by_the_bytes_seen",)

_described = exchange.described  # type: ignore[attr-defined]
_answer = client.Client._answer
_status: list[int] = []


def _remember(wrong: BaseException) -> str:
    _status[:] = [wrong.status] if isinstance(wrong, aiohttp.ClientResponseError) else []
    return _described(wrong)


def _trust(self: client.Client, call: Any, done: Exchange, secret: str) -> Answer:
    answer = _answer(self, call, done, secret)
    return replace(answer, status=_status.pop(), ending=CallEnd.COMPLETE) if _status else answer


def apply() -> None:
    """Break the build."""
    exchange.described = _remember  # type: ignore[attr-defined]
    client.Client._answer = _trust  # type: ignore[assignment,method-assign]
