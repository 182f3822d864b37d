"""What a machine is told of a job's report."""

from __future__ import annotations

from collections.abc import Callable

from batchgen.domain.money import usd_text
from batchgen.report.fields import job_fields, run_fields
from batchgen.report.summary import Fate, Group, Summary


def report_fields(summary: Summary, command: Callable[[str], str]) -> dict[str, object]:
    """Give the whole report of a job.

    Args:
        summary: of the job.
        command: makes a command to type of the words behind `batchgen`.
    """
    return {
        **job_fields(summary.job),
        "sizes": [
            {"size": row.size, **{str(state): count for state, count in row.states.items()}} for row in summary.sizes
        ],
        "spending": [
            {
                "route": row.route,
                "size": row.size,
                "outcome": row.outcome,
                "calls": row.calls,
                "billed_usd": usd_text(row.billed),
                "maybe_usd": usd_text(row.unknown),
            }
            for row in summary.spending
        ],
        "runs": [run_fields(run) for run in summary.runs.last],
        "earlier_runs": {
            "count": summary.runs.earlier,
            "calls": summary.runs.calls,
            "delivered": summary.runs.delivered,
            "billed_usd": usd_text(summary.runs.billed),
            "maybe_usd": usd_text(summary.runs.unknown),
        },
        "downgraded": _group_fields(summary.downgraded),
        "size_mismatch": _group_fields(summary.mismatched),
        "rerouted": _group_fields(summary.rerouted),
        "outdated_images": _group_fields(summary.outdated),
        "blank": _group_fields(summary.blank),
        "duplicate": _group_fields(summary.duplicate),
        "refused": _group_fields(summary.refused),
        "lost": _group_fields(summary.lost),
        "lost_fates": {str(fate): summary.fates[fate] for fate in Fate},
        "kept": _group_fields(summary.kept),
        "billed_without_image": _group_fields(summary.wasted),
        "stuck": [
            {
                "state": group.state,
                "cause": group.cause,
                "reason": group.reason,
                "retry": command(group.retry(summary.job.name)),
                **_group_fields(group),
            }
            for group in summary.stuck
        ],
    }


def _group_fields(group: Group) -> dict[str, object]:
    return {
        "count": group.count,
        "billed_usd": usd_text(group.billed),
        "maybe_usd": usd_text(group.maybe),
        "examples": group.examples,
    }
