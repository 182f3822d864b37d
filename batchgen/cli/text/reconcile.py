"""The comparison of ledger and log in words."""

from __future__ import annotations

from batchgen.domain.clock import stamp
from batchgen.domain.lifecycle import Charge
from batchgen.domain.log_row import LogRow
from batchgen.domain.money import format_usd
from batchgen.domain.text import counted
from batchgen.report.cost_reconciliation import CostReconciliation, SumVerdict
from batchgen.report.job_reconciliation import AccountReconciliation, JobReconciliation
from batchgen.report.reconciliation import SETTLED, ChargeVerdict, JudgedCall

_NAMED = 10
_TITLES = {
    ChargeVerdict.DIFFERS: "charged otherwise than booked",
    ChargeVerdict.MISSING: "booked as charged, not in the log",
    ChargeVerdict.OUTSIDE: "booked as charged at a time that the log does not cover",
    ChargeVerdict.OPEN: "still unknown",
    ChargeVerdict.CHARGED: "lost answers that were charged",
    ChargeVerdict.FREE: "lost answers that were not charged",
}


def reconciliation_lines(outcome: JobReconciliation, *, dry_run: bool) -> list[str]:
    """Say what the comparison found, a line each; the verdict comes last."""
    if not (outcome.parts or outcome.costs):
        return [f"{outcome.row.name}: no calls yet"]
    lines = [line for part in outcome.parts for line in _part_lines(part, dry_run=dry_run)]
    lines += [line for bill in outcome.costs for line in _bill_lines(bill)]
    if outcome.claims:
        claims = f"{counted(len(outcome.claims), 'charge')}, {format_usd(sum(each.amount for each in outcome.claims))}"
        where = f", written to {outcome.claims_file}" if outcome.claims_file else ""
        lines.append(f"to claim from the gateway: {claims}{where}")
    ours, theirs = outcome.sums
    both = f"{outcome.row.name}: the ledger says {format_usd(ours)}, the log says {format_usd(theirs)}"
    return [*lines, f"{both}: {_verdict(outcome)}"]


def _verdict(outcome: JobReconciliation) -> str:
    if outcome.agrees:
        return "they agree"
    ours, theirs = outcome.sums
    return "they differ" if ours != theirs else "equal sums, but not everything is explained"


def _part_lines(part: AccountReconciliation, *, dry_run: bool) -> list[str]:
    result, account = part.comparison, part.account
    span = f"{stamp(account.first)} to {stamp(part.last)}"
    agree = len(result.of(ChargeVerdict.AGREES))
    lines = [
        f"{account.contract.provider}, {span}, by the {part.log.source}:",
        f"  {counted(len(result.calls), 'call')}, {counted(part.rows, 'row')}; {agree} agree",
    ]
    for verdict, title in _TITLES.items():
        prefix = "" if verdict not in SETTLED else "would be settled: " if dry_run else "settled: "
        lines += _group(prefix + title, [_said(part, found) for found in result.of(verdict)])
    lines += _group("charges that no call of this ledger accounts for", [_row_text(row) for row in result.strangers])
    if result.foreign:
        sums = format_usd(sum(row.amount for row in result.foreign))
        names = ", ".join(sorted({row.token for row in result.foreign}))
        lines.append(f"  {counted(len(result.foreign), 'charge')} of other keys of the account ({names}), {sums}")
    return lines + _doubts(part)


_SUMS = {
    SumVerdict.WITHIN: "agrees",
    SumVerdict.LESS: "LESS than what is booked; sums of the last days may be written hours later",
    SumVerdict.MORE: "MORE than all calls of this ledger may have been charged; has the account other users?",
}


def _bill_lines(bill: CostReconciliation) -> list[str]:
    lines = [f"{bill.provider}, by the {bill.source}: sums for {', '.join(bill.models)}, which settle no single call"]
    for span in bill.spans:
        maybe = f" + maybe {format_usd(span.maybe)}" if span.maybe else ""
        both = (
            f"{counted(span.calls, 'call')}, booked {format_usd(span.booked)}{maybe}, billed {format_usd(span.logged)}"
        )
        lines.append(f"  {stamp(span.first)} to {stamp(span.last)}: {both}: {_SUMS[span.verdict]}")
    if bill.uncovered:
        lines.append(f"  {counted(bill.uncovered, 'call')} of the job at times that it does not cover")
    if bill.open:
        lines.append(f"  {counted(bill.open, 'call')} of the job still unknown or under way")
    return lines


def _doubts(part: AccountReconciliation) -> list[str]:
    result, lines = part.comparison, []
    if result.under_way:
        lines.append(f"  {counted(result.under_way, 'call')} still under way in the books; run the job again first")
    if result.lacking:
        missing = f"{result.lacking} of {counted(result.charged, 'call')} that were charged"
        lines.append(f"  the log lacks {missing}; what is not in it is free only where it is shown to be whole")
    if result.is_strange:
        lines.append(
            "  it has less than half of what is booked as charged: is it of another account, or are its times in "
            "another zone (--zone)?"
        )
    return lines


def _group(title: str, said: list[str]) -> list[str]:
    if not said:
        return []
    more = [f"    and {len(said) - _NAMED} more"] if len(said) > _NAMED else []
    return [f"  {len(said)} {title}:", *(f"    {each}" for each in said[:_NAMED]), *more]


def _said(part: AccountReconciliation, found: JudgedCall) -> str:
    head = f"{part.name(found)}: attempt {found.call.attempt}"
    if found.verdict is ChargeVerdict.DIFFERS:
        booked = found.call.billed if found.call.charge is Charge.BILLED else 0
        return f"{head}, booked {format_usd(booked)}, charged {format_usd(found.amount)}{_at(found.row)}"
    if found.verdict is ChargeVerdict.OPEN:
        return f"{head}, maybe {format_usd(found.call.most)}: {part.reason(found)}"
    return f"{head}, {format_usd(found.amount)}{_at(found.row)}" if found.amount else f"{head}{_at(found.row)}"


def _at(row: LogRow | None) -> str:
    return "" if row is None else f" (row {row.name} of {stamp(row.time)})"


def _row_text(row: LogRow) -> str:
    token = f", key {row.token}" if row.token else ""
    return f"row {row.name} of {stamp(row.time)}, {row.model}, {format_usd(row.amount)}{token}"
