"""A comparison of ledger and log as a person reads it, and as a machine does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from batchgen.app.accounts import ProviderAccount
from batchgen.app.charge_logs import ChargeLog
from batchgen.domain.clock import stamp
from batchgen.domain.lifecycle import Charge
from batchgen.domain.log_row import LogRow
from batchgen.domain.money import format_usd, usd_text
from batchgen.domain.text import counted
from batchgen.ledger.records import JobRow
from batchgen.report.booked import SLACK, row_note
from batchgen.report.reconciliation import SETTLED, ChargeVerdict, Comparison, JudgedCall
from batchgen.report.refunds import Refund
from batchgen.report.summary import task_name

_NAMED = 10
_TITLES = {
    ChargeVerdict.DIFFERS: "charged otherwise than booked",
    ChargeVerdict.MISSING: "booked as charged, not in the log",
    ChargeVerdict.OUTSIDE: "booked as charged at a time that the log does not cover",
    ChargeVerdict.OPEN: "still unknown",
    ChargeVerdict.CHARGED: "lost answers that were charged",
    ChargeVerdict.FREE: "lost answers that were not charged",
}


@dataclass(frozen=True, slots=True)
class Compared:
    """One account.

    Attributes:
        rows: of its log, in the time of the job's calls.
    """

    account: ProviderAccount
    log: ChargeLog
    rows: int
    comparison: Comparison

    def name(self, found: JudgedCall) -> str:
        """Whose call it was, as `show` takes it."""
        problem = self.account.calls[found.call.attempt]
        return task_name(problem.key, str(problem.size), problem.sample)

    def note(self, found: JudgedCall) -> str:
        """For the books: who says what an unknown charge was."""
        if found.row is None:
            until = min(found.call.latest + SLACK, self.log.covers.last)
            return f"reconcile: no charge in the {self.log.source} up to {stamp(until)}"
        return row_note(found.row, self.log.source)

    @property
    def last(self) -> float:
        """The end of the time that was compared: the calls', as far as that has passed."""
        return min(self.account.last, self.log.read_at)


@dataclass(slots=True)
class Outcome:
    """A whole comparison, and what was made of it."""

    row: JobRow
    parts: list[Compared]
    claims: list[Refund] = field(default_factory=list)
    claims_file: Path | None = None

    @property
    def agrees(self) -> bool:
        """Whether nothing is left to explain."""
        return all(part.comparison.agrees for part in self.parts)

    @property
    def sums(self) -> tuple[int, int]:
        """Micro-dollars of the ledger, once settled, and of the log."""
        return sum(part.comparison.booked for part in self.parts), sum(part.comparison.logged for part in self.parts)


def outcome_lines(outcome: Outcome, *, dry_run: bool) -> list[str]:
    """The comparison, a line each; the verdict comes last."""
    if not outcome.parts:
        return [f"{outcome.row.name}: no calls yet"]
    lines = [line for part in outcome.parts for line in _part_lines(part, dry_run=dry_run)]
    if outcome.claims:
        claims = f"{counted(len(outcome.claims), 'charge')}, {format_usd(sum(each.amount for each in outcome.claims))}"
        where = f", written to {outcome.claims_file}" if outcome.claims_file else ""
        lines.append(f"to claim from the gateway: {claims}{where}")
    ours, theirs = outcome.sums
    both = f"{outcome.row.name}: the ledger says {format_usd(ours)}, the log says {format_usd(theirs)}"
    return [*lines, f"{both}: {_verdict(outcome)}"]


def outcome_fields(outcome: Outcome) -> dict[str, object]:
    """The same for machines."""
    ours, theirs = outcome.sums
    return {
        "job": outcome.row.name,
        "agrees": outcome.agrees,
        "ledger_usd": usd_text(ours),
        "log_usd": usd_text(theirs),
        "accounts": [_part_fields(part) for part in outcome.parts],
        "claims": len(outcome.claims),
        "claims_usd": usd_text(sum(each.amount for each in outcome.claims)),
        "claims_file": None if outcome.claims_file is None else str(outcome.claims_file),
    }


