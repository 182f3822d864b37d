"""GET /api/log/self: what the gateway says it charged, call by call, in the style of new-api.

As on the log-query pages of LaoZhang and APIYI: an account's access token instead of a key, ten rows a page whatever is
asked for, and 500,000 quota units to the dollar. Only APIYI's rows carry the request id.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from batchgen.simulator.bill import BillLine

_ROWS = 10
_USAGE = "2"  # the type of rows that are about calls; others are about payments


class ChargedLines:
    """The bill's lines that cost something, kept in memory and read on from where the last reading ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._lines: list[BillLine] = []

    def lines(self) -> list[BillLine]:
        """Read on from the last reading and return all of them, oldest first."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            for text in file:
                if not text.endswith(b"\n"):
                    break
                self._at += len(text)
                line = BillLine(**json.loads(text))
                if line.charged:
                    self._lines.append(line)
        return self._lines


def log_handler(charged_lines: ChargedLines, provider: str) -> Callable[[web.Request], Any]:
    """Make the handler for the account at a provider, or for all accounts when that is ""."""

    async def handle(request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").strip()
        if not token or token.startswith(("sk-", "Bearer ")):
            return web.json_response({"success": False, "message": "无权进行此操作，access token 无效"})
        query = request.query
        first, last = _whole(query.get("start_timestamp")), _whole(query.get("end_timestamp"))
        model = query.get("model_name", "")
        found = [
            (number, line)
            for number, line in enumerate(charged_lines.lines(), 1)
            if provider in {"", line.route.partition("/")[0]}
            and line.time >= first
            and (not last or int(line.time) <= last)
            and (not model or line.model == model)
            and query.get("type", _USAGE) in {_USAGE, "0", ""}
        ]
        page = max(1, _whole(query.get("p")))
        rows = found[::-1][(page - 1) * _ROWS : page * _ROWS]
        items = [_row(number, line) for number, line in rows]
        data = {"page": page, "page_size": _ROWS, "total": len(found), "items": items}
        return web.json_response({"success": True, "message": "", "data": data})

    return handle


def _row(number: int, line: BillLine) -> dict[str, Any]:
    usage = line.usage or {}
    provider, _, model = line.route.partition("/")
    row: dict[str, Any] = {
        "id": number,
        "created_at": int(line.time),
        "type": int(_USAGE),
        "username": "simulator",
        "token_name": f"key-{line.key}",
        "model_name": line.model,
        "quota": (line.charged + 1) // 2,
        "prompt_tokens": usage.get("input_tokens", 0),
        "completion_tokens": usage.get("output_tokens", 0),
        "use_time": round(line.seconds),
        "is_stream": False,
        "group": model.partition("@")[2] or "default",
        "ip": "",
        "other": "",
    }
    if provider == "apiyi":
        row["request_id"] = line.request_id
    return row


def _whole(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0
