"""What a shop may ask a gateway to pay back: charges that brought no image, and charges that should be none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from batchgen.domain.clock import stamp
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import OutcomeKind
from batchgen.domain.money import usd_text
from batchgen.ledger.records import TaskAttempt
from batchgen.report.reconciliation import ChargeVerdict, JudgedCall
from batchgen.report.table_files import begins_with, check_place, write_csv

COLUMNS = (
    "time",
    "route",
    "model",
    "endpoint",
    "id",
    "size",
    "sample",
    "attempt",
    "amount_usd",
    "reason",
    "outcome",
    "status",
    "request_ids",
    "log_row",
    "log_time",
    "detail",
)
_REASONS = {
    OutcomeKind.SEND_BROKEN: "charged, and no answer came",
    OutcomeKind.LOST: "charged, and no answer came",
    OutcomeKind.TIMED_OUT: "charged, and no answer came in time",
    OutcomeKind.EDGE_ERROR: "charged, and a proxy answered with an error",
    OutcomeKind.SERVER_ERROR: "charged, and the answer is a server error",
    OutcomeKind.REFUSED: "charged, and the content was refused",
    OutcomeKind.REFUSED_TEXT: "charged, and the content was refused in words",
    OutcomeKind.EMPTY: "charged, and the answer holds no image",
    OutcomeKind.DAMAGED: "charged, and the bytes are no whole image",
    OutcomeKind.CUT: "charged, and the answer ended early",
    OutcomeKind.OVERSIZED: "charged, and the answer never ended",
    OutcomeKind.EXPIRED: "charged, and the image's address was dead",
}


@dataclass(frozen=True, slots=True)
class Refund:
    """One amount to ask back from a provider, and the call it was charged for.

    Attributes:
        amount: micro-dollars.
    """

    call: TaskAttempt
    judged: JudgedCall
    amount: int
    reason: str


def refunds_of(judged: Iterable[JudgedCall], calls: Mapping[int, TaskAttempt]) -> list[Refund]:
    """What of a comparison can be asked back; `calls` are the ledger's, by attempt."""
    refunds = []
    for each in judged:
        call = calls[each.call.attempt]
        amount, reason = _refund(each, call)
        if amount > 0:
            refunds.append(Refund(call, each, amount, reason))
    return refunds


def _refund(each: JudgedCall, call: TaskAttempt) -> tuple[int, str]:
    """What of one call can be asked back, and why; nothing where the log covers it and has no charge.

    Where the log does not cover it, nothing speaks against the books, so what they say stays a claim, and is told from
    those that the gateway's own log bears out.
    """
    outcome, charge = call.attempt.outcome, each.call.charge
    if each.verdict is ChargeVerdict.MISSING:
        return 0, ""
    if each.verdict is ChargeVerdict.OUTSIDE and outcome is not OutcomeKind.DELIVERED:
        reason = _REASONS.get(outcome or OutcomeKind.LOST, "charged, and no image came")
        return each.amount, f"{reason}; by the books alone, as the log does not cover it"
    charged = charge is Charge.BILLED or each.verdict is ChargeVerdict.CHARGED
    if charge is Charge.VOID and each.verdict is ChargeVerdict.DIFFERS:
        return each.amount, _REASONS.get(
            outcome or OutcomeKind.LOST, "charged, though such a call is free by the contract"
        )
    if charged and outcome is not OutcomeKind.DELIVERED:
        return each.amount, _REASONS.get(outcome or OutcomeKind.LOST, "charged, and no image came")
    if charge is Charge.BILLED and each.verdict is ChargeVerdict.DIFFERS:
        return each.amount - each.call.billed, "charged more than the price in the contract"
    return 0, ""


def check_refunds(path: Path) -> None:
    """See that refunds may be written there.

    Raises:
        UsageError: a file that is no table of refunds has this name.
        StoreError: what is there cannot be looked at.
    """
    check_place(path, begins_with(COLUMNS))


def write_refunds(refunds: Iterable[Refund], path: Path) -> int:
    """Write the refunds as a table, a row each; gives their number. Nothing of the prompts is in it but their ids.

    Raises:
        UsageError: a file that is no table of refunds has this name.
        StoreError: the file cannot be written.
    """
    return write_csv(path, COLUMNS, map(_cells, refunds))


def _cells(refund: Refund) -> list[object]:
    attempt, row = refund.call.attempt, refund.judged.row
    return [
        stamp(attempt.sent_at or attempt.reserved_at),
        attempt.route,
        attempt.model,
        attempt.endpoint,
        refund.call.key,
        attempt.size_sent,
        refund.call.sample,
        attempt.id,
        usd_text(refund.amount),
        refund.reason,
        str(attempt.outcome or ""),
        attempt.status or "",
        ", ".join(f"{name}: {value}" for name, value in attempt.request_ids),
        row.name if row is not None else "",
        stamp(row.time) if row is not None else "",
        attempt.detail,
    ]
