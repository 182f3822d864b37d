"""A job against the logs of the accounts that its calls were charged to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from batchgen.domain.clock import stamp
from batchgen.ledger.records import JobRow
from batchgen.report.accounts import ProviderAccount
from batchgen.report.booked import SLACK, row_note
from batchgen.report.charge_log import ChargeLog
from batchgen.report.cost_reconciliation import CostReconciliation
from batchgen.report.matching import match
from batchgen.report.reconciliation import Comparison, JudgedCall, compare
from batchgen.report.refunds import Refund
from batchgen.report.summary import task_name


@dataclass(frozen=True, slots=True)
class AccountReconciliation:
    """What the log of one account says of a job's calls.

    Attributes:
        rows: of its log, in the time of the job's calls.
    """

    account: ProviderAccount
    log: ChargeLog
    rows: int
    comparison: Comparison

    def name(self, found: JudgedCall) -> str:
        """Name whose call it was, as `show` takes it."""
        problem = self.account.calls[found.call.attempt]
        return task_name(problem.key, str(problem.size), problem.sample)

    def note(self, found: JudgedCall) -> str:
        """Word for the books who says what an unknown charge was."""
        if found.row is None:
            until = min(found.call.latest + SLACK, self.log.covers.last)
            return f"reconcile: no charge in the {self.log.source} up to {stamp(until)}"
        return row_note(found.row, self.log.source)

    def reason(self, judged: JudgedCall) -> str:
        """Say why a call stays open."""
        if judged.rival is None:
            return judged.reason
        problem = self.account.calls[judged.rival.attempt]
        whose = f"attempt {judged.rival.attempt}, {task_name(problem.key, str(problem.size), problem.sample)}"
        other = "" if judged.rival.job == judged.call.job else ", a call of another job; reconcile that job first"
        return f"a row that may be its own is taken for that of {whose}{other}"

    @property
    def last(self) -> float:
        """The end of the time that was compared: the calls', as far as that has passed."""
        return min(self.account.last, self.log.read_at)


@dataclass(slots=True)
class JobReconciliation:
    """A whole comparison, and what was made of it.

    Attributes:
        parts: of the accounts that have a log of their calls.
        costs: of those of which there is a bill by sums.
    """

    row: JobRow
    parts: list[AccountReconciliation]
    costs: list[CostReconciliation] = field(default_factory=list)
    claims: list[Refund] = field(default_factory=list)
    claims_file: Path | None = None

    @property
    def agrees(self) -> bool:
        """Whether nothing is left to explain."""
        return all(part.comparison.agrees for part in self.parts) and all(bill.agrees for bill in self.costs)

    @property
    def sums(self) -> tuple[int, int]:
        """Micro-dollars of the ledger, once settled, and of the log."""
        spans = [span for bill in self.costs for span in bill.spans]
        ours = sum(part.comparison.booked for part in self.parts) + sum(span.booked for span in spans)
        return ours, sum(part.comparison.logged for part in self.parts) + sum(span.logged for span in spans)


def reconcile_account(row: JobRow, account: ProviderAccount, log: ChargeLog) -> AccountReconciliation:
    """Say what a log tells of a job's calls.

    The rows of other jobs' calls that reach into their time are matched too.
    """
    rows = [each for each in log.rows if account.since <= each.time <= account.until and each.model in account.models]
    matching = match(account.booked, rows)
    matching.strangers = [each for each in matching.strangers if account.first <= each.time <= account.last]
    within = sum(account.first <= each.time <= account.last for each in rows)
    return AccountReconciliation(account, log, within, compare(row.id, account.booked, matching, log.covers))
