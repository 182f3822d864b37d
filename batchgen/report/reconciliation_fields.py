"""What a machine is told of a job against the logs of its accounts."""

from __future__ import annotations

from collections.abc import Iterable

from batchgen.domain.clock import stamp
from batchgen.domain.lifecycle import Charge
from batchgen.domain.log_row import LogRow
from batchgen.domain.money import usd_text
from batchgen.report.cost_reconciliation import CostReconciliation
from batchgen.report.job_reconciliation import AccountReconciliation, JobReconciliation
from batchgen.report.reconciliation import ChargeVerdict


def reconciliation_fields(outcome: JobReconciliation) -> dict[str, object]:
    """Give a job against the logs of its accounts."""
    ours, theirs = outcome.sums
    return {
        "job": outcome.row.name,
        "agrees": outcome.agrees,
        "ledger_usd": usd_text(ours),
        "log_usd": usd_text(theirs),
        "accounts": [_part_fields(part) for part in outcome.parts],
        "bills": [_bill_fields(bill) for bill in outcome.costs],
        "claims": len(outcome.claims),
        "claims_usd": usd_text(sum(each.amount for each in outcome.claims)),
        "claims_file": None if outcome.claims_file is None else str(outcome.claims_file),
    }


def _bill_fields(bill: CostReconciliation) -> dict[str, object]:
    return {
        "provider": bill.provider,
        "source": bill.source,
        "models": list(bill.models),
        "uncovered": bill.uncovered,
        "open": bill.open,
        "spans": [
            {
                "first": stamp(span.first),
                "last": stamp(span.last),
                "calls": span.calls,
                "booked_usd": usd_text(span.booked),
                "maybe_usd": usd_text(span.maybe),
                "billed_usd": usd_text(span.logged),
                "verdict": str(span.verdict),
            }
            for span in bill.spans
        ],
    }


def _part_fields(part: AccountReconciliation) -> dict[str, object]:
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


def _notable(part: AccountReconciliation) -> Iterable[dict[str, object]]:
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
            "reason": part.reason(found),
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
