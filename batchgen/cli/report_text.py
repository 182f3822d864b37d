"""A summary as a person reads it, and as a machine does."""

from __future__ import annotations

from batchgen.cli.common import next_command, run_command
from batchgen.cli.look import job_fields, money_text, states_text
from batchgen.cli.run_text import run_fields, runs_lines
from batchgen.domain.clock import SystemClock
from batchgen.domain.lifecycle import WAITING, TaskState
from batchgen.domain.model import OutcomeKind
from batchgen.domain.money import format_usd, usd_text
from batchgen.report.summary import Fate, Group, Summary


def report_lines(summary: Summary) -> list[str]:
    """The report, a line each: delivered, cost, what is unusual, what needs a person, what to type next."""
    job = summary.job
    lines = [f"{job.name}: {states_text(job)}", f"{money_text(job)} · images in {job.output}", ""]
    lines += [*_size_table(summary), "", *_cost_table(summary), *runs_lines(summary.runs, SystemClock().now())]
    for title, group in (
        ("delivered smaller than asked, after 4K failed", summary.downgraded),
        ("of other dimensions than asked; kept and paid", summary.mismatched),
        ("delivered over another route than the job's own", summary.rerouted),
        ("outdated: delivered, and asked otherwise since; each stays until its successor is there", summary.outdated),
        ("of one colour; look at them", summary.blank),
        ("the same bytes as another task's image, by their digest; look at them", summary.duplicate),
        ("content refused", summary.refused),
        (_lost_title(summary), summary.lost),
        ("billed without an image; claim these", summary.wasted),
    ):
        lines += _group(title, group)
    for (state, reason), group in summary.stuck.items():
        lines += _group(f"{state}: {reason}", group)
    return lines + _next_steps(summary)


def report_fields(summary: Summary) -> dict[str, object]:
    """The same for machines."""
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
        "billed_without_image": _group_fields(summary.wasted),
        "stuck": [
            {"state": state, "reason": reason, **_group_fields(group)}
            for (state, reason), group in summary.stuck.items()
        ],
    }


def _size_table(summary: Summary) -> list[str]:
    states = [state for state in TaskState if summary.job.states.get(state)]
    rows = [["size", *map(str, states)]]
    rows += [[row.size, *(str(row.count(state)) for state in states)] for row in summary.sizes]
    return _table(rows)


def _cost_table(summary: Summary) -> list[str]:
    rows = [["route", "size sent", "outcome", "calls", "billed", "maybe"]]
    for row in summary.spending:
        maybe = format_usd(row.unknown) if row.unknown else ""
        rows.append(
            [row.route, row.size, str(row.outcome or "under way"), str(row.calls), format_usd(row.billed), maybe]
        )
    return _table(rows) if len(rows) > 1 else ["no calls yet"]


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _group(title: str, group: Group) -> list[str]:
    if not group.count:
        return []
    money = f", {format_usd(group.billed)}" if group.billed else ""
    money += f", maybe {format_usd(group.maybe)}" if group.maybe else ""
    more = " …" if group.count > len(group.examples) else ""
    return ["", f"{group.count} {title}{money}", f"  {', '.join(group.examples)}{more}"]


def _lost_title(summary: Summary) -> str:
    fates = summary.fates
    if set(fates) <= {Fate.OPEN}:
        return "answers lost; each may have been charged, ask the gateway"
    by_log = _listed((fates[Fate.CHARGED], "charged"), (fates[Fate.FREE], "free"))
    by_contract = _listed((fates[Fate.BILLED], "charged"), (fates[Fate.VOID], "free"))
    known = [f"{by_log} by the gateway's log"] if by_log else []
    known += [f"{by_contract} by the contract"] if by_contract else []
    still = f"; {fates[Fate.OPEN]} may have been charged, ask the gateway" if fates[Fate.OPEN] else ""
    return f"answers lost: {'; '.join(known)}{still}"


def _listed(*counts: tuple[int, str]) -> str:
    return ", ".join(f"{count} {word}" for count, word in counts if count)


def _group_fields(group: Group) -> dict[str, object]:
    return {
        "count": group.count,
        "billed_usd": usd_text(group.billed),
        "maybe_usd": usd_text(group.maybe),
        "examples": group.examples,
    }


def _next_steps(summary: Summary) -> list[str]:
    name, steps = summary.job.name, []
    if summary.job.unknown:
        steps.append(next_command(f"reconcile {name}"))
    if summary.job.work.get(TaskState.FAILED):
        steps.append(next_command(f"retry {name} --failed"))
    if summary.job.work.get(TaskState.PARKED):
        steps.append(next_command(f"retry {name} --parked"))
    if any(summary.job.work.get(state) for state in WAITING):
        first = "raise `limits.budget` in the manifest, then " if _is_used_up(summary) else ""
        steps.append(first + run_command(summary.job.manifest))
    return ["", "next: " + " · ".join(steps)] if steps else []


def _is_used_up(summary: Summary) -> bool:
    """Whether the budget leaves no room for one more image, by what delivered ones have cost."""
    job = summary.job
    if job.limits.budget is None:
        return False
    costs = [row.billed // row.calls for row in summary.spending if row.outcome is OutcomeKind.DELIVERED and row.calls]
    return job.limits.budget - job.billed - job.unknown - job.reserved < max(1, min(costs, default=1))
