"""Where the log of an account comes from: the gateway, the simulated one, or a file that somebody exported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timezone
from pathlib import Path

from batchgen.app.keyring import KeyRing
from batchgen.app.looking import Looking, in_silence
from batchgen.app.rehearsal import simulated
from batchgen.app.way_out import proxies_of
from batchgen.contracts.contract import Contract
from batchgen.domain.clock import Clock, SystemClock
from batchgen.domain.errors import UsageError
from batchgen.gateway.call_log import LogQuery, LogReader, log_address
from batchgen.gateway.proxy import DIRECT, Proxies
from batchgen.ledger.records import JobRow
from batchgen.report.accounts import ProviderAccount
from batchgen.report.charge_log import ChargeLog, log_of_file
from batchgen.report.cost_export import CostExport
from batchgen.report.coverage import Coverage


async def read_logs(
    accounts: Sequence[ProviderAccount],
    row: JobRow,
    files: Mapping[str, Path],
    zone: timezone,
    *,
    rehearse: bool,
    looking: Looking = in_silence,
) -> list[ChargeLog | CostExport]:
    """Read the log of each account: from its file, or from the gateway; `looking` is told of every row.

    Raises:
        UsageError: an account has neither.
        LogUnavailable: it cannot be read now.
    """
    logs: list[ChargeLog | CostExport] = []
    for account in accounts:
        path = files.get(account.contract.provider)
        step = looking(f"rows of the log of {account.contract.provider}")
        if path is not None:
            logs.append(log_of_file(path, zone, step))
        elif rehearse:
            logs.append(await _log_of_simulator(account, step))
        else:
            logs.append(await _log_of_gateway(account, row, step))
    return logs


async def _log_of_gateway(account: ProviderAccount, row: JobRow, step: Callable[[], None]) -> ChargeLog:
    """Read the log that a gateway itself gives out, up to now.

    Raises:
        UsageError: it gives none, or the token is missing or refused.
        LogUnavailable: it cannot be read now.
    """
    contract, clock = account.contract, SystemClock()
    _check_path(contract)
    keys, name = KeyRing.of(row.manifest.parent, Path.cwd()), contract.log.token_env
    if not keys.has(name):
        raise UsageError(
            f"{name} is not set: put the access token of your account at {contract.provider} there (it is no key of "
            "the calls), or give an export of its log with --log FILE"
        )
    return await _fetched(account, contract.base_url, keys.get(name), clock, step, proxies_of(contract, keys))


async def _log_of_simulator(account: ProviderAccount, step: Callable[[], None]) -> ChargeLog:
    """Read what the simulated gateway has charged in rehearsals. It ends with each, so that nothing comes later.

    Raises:
        UsageError: the real gateway gives no log, so neither does the simulated one.
    """
    _check_path(account.contract)
    async with simulated([account.contract.route], 1000.0, ()) as addresses:
        return await _fetched(account, addresses[0], "rehearsal", SystemClock(), step, DIRECT, closed=True)


async def _fetched(
    account: ProviderAccount,
    base_url: str,
    token: str,
    clock: Clock,
    step: Callable[[], None],
    proxies: Proxies,
    *,
    closed: bool = False,
) -> ChargeLog:
    address, now = log_address(base_url, account.contract.log.path), clock.now()
    query = LogQuery(address, token, tuple(sorted(account.models)), account.since, min(account.until, now))
    covers = Coverage(account.since, now, closed=closed, read_at=now)
    async with LogReader(clock, proxies) as reader:
        return ChargeLog(await reader.rows(query, step), f"log of {account.contract.provider}", covers, now)


def _check_path(contract: Contract) -> None:
    if not contract.log.path:
        raise UsageError(
            f"{contract.route} has no log that can be asked at {contract.base_url}; export the usage there as CSV and "
            "give it with --log FILE"
        )
