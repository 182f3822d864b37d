"""What a machine is told of jobs, tasks, calls, runs and money: one JSON object a function.

Money is in dollars as decimal strings, times are in UTC; null stands for what nobody knows.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from batchgen.domain.clock import stamp
from batchgen.domain.money import usd_text
from batchgen.domain.walls import lowest

if TYPE_CHECKING:  # of these only the names are needed, and whoever looks at a job does not wait for the rest
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from batchgen.domain.job import Difference, JobSpec
    from batchgen.engine.salvage import Salvaged
    from batchgen.ledger.records import AttemptRow, JobRow, MonthRow, TaskRow
    from batchgen.ledger.runs import OutageRow, RunRow
    from batchgen.report.forecast import Forecast
    from batchgen.report.headroom import Headroom
    from batchgen.report.missing_images import MissingImages
    from batchgen.report.proof import Proof


def job_fields(row: JobRow) -> dict[str, object]:
    """Give a job: where its tasks stand and what it has cost."""
    return {
        "job": row.name,
        "route": row.route,
        "output": str(row.output),
        "tasks": row.tasks,
        "states": {str(state): count for state, count in row.states.items()},
        "outdated": row.outdated,
        "removed": row.removed,
        "billed_usd": usd_text(row.billed),
        "maybe_usd": usd_text(row.unknown),
        "unpriced_calls": row.unpriced,
        "reserved_usd": usd_text(row.reserved),
        "budget_usd": None if row.limits.budget is None else usd_text(row.limits.budget),
        "updated": stamp(row.updated_at),
    }


def run_fields(run: RunRow) -> dict[str, object]:
    """Give a run as the books have it."""
    return {
        "run": run.id,
        "state": run.state,
        "pid": run.pid,
        "host": run.host,
        "started": stamp(run.started_at),
        "ended": None if run.ended_at is None else stamp(run.ended_at),
        "last_call": stamp(run.seen_at),
        "reason": run.reason,
        "exit": run.exit_code,
        "calls": run.calls,
        "delivered": run.delivered,
        "billed_usd": usd_text(run.billed),
        "maybe_usd": usd_text(run.unknown),
        "reserved_usd": usd_text(run.reserved),
        "most_usd": None if run.most is None else usd_text(run.most),
        "outages": [_outage_fields(each) for each in run.outages],
    }


def _outage_fields(outage: OutageRow) -> dict[str, object]:
    return {
        "route": outage.route,
        "sizes": outage.tier or None,
        "tasks": outage.tasks,
        "reason": outage.reason,
        "began": stamp(outage.began_at),
        "ended": None if outage.ended_at is None else stamp(outage.ended_at),
        "back": outage.back,
    }


def absent_fields(found: MissingImages | None) -> dict[str, object]:
    """Give the delivered images whose files are gone; None stands for none."""
    missing = 0 if found is None else found.missing
    return {"missing_files": missing, "missing_first": [] if found is None else list(found.first)}


def plan_fields(
    spec: JobSpec, difference: Difference, forecast: Forecast, before: JobRow | None, rooms: Sequence[Headroom]
) -> dict[str, object]:
    """Give what a run would buy, cost and take, beside what the job has cost before.

    `rooms` are what limits of money leave to it.
    """
    spent = (before.billed, before.unknown, before.reserved) if before else (0, 0, 0)
    return {
        "job": spec.name,
        "route": spec.route,
        "new": difference.new,
        "changed": difference.changed,
        "unchanged": difference.unchanged,
        "removed": difference.removed,
        "adopted": difference.adopted,
        "rebuy": difference.rebuy,
        "again": sum(difference.again.values()),
        "again_paid_usd": usd_text(difference.paid),
        "lost_images": list(difference.lost),
        "waiting": difference.waiting,
        "delivered": difference.delivered,
        "under_way": difference.under_way,
        "calls": forecast.calls,
        "buy": [
            {"size": str(ask.size), "quality": ask.quality or None, "images": ask.images, "calls": count}
            for ask, count in sorted(difference.buy.items())
        ],
        "expected_usd": _usd(forecast.expected),
        "least_usd": _usd(forecast.least),
        "most_usd": _usd(forecast.most),
        "worst_usd": _usd(forecast.worst),
        "budget_usd": _usd(spec.limits.budget),
        "walls": [headroom_fields(room) for room in rooms],
        "spent_usd": usd_text(spent[0]),
        "maybe_usd": usd_text(spent[1]),
        "reserved_usd": usd_text(spent[2]),
        "expected_seconds": None if forecast.seconds is None else round(forecast.seconds),
        "disk_bytes": round(forecast.disk),
        "output": str(spec.output),
        "examples": difference.examples,
    }


def headroom_fields(room: Headroom) -> dict[str, object]:
    """Give what one limit of money leaves."""
    return {
        "wall": room.wall,
        "set_by": room.name.strip("`"),
        "most_usd": usd_text(room.most),
        "spent_usd": usd_text(room.spent),
        "left_usd": usd_text(room.left),
    }


def task_fields(task: TaskRow) -> dict[str, object]:
    """Give a task as a row of a table; null where there is no image."""
    image = task.image
    return {
        "id": task.key,
        "size": str(task.size),
        "sample": task.sample,
        "state": str(task.state),
        "revision": task.revision,
        "file": image.path if image else None,
        "width": image.width if image else None,
        "height": image.height if image else None,
        "format": image.format if image else None,
        "bytes": image.bytes if image else None,
        "sha256": image.sha256 if image else None,
        "flags": " ".join(task.flags),
        "calls": task.calls,
        "billed_usd": usd_text(task.billed),
        "maybe_usd": usd_text(task.unknown),
        "cause": task.cause,
        "reason": task.reason,
    }


def input_fields(task: TaskRow) -> dict[str, list[str] | str | None]:
    """Give the input images of a task as its manifest names them."""
    mask = task.inputs.mask
    return {"references": [each.place for each in task.inputs.references], "mask": mask.place if mask else None}


def shown_task_fields(task: TaskRow, calls: Iterable[AttemptRow]) -> dict[str, object]:
    """Give a task with all that is known of it: its text, its input images, its attempts."""
    return {
        **task_fields(task),
        "text": task.text,
        **input_fields(task),
        "attempts": [attempt_fields(call) for call in calls],
    }


def attempt_fields(call: AttemptRow) -> dict[str, object]:
    """Give an attempt as the books have it; its amounts end in `_usd`."""
    fields: dict[str, object] = asdict(call)
    for name in ("estimated", "reserved", "billed"):
        micros = fields.pop(name)
        fields[f"{name}_usd"] = None if micros is None else usd_text(int(str(micros)))
    return fields


def month_fields(month: MonthRow, most: int | None, monthly: int | None) -> dict[str, object]:
    """Give what all jobs have cost in a month, and what that may be.

    Args:
        month: a local calendar month.
        most: micro-dollars by the ledger; None for no ceiling.
        monthly: micro-dollars by the environment; None for no ceiling.
    """
    lower = lowest(most, monthly)
    return {
        "month": month.name,
        "billed_usd": usd_text(month.billed),
        "maybe_usd": usd_text(month.unknown),
        "reserved_usd": usd_text(month.reserved),
        "ledger_usd": None if most is None else usd_text(most),
        "environment_usd": None if monthly is None else usd_text(monthly),
        "left_usd": None if lower is None else usd_text(max(0, lower - month.spent)),
    }


def proof_fields(proof: Proof) -> dict[str, object]:
    """Give what was looked at, and where database, files and books do not agree."""
    findings = [asdict(finding) for finding in proof.findings]
    return {"images": proof.images, "attempts": proof.attempts, "findings": findings, "open": proof.notes}


def rebuilt_fields(
    name: str, ledger: Path, output: Path, found: Salvaged, *, compared: bool, dry_run: bool
) -> dict[str, object]:
    """Give what a rebuild of a job entered, or would enter.

    `compared` tells whether the manifest was recorded after it.
    """
    return {
        "job": name,
        "ledger": str(ledger),
        "output": str(output),
        "dry_run": dry_run,
        "images": found.images,
        "known": found.known,
        "answers": found.answers,
        "maybe_paid": found.doubtful,
        "half_answers": found.halves,
        "other_jobs": dict(found.others),
        "not_entered": [{"what": what, "why": why} for what, why in found.faults.items()],
        "not_entered_unnamed": found.unnamed,
        "compared": compared,
    }


def _usd(micros: int | None) -> str | None:
    return None if micros is None else usd_text(micros)
