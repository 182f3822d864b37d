"""What a machine is told of a run while it lasts."""

from __future__ import annotations

from batchgen.domain.events import (
    CallEnded,
    CallStarted,
    GatewayBack,
    GatewayDown,
    GatewayEvent,
    GatewayGivenUp,
    ImageDelivered,
    LanePaused,
    Notice,
    RunEvent,
    RunStopped,
)
from batchgen.domain.money import usd_text
from batchgen.report.fields import absent_fields, job_fields
from batchgen.report.run_result import RunResult


def event_fields(event: RunEvent) -> dict[str, object]:
    """Give what happens in a run, under its name as `event`."""
    match event:
        case CallStarted(claim, attempt):
            size = str(claim.size)
            return {"event": "call", "attempt": attempt, "id": claim.key, "size": size, "sample": claim.sample}
        case CallEnded(claim, attempt, outcome):
            return {
                "event": "answer",
                "attempt": attempt,
                "id": claim.key,
                "size": str(claim.size),
                "sample": claim.sample,
                "outcome": outcome.kind,
                "charge": outcome.charge,
                "billed_usd": usd_text(event.billed),
                "maybe_usd": usd_text(event.maybe),
                "seconds": round(event.seconds, 3),
                "detail": outcome.detail,
                "state": event.becomes,
                "then": event.then,
            }
        case ImageDelivered(claim, attempt, image, flags):
            return {
                "event": "image",
                "attempt": attempt,
                "id": claim.key,
                "size": str(claim.size),
                "sample": claim.sample,
                "file": image.path,
                "width": image.width,
                "height": image.height,
                "bytes": image.bytes,
                "sha256": image.sha256,
                "flags": list(flags),
            }
        case LanePaused() | GatewayDown() | GatewayBack() | GatewayGivenUp():
            return _gateway_fields(event)
        case Notice(text):
            return {"event": "notice", "text": text}
        case RunStopped(reason):
            return {"event": "stopped", "reason": reason}


def _gateway_fields(event: GatewayEvent) -> dict[str, object]:
    match event:
        case LanePaused(lane, seconds, reason):
            return {"event": "pause", "lane": lane, "seconds": round(seconds, 3), "reason": reason}
        case GatewayDown(route, sizes, tasks, reason):
            return {"event": "down", "route": route, "sizes": sizes or None, "tasks": tasks, "reason": reason}
        case GatewayBack(route, sizes, seconds):
            return {"event": "back", "route": route, "sizes": sizes or None, "seconds": round(seconds, 3)}
        case GatewayGivenUp(route, sizes, seconds):
            return {"event": "given_up", "route": route, "sizes": sizes or None, "seconds": round(seconds, 3)}


def summary_fields(result: RunResult) -> dict[str, object]:
    """Give what a run came to: the last event."""
    return {
        "event": "summary",
        **job_fields(result.job),
        **absent_fields(result.gone),
        "calls": result.calls,
        "delivered": result.delivered,
        "run_billed_usd": usd_text(result.billed),
        "run_maybe_usd": usd_text(result.maybe),
        "kept": result.kept,
        "stopped": result.stopped or None,
        "switches": list(result.switches),
        "exit": int(result.code),
    }
