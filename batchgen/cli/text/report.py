"""The report of a job in words."""

from __future__ import annotations

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.cli.output import table
from batchgen.cli.text.jobs import money_text, states_text
from batchgen.cli.text.runs import runs_lines
from batchgen.domain.clock import SystemClock
from batchgen.domain.lifecycle import WAITING, TaskState
from batchgen.domain.model import OutcomeKind
from batchgen.domain.money import format_usd
from batchgen.report.summary import Fate, Group, Summary
from batchgen.store.layout import KEPT, SPOOL


def report_lines(summary: Summary, ledger: LedgerChoice) -> list[str]:
    """Say what a job came to, a line each: delivered, cost, what is unusual, what needs a person, what to type next."""
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
        (f"answers that nobody could read, kept in {SPOOL}/{KEPT}", summary.kept),
        ("billed without an image; claim these", summary.wasted),
    ):
        lines += _group(title, group)
    for stuck in summary.stuck:
        cause = f" ({stuck.cause})" if stuck.cause else ""
        lines += _group(f"{stuck.state}{cause}: {stuck.reason}", stuck)
        lines.append("  again: " + ledger.command(stuck.retry(job.name)))
    return lines + _next_steps(summary, ledger)


def _size_table(summary: Summary) -> list[str]:
    states = [state for state in TaskState if summary.job.states.get(state)]
    rows = [["size", *map(str, states)]]
    rows += [[row.size, *(str(row.count(state)) for state in states)] for row in summary.sizes]
    return table(rows)


def _cost_table(summary: Summary) -> list[str]:
    rows = [["route", "size sent", "outcome", "calls", "billed", "maybe"]]
    for row in summary.spending:
        maybe = format_usd(row.unknown) if row.unknown else ""
        rows.append(
            [row.route, row.size, str(row.outcome or "under way"), str(row.calls), format_usd(row.billed), maybe]
        )
    return table(rows) if len(rows) > 1 else ["no calls yet"]


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


def _next_steps(summary: Summary, ledger: LedgerChoice) -> list[str]:
    name, steps = summary.job.name, []
    if summary.kept.count:
        steps.append(ledger.command(f"recover {name}"))
    if summary.job.unknown:
        steps.append(ledger.command(f"reconcile {name}"))
    if summary.job.work.get(TaskState.FAILED):
        steps.append(ledger.command(f"retry {name} --failed"))
    if summary.job.work.get(TaskState.PARKED):
        steps.append(ledger.command(f"retry {name} --parked"))
    if any(summary.job.work.get(state) for state in WAITING):
        first = "raise `limits.budget` in the manifest, then " if _is_used_up(summary) else ""
        steps.append(first + ledger.run_command(summary.job.manifest))
    return ["", "next: " + " · ".join(steps)] if steps else []


def _is_used_up(summary: Summary) -> bool:
    """Say whether the budget leaves no room for one more image, by what delivered ones have cost."""
    job = summary.job
    if job.limits.budget is None:
        return False
    costs = [row.billed // row.calls for row in summary.spending if row.outcome is OutcomeKind.DELIVERED and row.calls]
    return job.limits.budget - job.billed - job.unknown - job.reserved < max(1, min(costs, default=1))
