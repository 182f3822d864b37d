"""Calls that are taken in under a number, and asked after: kept as files, so that they outlive the process.

What comes of a call is settled, and charged, when it is taken in; it is only told when its time has come.
"""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Any

from aiohttp import web

from batchgen.domain.following import Following
from batchgen.domain.json_place import Place
from batchgen.simulator import gateway_replies
from batchgen.simulator.answer_transport import Handler, whole
from batchgen.simulator.endpoints.answers import compact
from batchgen.simulator.file_store import save
from batchgen.simulator.gateway_replies import HttpReply
from batchgen.simulator.state import ServedRoute, SimulatorState, fingerprint

_NUMBER = re.compile(r"task_[0-9a-f]{16}\Z")


def take_in(state: SimulatorState, rule: Following, reply: HttpReply, delay: float, key: str) -> HttpReply:
    """Keep what comes of a call until its time has come, and return what says that it was taken in.

    Only who brings the same key, by its fingerprint, is told of it.
    """
    number = f"task_{secrets.token_hex(8)}"
    folder = _folder(state)
    folder.mkdir(parents=True, exist_ok=True)
    kept = {"due": state.clock.now() + delay, "document": json.loads(reply.body), "key": key}
    save(folder / f"{number}.json", kept)
    return HttpReply(200, compact(put({"status": "submitted"}, rule.id or ("id",), number)))


def follow_handler(state: SimulatorState, route: ServedRoute, rule: Following) -> Handler:
    """Make the handler that tells how far calls of a route are."""

    async def handle(request: web.Request) -> web.StreamResponse:
        number = request.match_info.get("id") or next(iter(request.query.values()), "")
        path = _folder(state) / f"{number}.json"
        kept = json.loads(path.read_text(encoding="utf-8")) if _NUMBER.match(number) and path.exists() else {}
        if kept.get("key") != fingerprint(request.headers.get("authorization", "")):
            return whole(gateway_replies.error(404, f"there is no task {number}", "invalid_request_error"))
        return whole(HttpReply(200, compact(_told(rule, kept, state.clock.now()))), state.replies(route).headers())

    return handle


def _told(rule: Following, kept: dict[str, Any], now: float) -> Any:
    if now < kept["due"]:
        return put({}, rule.status, "processing")
    document: dict[str, Any] = kept["document"]
    item = (document.get("data") or [None])[0]
    picture = (item.get("url") or item.get("b64_json")) if isinstance(item, dict) else None
    if picture is None:
        return put(document, rule.status, rule.failed[0])
    if rule.picture:
        document = put({name: value for name, value in document.items() if name != "data"}, rule.picture, picture)
    return put(document, rule.status, rule.done[0])


def put(document: Any, place: Place, value: object) -> Any:
    """Return a document with a value at a place, made where it is not there."""
    if not place:
        return value
    step, rest = place[0], place[1:]
    if isinstance(step, str):
        held = document if isinstance(document, dict) else {}
        return {**held, step: put(held.get(step), rest, value)}
    items = list(document) if isinstance(document, list) else []
    items += [None] * (step + 1 - len(items))
    items[step] = put(items[step], rest, value)
    return items


def _folder(state: SimulatorState) -> Path:
    return state.files.folder / "tasks"