def _verdict(outcome: Outcome) -> str:
    if outcome.agrees:
        return "they agree"
    ours, theirs = outcome.sums
    return "they differ" if ours != theirs else "equal sums, but not everything is explained"


def _part_lines(part: Compared, *, dry_run: bool) -> list[str]:
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


def _doubts(part: Compared) -> list[str]:
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


def _reason(part: Compared, found: JudgedCall) -> str:
    """Why a call stays open."""
    if found.rival is None:
        return found.reason
    problem = part.account.calls[found.rival.attempt]
    whose = f"attempt {found.rival.attempt}, {task_name(problem.key, str(problem.size), problem.sample)}"
    other = "" if found.rival.job == found.call.job else ", a call of another job; reconcile that job first"
    return f"a row that may be its own is taken for that of {whose}{other}"


def _group(title: str, said: list[str]) -> list[str]:
    if not said:
        return []
    more = [f"    and {len(said) - _NAMED} more"] if len(said) > _NAMED else []
    return [f"  {len(said)} {title}:", *(f"    {each}" for each in said[:_NAMED]), *more]


def _said(part: Compared, found: JudgedCall) -> str:
    head = f"{part.name(found)}: attempt {found.call.attempt}"
    if found.verdict is ChargeVerdict.DIFFERS:
        booked = found.call.billed if found.call.charge is Charge.BILLED else 0
        return f"{head}, booked {format_usd(booked)}, charged {format_usd(found.amount)}{_at(found.row)}"
    if found.verdict is ChargeVerdict.OPEN:
        return f"{head}, maybe {format_usd(found.call.most)}: {_reason(part, found)}"
    return f"{head}, {format_usd(found.amount)}{_at(found.row)}" if found.amount else f"{head}{_at(found.row)}"


def _at(row: LogRow | None) -> str:
    return "" if row is None else f" (row {row.name} of {stamp(row.time)})"


def _row_text(row: LogRow) -> str:
    token = f", key {row.token}" if row.token else ""
    return f"row {row.name} of {stamp(row.time)}, {row.model}, {format_usd(row.amount)}{token}"


def _part_fields(part: Compared) -> dict[str, object]:
    result = part.comparison
    return {
        "provider": part.account.contract.provider,
        "source": part.log.source,
        "first": stamp(part.account.first),
        "last": stamp(part.last),
        "calls": len(result.calls),
        "rows": part.rows,
        "charged": result.charged,
        "lacking": result.lacking,
        "under_way": result.under_way,
        "verdicts": {str(verdict): len(result.of(verdict)) for verdict in ChargeVerdict},
        "notable": list(_notable(part)),
        "unexpected": [_row_fields(row) for row in result.strangers],
        "other_keys": [_row_fields(row) for row in result.foreign],
    }


def _notable(part: Compared) -> Iterable[dict[str, object]]:
    """Every call that does more than agree."""
    for found in part.comparison.calls:
        if found.verdict is ChargeVerdict.AGREES:
            continue
        problem = part.account.calls[found.call.attempt]
        booked = found.call.billed if found.call.charge is Charge.BILLED else 0
        yield {
            "verdict": str(found.verdict),
            "attempt": found.call.attempt,
            "id": problem.key,
            "size": str(problem.size),
            "sample": problem.sample,
            "booked_usd": usd_text(booked),
            "amount_usd": usd_text(found.amount),
            "row": None if found.row is None else found.row.name,
            "reason": _reason(part, found),
        }


def _row_fields(row: LogRow) -> dict[str, object]:
    return {
        "row": row.name,
        "time": stamp(row.time),
        "model": row.model,
        "amount_usd": usd_text(row.amount),
        "request_id": row.request_id,
        "token": row.token,
    }
