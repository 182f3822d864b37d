"""The accounts that a job's calls were charged to, each with the calls of the whole ledger in that time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from batchgen.contracts.catalog import Catalog
from batchgen.contracts.contract import Contract, is_loopback
from batchgen.domain.errors import ContractError, UsageError
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import OutcomeKind
from batchgen.domain.size import parse_size
from batchgen.ledger.reader import Reader
from batchgen.ledger.records import AttemptRow, JobRow, TaskAttempt
from batchgen.policy.classify import LOST_KINDS
from batchgen.report.booked import SLACK, Booked, noted_row, reach

_LONGEST_CALL = 3600.0  # seconds; an earlier call of another job may have ended within this job's time
_TIMEOUT = 600.0  # of a route that is not known here


@dataclass(slots=True)
class ProviderAccount:
    """What went over one provider.

    Attributes:
        contract: of one of the job's routes there, preferably one that names a log.
        calls: by attempt, those of all jobs; `booked` are those for matching, as far as they take part.
        models: that the job asked.
        first: of the time in which the job's own rows may be, which ends with `last`.
        since: of the time whose rows must be matched together, which ends with `until`: other jobs' calls reach in.
    """

    contract: Contract
    calls: dict[int, TaskAttempt] = field(default_factory=dict)
    booked: list[Booked] = field(default_factory=list)
    models: set[str] = field(default_factory=set)
    first: float = 0.0
    last: float = 0.0
    since: float = 0.0
    until: float = 0.0


def accounts_of(reader: Reader, row: JobRow, own: Mapping[str, Contract], catalog: Catalog) -> list[ProviderAccount]:
    """Give the accounts of a job's calls, by provider; none when nothing was sent.

    Args:
        reader: of the ledger.
        row: the job.
        own: contracts that win over those of the catalog.
        catalog: the routes that are known.

    Raises:
        UsageError: a route is not known here, or the calls went elsewhere than to where it is now.
    """
    span = reader.span(row.id)
    if span is None:
        return []
    calls = [call for call in reader.calls(span[0] - _LONGEST_CALL, span[1] + _LONGEST_CALL) if _counts(call.attempt)]
    contracts = _Contracts(own, catalog)
    accounts: dict[str, ProviderAccount] = {}
    for call in calls:
        if call.attempt.job == row.id:
            account = accounts.setdefault(call.attempt.provider, ProviderAccount(contracts.must(call.attempt.route)))
            if not account.contract.log.path:
                account.contract = contracts.must(call.attempt.route)
            _check_place(row, call.attempt, account.contract)
            account.models.add(call.attempt.model)
    for account in accounts.values():
        _fill(account, row, calls, contracts)
    return list(accounts.values())


def calls_within(
    reader: Reader,
    account: ProviderAccount,
    spans: Iterable[tuple[float, float]],
    own: Mapping[str, Contract],
    catalog: Catalog,
) -> list[Booked]:
    """Give all calls of an account, of any job, in the spans of time from the first to the last of these."""
    times = [time for span in spans for time in span]
    if not times:
        return []
    contracts, found = _Contracts(own, catalog), []
    for call in reader.calls(min(times) - _LONGEST_CALL, max(times) + _LONGEST_CALL):
        attempt = call.attempt
        near = _is_near(attempt.base_url) == account.contract.loopback
        same = attempt.provider == account.contract.provider and attempt.model in account.models
        if near and same and _counts(attempt):
            found.append(_booked(attempt, contracts.timeout(attempt)))
    return found


def _fill(account: ProviderAccount, row: JobRow, calls: Iterable[TaskAttempt], contracts: _Contracts) -> None:
    for call in calls:
        attempt = call.attempt
        same = attempt.provider == account.contract.provider and attempt.model in account.models
        if same and _is_near(attempt.base_url) == account.contract.loopback:
            account.calls[attempt.id] = call
            account.booked.append(_booked(attempt, contracts.timeout(attempt)))
    mine = [each for each in account.booked if each.job == row.id]
    account.first = min(each.begun for each in mine) - SLACK
    account.last = max(max(each.ended, each.latest) for each in mine) + SLACK
    account.since, account.until = reach(account.booked, (account.first, account.last))
    account.booked = [
        each for each in account.booked if each.wide[1] >= account.since and each.wide[0] <= account.until
    ]


class _Contracts:
    """Contracts by route: the job's own, else those known here."""

    def __init__(self, own: Mapping[str, Contract], catalog: Catalog) -> None:
        self._own = own
        self._catalog = catalog

    def must(self, route: str) -> Contract:
        if route in self._own:
            return self._own[route]
        try:
            return self._catalog.find(route)
        except ContractError as error:
            raise UsageError(f"{error}; calls went over it, so name its contract file in BATCHGEN_CONTRACTS") from None

    def timeout(self, attempt: AttemptRow) -> float:
        """Seconds that a call could take."""
        try:
            contract = self._own.get(attempt.route) or self._catalog.find(attempt.route)
        except ContractError:
            return _TIMEOUT
        most = contract.references.many  # the books do not say how many input images went with a call
        return contract.timeout_for(parse_size(attempt.size_sent), attempt.quality, most)


def _counts(attempt: AttemptRow) -> bool:
    """Say whether a call can be in a log at all: what never left cannot."""
    return attempt.charge is not Charge.VOID or (attempt.outcome is not OutcomeKind.NOT_SENT and attempt.sent_at > 0)


def _booked(attempt: AttemptRow, timeout: float) -> Booked:
    begun = attempt.sent_at or attempt.reserved_at
    lost = attempt.outcome is None or attempt.outcome in LOST_KINDS
    deadline = begun + timeout
    ended = begun + attempt.total if attempt.total else deadline if lost else max(begun, attempt.finished_at)
    return Booked(
        attempt=attempt.id,
        job=attempt.job,
        model=attempt.model,
        charge=attempt.charge,
        billed=attempt.billed,
        most=max(attempt.billed, attempt.reserved),
        ids=tuple(value for _, value in attempt.request_ids),
        headers=tuple(name for name, _ in attempt.request_ids),
        begun=begun,
        heard=begun + attempt.first_byte if attempt.first_byte else ended,
        ended=ended,
        latest=max(ended, deadline) if lost else ended,
        key=attempt.key_fingerprint,
        lost=lost,
        noted=noted_row(attempt.settled_note),
    )


def _check_place(row: JobRow, attempt: AttemptRow, contract: Contract) -> None:
    """Refuse another machine than the calls went to: a token goes there or nowhere."""
    if _is_near(attempt.base_url) != contract.loopback:
        raise UsageError(
            f"calls of {row.name} went to {attempt.base_url}, but {contract.route} is at {contract.base_url} now; "
            f"put its base_url back into {row.manifest}"
        )


def _is_near(base_url: str) -> bool:
    return is_loopback(urlsplit(base_url).hostname or "")


def log_option(value: str, accounts: Iterable[ProviderAccount]) -> tuple[str, Path]:
    """Give the provider and the file that one `--log` names.

    Raises:
        UsageError: there are several providers and it names none of them.
    """
    providers = [account.contract.provider for account in accounts]
    name, equals, path = value.partition("=")
    if equals and name in providers:
        return name, Path(path)
    if len(providers) == 1:
        return providers[0], Path(value)
    raise UsageError(f"the calls went to {' and '.join(providers)}; say whose log it is: --log {providers[0]}={value}")
