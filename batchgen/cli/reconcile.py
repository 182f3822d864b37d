"""`batchgen reconcile`: the ledger against the gateway's own log of charges; lost answers are settled by it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.app.manifests import known_routes
from batchgen.cli.common import db_option, echo, job_name, json_option, ledger_path, print_json, rehearse_option, say
from batchgen.domain.errors import Exit, ManifestError

if TYPE_CHECKING:
    from datetime import timezone

    from batchgen.app.accounts import ProviderAccount
    from batchgen.app.charge_logs import ChargeLog
    from batchgen.cli.reconcile_text import Compared, Outcome
    from batchgen.contracts.contract import Contract
    from batchgen.ledger.reader import Reader
    from batchgen.ledger.records import JobRow


@click.command()
@click.argument("job")
@db_option
@rehearse_option
@json_option
@click.option("--log", "logs", multiple=True, metavar="FILE", help="An exported log instead; or PROVIDER=FILE.")
@click.option("--zone", default="UTC", show_default=True, help="Of times in FILE that name none, such as +08:00.")
@click.option("--dry-run", is_flag=True, help="Only say what would be settled; write nothing.")
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), help="Where claims go. [default: the output folder]"
)
def reconcile(
    job: str,
    db: Path | None,
    rehearse: bool,
    as_json: bool,
    logs: tuple[str, ...],
    zone: str,
    dry_run: bool,
    to: Path | None,
) -> None:
    """Compare the calls of JOB with the gateway's own log, settle lost answers by it, and write what can be claimed.

    Exit codes: 0 they agree, after settling · 2 no log, or no token for it · 3 something does not agree, or is open ·
    4 the log cannot be read now.
    """
    from batchgen.app.accounts import accounts_of
    from batchgen.cli.reconcile_text import Outcome, outcome_fields, outcome_lines
    from batchgen.ledger.reader import Reader
    from batchgen.report.log_file import read_zone

    path, offset = ledger_path(db, rehearse=rehearse), read_zone(zone)
    with Reader(path) as reader:
        row = reader.job(job_name(job))
        accounts = accounts_of(reader, row, _played(reader, row) if rehearse else _contracts(row))
    read = asyncio.run(_read(accounts, row, _files(logs, accounts), offset, rehearse=rehearse))
    outcome = Outcome(row, [_compared(row, *each) for each in zip(accounts, read, strict=True)])
    _claim(outcome, None if dry_run else to or row.output)
    if not dry_run:
        _settle(path, outcome)
    _write_claims(outcome)
    if as_json:
        print_json(outcome_fields(outcome))
    else:
        echo(*outcome_lines(outcome, dry_run=dry_run))
    if not outcome.agrees:
        raise click.exceptions.Exit(Exit.SOME_FAILED)


def _compared(row: JobRow, account: ProviderAccount, log: ChargeLog) -> Compared:
    """What the log says of the job's calls; the rows of other jobs' calls that reach into its time are matched too."""
    from batchgen.cli.reconcile_text import Compared
    from batchgen.report.matching import match
    from batchgen.report.reconciliation import compare

    rows = [each for each in log.rows if account.since <= each.time <= account.until and each.model in account.models]
    matching = match(account.booked, rows)
    matching.strangers = [each for each in matching.strangers if account.first <= each.time <= account.last]
    within = sum(account.first <= each.time <= account.last for each in rows)
    return Compared(account, log, within, compare(row.id, account.booked, matching, log.covers))


def _contracts(row: JobRow) -> dict[str, Contract]:
    """The contracts of the job's manifest; what is wrong with that is told, and those known here serve."""
    from batchgen.app.accounts import contracts_of

    try:
        return contracts_of(row)
    except ManifestError as error:
        say(f"{row.manifest} has problems ({error.problems[0]}); the routes are taken as they are known here")
        return {}


def _played(reader: Reader, row: JobRow) -> dict[str, Contract]:
    """The routes of a rehearsed job, at wherever the simulated gateway was."""
    catalog = known_routes()
    routes = sorted({spent.route for spent in reader.spending(row.id)})
    return {route: replace(catalog.find(route), base_url="http://127.0.0.1/v1") for route in routes}


def _files(logs: Sequence[str], accounts: Sequence[ProviderAccount]) -> dict[str, Path]:
    from batchgen.app.accounts import log_option

    return dict(log_option(value, accounts) for value in logs) if accounts else {}


async def _read(
    accounts: Sequence[ProviderAccount], row: JobRow, files: Mapping[str, Path], zone: timezone, *, rehearse: bool
) -> list[ChargeLog]:
    """The log of each account: from its file, or from the gateway.

    Raises:
        UsageError: an account has neither.
        LogUnavailable: it cannot be read now.
    """
    from batchgen.app.charge_logs import log_of_file, log_of_gateway, log_of_simulator

    logs = []
    for account in accounts:
        path = files.get(account.contract.provider)
        if path is not None:
            logs.append(log_of_file(path, zone))
        elif rehearse:
            logs.append(await log_of_simulator(account))
        else:
            logs.append(await log_of_gateway(account, row))
    return logs


def _settle(path: Path, outcome: Outcome) -> None:
    """Book what unknown charges turned out to be; nothing is opened to write when there are none."""
    from batchgen.domain.clock import SystemClock
    from batchgen.domain.lifecycle import Charge
    from batchgen.ledger.ledger import Ledger
    from batchgen.report.reconciliation import SETTLED, ChargeVerdict

    settled = [(part, found) for part in outcome.parts for found in part.comparison.of(*SETTLED)]
    if not settled:
        return
    with Ledger.open(path, SystemClock()) as ledger:
        for part, found in settled:
            charge = Charge.BILLED if found.verdict is ChargeVerdict.CHARGED else Charge.VOID
            ledger.settle_unknown(found.call.attempt, charge, found.amount, part.note(found))


def _claim(outcome: Outcome, folder: Path | None) -> None:
    """Find what can be claimed, and where it may be written if a folder is given."""
    from batchgen.report.refunds import check_refunds, refunds_of

    for part in outcome.parts:
        outcome.claims += refunds_of(part.comparison.calls, part.account.calls)
    if outcome.claims and folder is not None:
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        outcome.claims_file = folder / f"claims-{outcome.row.name}-{day}.csv"
        check_refunds(outcome.claims_file)


def _write_claims(outcome: Outcome) -> None:
    from batchgen.report.refunds import write_refunds

    if outcome.claims_file is not None:
        write_refunds(outcome.claims, outcome.claims_file)
