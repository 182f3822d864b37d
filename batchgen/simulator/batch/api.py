"""/v1/batches as OpenAI serves it (SDK types and batch reference, 2026-11)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from batchgen.domain.model import OutcomeKind
from batchgen.simulator import gateway_replies
from batchgen.simulator.answer_transport import Handler, whole
from batchgen.simulator.batch.store import StoredBatch
from batchgen.simulator.batch.worker import WINDOW, BatchWorker
from batchgen.simulator.endpoints import served_by
from batchgen.simulator.faults import Fault
from batchgen.simulator.gateway_replies import Declined, GatewayReplies, rejected
from batchgen.simulator.request_validation import parse_body
from batchgen.simulator.state import ServedRoute, SimulatorState, fingerprint

_SHORTEST, _LONGEST = 3_600, 2_592_000  # seconds an output may be kept
# What the API shows of a batch, with what it is before anything has happened.
_EMPTY: Mapping[str, Any] = {
    **dict.fromkeys(("errors", "output_file_id", "error_file_id", "in_progress_at", "finalizing_at", "completed_at")),
    **dict.fromkeys(("failed_at", "expired_at", "cancelling_at", "cancelled_at", "usage")),
}


def guarded(
    state: SimulatorState,
    route: ServedRoute,
    handle: Callable[[web.Request, GatewayReplies], Awaitable[web.StreamResponse]],
) -> Handler:
    """Make a handler for those who bring a key; what it declines becomes the answer."""

    async def guard(request: web.Request) -> web.StreamResponse:
        replies = state.replies(route)
        try:
            bearer = state.bearer(request.headers.get("authorization", ""))
            if not bearer:
                raise Declined(OutcomeKind.UNAUTHORIZED, replies.missing_key())
            if state.options.of(route.contract.route, bearer).chances.get(Fault.UNAUTHORIZED) == 1:
                raise Declined(OutcomeKind.UNAUTHORIZED, replies.bad_key())
            return await handle(request, replies)
        except Declined as declined:
            return whole(declined.reply, replies.headers())

    return guard


def answered(replies: GatewayReplies, value: object) -> web.Response:
    """Make a JSON answer with its request id."""
    return web.json_response(value, headers=dict(replies.headers()))


class BatchHandlers:
    """The handlers of `/batches` of one route."""

    def __init__(self, state: SimulatorState, route: ServedRoute, worker: BatchWorker) -> None:
        self._state = state
        self._route = route
        self._worker = worker

    async def create(self, request: web.Request, replies: GatewayReplies) -> web.Response:
        """Take a batch in. Its file is read later, as the real one's is."""
        body = parse_body(await request.read(), replies)
        self._check(body, replies)
        now = int(self._state.clock.now())
        facts = {
            "object": "batch",
            "endpoint": body["endpoint"],
            "model": self._route.contract.model,
            "input_file_id": body["input_file_id"],
            "completion_window": "24h",
            "status": "validating",
            "created_at": now,
            "expires_at": now + WINDOW,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": body.get("metadata"),
            "output_expires_after": body.get("output_expires_after"),
            **_EMPTY,
        }
        stored = self._worker.store.new(facts, self._route.contract.route, _key(request), request.host)
        self._worker.start(stored)
        return answered(replies, _shown(stored))

    async def retrieve(self, request: web.Request, replies: GatewayReplies) -> web.Response:
        """Answer with how a batch stands."""
        return answered(replies, _shown(self._find(request, request.match_info["id"])))

    async def listing(self, request: web.Request, replies: GatewayReplies) -> web.Response:
        """Answer with a page of the account's batches, newest first."""
        limit, after = request.query.get("limit", "20"), request.query.get("after", "")
        if not limit.isdigit() or not 1 <= int(limit) <= 100:
            raise rejected(
                replies.invalid("Invalid 'limit': expected a value from 1 to 100.", "limit", "invalid_value")
            )
        mine = [stored for stored in self._worker.store.newest_first() if self._is_theirs(request, stored)]
        if after:
            last = self._find(request, after)
            mine = [stored for stored in mine if stored.number < last.number]
        page = mine[: int(limit)]
        return answered(
            replies,
            {
                "object": "list",
                "data": [_shown(stored) for stored in page],
                "first_id": page[0].id if page else None,
                "last_id": page[-1].id if page else None,
                "has_more": len(mine) > len(page),
            },
        )

    async def cancel(self, request: web.Request, replies: GatewayReplies) -> web.Response:
        """Stop a batch; what is done stays done and is paid."""
        stored = self._find(request, request.match_info["id"])
        status = stored.facts["status"]
        if status in {"validating", "in_progress"}:
            self._worker.cancel(stored)
        elif status != "cancelling":
            raise rejected(
                gateway_replies.error(409, f"Cannot cancel a batch with status '{status}'.", "invalid_request_error")
            )
        return answered(replies, _shown(stored))

    def _check(self, body: Mapping[str, Any], replies: GatewayReplies) -> None:
        endpoints = [f"/v1{each.path}" for each in served_by(self._route.contract) if each.in_batches]
        if body.get("endpoint") not in endpoints:
            raise _invalid(replies, "endpoint", f"Supported values are: {', '.join(endpoints)}.")
        if body.get("completion_window") != "24h":
            raise _invalid(replies, "completion_window", "Supported values are: '24h'.")
        facts = self._state.files.find(str(body.get("input_file_id")))
        if facts is None:
            raise _invalid(replies, "input_file_id", "No such File object.")
        if facts["purpose"] != "batch":
            raise _invalid(replies, "input_file_id", "The file's purpose must be 'batch'.")
        if not _is_metadata(body.get("metadata")):
            raise _invalid(replies, "metadata", "At most 16 pairs of strings, of 64 and 512 characters.")
        keep = body.get("output_expires_after")
        if keep is not None:
            seconds = keep.get("seconds") if isinstance(keep, dict) and keep.get("anchor") == "created_at" else None
            if not isinstance(seconds, int) or not _SHORTEST <= seconds <= _LONGEST:
                raise _invalid(
                    replies, "output_expires_after", f"Seconds from {_SHORTEST} to {_LONGEST} after created_at."
                )

    def _find(self, request: web.Request, batch_id: str) -> StoredBatch:
        stored = self._worker.store.find(batch_id)
        if stored is None or not self._is_theirs(request, stored):
            message = f"No batch found with id '{batch_id[:100]}'."
            raise rejected(gateway_replies.error(404, message, "invalid_request_error"))
        return stored

    def _is_theirs(self, request: web.Request, stored: StoredBatch) -> bool:
        """Say whether a batch was sent with this key; a batch of another key is as if it were not there."""
        return stored.route.partition("/")[0] == self._route.contract.provider and stored.key == _key(request)


def _key(request: web.Request) -> str:
    return fingerprint(request.headers.get("authorization", ""))


def _shown(stored: StoredBatch) -> dict[str, Any]:
    return {name: value for name, value in stored.facts.items() if name != "output_expires_after"}


def _is_metadata(value: object) -> bool:
    if value is None:
        return True
    return (
        isinstance(value, dict)
        and len(value) <= 16
        and all(isinstance(each, str) and len(key) <= 64 and len(each) <= 512 for key, each in value.items())
    )


def _invalid(replies: GatewayReplies, param: str, why: str) -> Declined:
    return rejected(replies.invalid(f"Invalid value for '{param}'. {why}", param, "invalid_value"))
