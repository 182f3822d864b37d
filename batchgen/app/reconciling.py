"""Compares a job with the gateways' own logs of charges, settles lost answers, writes what can be claimed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timezone
from pathlib import Path

from batchgen.app.charge_logs import read_logs
from batchgen.app.jobs import find_job
from batchgen.app.known_routes import known_routes
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.looking import Looking, in_silence
from batchgen.app.manifests import manifest_of
from batchgen.contracts.contract import Contract
from batchgen.domain.clock import SystemClock
from batchgen.domain.errors import ManifestError
from batchgen.domain.lifecycle import Charge
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.reader import Reader
from batchgen.ledger.records import JobRow
from batchgen.report.accounts import ProviderAccount, accounts_of, calls_within, log_option
from batchgen.report.cost_export import CostExport
from batchgen.report.cost_reconciliation import CostReconciliation, compare_costs
from batchgen.report.job_reconciliation import JobReconciliation, reconcile_account
from batchgen.report.reconciliation import SETTLED, ChargeVerdict
from batchgen.report.refunds import check_refunds, refunds_of, write_refunds


def reconcile(
    job: str,
    ledger: LedgerChoice,
    *,
    logs: Sequence[str] = (),
    zone: timezone = UTC,
    dry_run: bool = False,
    to: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
    looking: Looking = in_silence,
) -> JobReconciliation:
    """Compare the calls of a job with the logs of the accounts that they were charged to.

    Args:
        job: its name or its manifest.
        ledger: that has it.
        logs: exported ones, each a path or `PROVIDER=PATH`; where there is none, the gateway is asked.
        zone: of times in these that name none.
        dry_run: whether to settle nothing and to write nothing.
        to: the folder of the table of claims; None for the job's output.
        tell: told what is doubtful.
        looking: told how far the reading of logs is.

    Raises:
        UsageError: an account has no log, or its token is missing.
        LogUnavailable: a log cannot be read now.
    """
    with Reader(ledger.path) as reader:
        row = find_job(reader, job)
        own = _played(reader, row) if ledger.rehearse else _contracts(row, tell)
        accounts = accounts_of(reader, row, own, known_routes())
        files = dict(log_option(value, accounts) for value in logs) if accounts else {}
        read = asyncio.run(read_logs(accounts, row, files, zone, rehearse=ledger.rehearse, looking=looking))
        found = JobReconciliation(row, [])
        for account, log in zip(accounts, read, strict=True):
            if isinstance(log, CostExport):
                found.costs.append(_compare_costs(reader, row, account, log, own))
            else:
                found.parts.append(reconcile_account(row, account, log))
    _claim(found, None if dry_run else to or row.output)
    if not dry_run:
        _settle(ledger.path, found)
    if found.claims_file is not None:
        write_refunds(found.claims, found.claims_file)
    return found


def _compare_costs(
    reader: Reader, row: JobRow, account: ProviderAccount, log: CostExport, own: dict[str, Contract]
) -> CostReconciliation:
    """Compare an account with its bill by sums, over whole spans of it."""
    contract = account.contract
    models = {*account.models, *([contract.main_model] if contract.endpoint.by_main_model else [])}
    spans = [span for span in log.spans if span[0] <= account.last and account.first <= span[1]]
    calls = calls_within(reader, account, [*spans, (account.first, account.last)], own, known_routes())
    return compare_costs(contract.provider, row.id, calls, models, log)


def _contracts(row: JobRow, tell: Callable[[str], None]) -> dict[str, Contract]:
    """Give the contracts of a job's routes as its manifest has them; none where it is gone, as after a probe."""
    try:
        manifest = manifest_of(row)
    except ManifestError as error:
        tell(f"{row.manifest} has problems ({error.problems[0]}); the routes are taken as they are known here")
        return {}
    contracts = (manifest.contract, *(other.contract for other in manifest.fallbacks)) if manifest is not None else ()
    return {contract.route: contract for contract in contracts}


def _played(reader: Reader, row: JobRow) -> dict[str, Contract]:
    """Give the routes of a rehearsed job, at wherever the simulated gateway was."""
    catalog = known_routes()
    routes = sorted({spent.route for spent in reader.spending(row.id)})
    return {route: replace(catalog.find(route), base_url="http://127.0.0.1/v1") for route in routes}


def _claim(found: JobReconciliation, folder: Path | None) -> None:
    """Find what can be claimed, and where it may be written if a folder is given."""
    for part in found.parts:
        found.claims += refunds_of(part.comparison.calls, part.account.calls)
    if found.claims and folder is not None:
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        found.claims_file = folder / f"claims-{found.row.name}-{day}.csv"
        check_refunds(found.claims_file)


def _settle(path: Path, found: JobReconciliation) -> None:
    """Book what unknown charges turned out to be; nothing is opened to write when there are none."""
    settled = [(part, judged) for part in found.parts for judged in part.comparison.of(*SETTLED)]
    if not settled:
        return
    with Ledger.open(path, SystemClock()) as books:
        for part, judged in settled:
            charge = Charge.BILLED if judged.verdict is ChargeVerdict.CHARGED else Charge.VOID
            books.settle_unknown(judged.call.attempt, charge, judged.amount, part.note(judged))
