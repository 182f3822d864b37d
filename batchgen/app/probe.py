"""One probe: what it asks, as a job of one prompt in the ledger, and how it is made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from batchgen.app.booked_run import booked_run
from batchgen.app.ending import INTERRUPTED, end_reason
from batchgen.app.gateway_access import played
from batchgen.app.keyring import KeyRing
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.rehearsal import simulated
from batchgen.app.run_host import RunHost, RunUnderWay
from batchgen.app.session import Session
from batchgen.app.spending_limits import walls_of
from batchgen.contracts.catalog import Catalog
from batchgen.contracts.contract import Contract
from batchgen.contracts.endpoints import ENDPOINTS
from batchgen.domain.errors import Exit, UsageError
from batchgen.domain.events import LanePaused, RunEvent
from batchgen.domain.inputs import InputFile
from batchgen.domain.job import FourK, JobSpec, Limits, Parameters, Prompt, Variant
from batchgen.domain.lifecycle import TaskState
from batchgen.domain.size import AUTO, Size, parse_size
from batchgen.engine.assembly import RouteSpec
from batchgen.engine.job_run import JobRun, Selection
from batchgen.engine.runner import Runner
from batchgen.ledger.reader import Reader
from batchgen.policy.decide import STOPS
from batchgen.report.probes import Probe

_SMALL = Size(1024, 1024)


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """What is asked of a route; None leaves it to the route."""

    endpoint: str | None
    main_model: str | None
    size: str | None
    quality: str | None
    prompt: str


class ProbePlan:
    """A `batchgen.domain.job.Plan` of a single prompt."""

    def __init__(self, probe: Probe) -> None:
        self.job = probe.spec
        self.variants: tuple[Variant, ...] = (Variant(0, probe.size, 1),)
        self.variant_sets: tuple[tuple[int, ...], ...] = ((0,),)
        self._probe = probe

    def prompts(self) -> Iterator[Prompt]:
        """Yield the one prompt."""
        own = int.from_bytes(blake2b(self._probe.text.encode(), digest_size=8).digest(), "big") >> 1
        path = f"{self._probe.key}-{{size}}"
        yield Prompt(0, self._probe.key, self._probe.text, path, "", own, 0, 0)

    def files(self) -> Iterator[InputFile]:
        """Yield nothing: a probe sends no files."""
        return iter(())

    def unchanged(self, files: Iterable[InputFile]) -> bool:
        """Say whether no files were recorded, either."""
        return not list(files)


def prepare(catalog: Catalog, routes: Sequence[str], asked: ProbeOptions, folder: Path) -> list[Probe]:
    """Make what to ask each route: the same of all, where they take it.

    Raises:
        ContractError: a route is not known, or does not serve the endpoint.
        UsageError: a route does not take what is asked.
    """
    written = [_written(route, asked) for route in routes]
    contracts = [catalog.resolve(each) for each in written]
    key = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    probes = []
    for contract, each, size in zip(contracts, written, _sizes(contracts, asked), strict=True):
        parameters = Parameters(quality=asked.quality)
        _check(contract, size, parameters, asked)
        slug = re.sub(r"[^a-z0-9._]+", "-", contract.route.lower())
        output = folder / "probes" / slug
        spec = JobSpec(
            name=f"probe-{slug}",
            route=contract.route,
            model=contract.model,
            manifest=output / "probe",  # there is none
            output=output,
            parameters=parameters,
            limits=Limits(concurrency=1, attempts=1, unknown=0),
            four_k=FourK.FAIL,
            source_hash=key,
        )
        one = replace(contract, keys=contract.keys[:1])  # a probe is one call
        probes.append(Probe(one, each, spec, key, asked.prompt.strip(), size))
    return probes


def _written(route: str, asked: ProbeOptions) -> dict[str, Any]:
    changes = {"endpoint": asked.endpoint, "main_model": asked.main_model}
    return {"use": route, **{name: value for name, value in changes.items() if value is not None}}


def _sizes(contracts: Sequence[Contract], asked: ProbeOptions) -> list[Size]:
    """Give the size asked for, else a small square that all of them take, else each its own."""
    if asked.size is not None:
        try:
            return [parse_size(asked.size)] * len(contracts)
        except ValueError as error:
            raise UsageError(f"--size: {error}") from None
    small = [contract.sizes.nearest(_SMALL) or AUTO for contract in contracts]
    common = (size for size in small if all(contract.check_size(size) is None for contract in contracts))
    shared = next(common, None)
    return small if shared is None else [shared] * len(contracts)


def _check(contract: Contract, size: Size, parameters: Parameters, asked: ProbeOptions) -> None:
    errors = [each.text for each in contract.check_parameters(parameters) if not each.is_doubt]
    errors += [refused] if (refused := contract.check_size(size)) is not None else []
    endpoint = contract.endpoint
    if endpoint.by_main_model and not contract.main_model:
        errors.append(f"the endpoint {endpoint.name} needs --main-model, the mainline model that draws")
    elif asked.main_model and not endpoint.by_main_model:
        drawn = " or ".join(each.name for each in ENDPOINTS.values() if each.by_main_model)
        errors.append(f"--main-model is for --endpoint {drawn}, not for {endpoint.name}")
    if endpoint.in_batches:
        errors.append("a probe waits for its answer, which a batch does not give; take another --endpoint")
    if not asked.prompt.strip() or len(asked.prompt) > contract.max_prompt:
        errors.append(f"--prompt must have 1 to {contract.max_prompt:,} characters")
    if errors:
        raise UsageError(f"{contract.route}: {'; '.join(errors)}")


async def make_probes(probes: Sequence[Probe], ledger: LedgerChoice, host: RunHost) -> Exit:
    """Make every call in turn; gives the exit code that matters most. What came of them is in the probes afterwards.

    Raises:
        UsageError: a key is missing.
        BatchgenError: books or disk failed, or another run has the ledger.
    """
    keys = KeyRing.of(Path.cwd())
    async with AsyncExitStack() as stack:
        if ledger.rehearse:
            addresses = await stack.enter_async_context(simulated([each.written for each in probes], 1000.0, ()))
            routes, keys = played([RouteSpec(each.contract) for each in probes], addresses)
            for probe, route in zip(probes, routes, strict=True):
                probe.contract = route.contract
        worst = Exit.DELIVERED
        for probe in probes:
            code = await _make(probe, ledger, keys, host)
            worst = max(worst, code)
            if code in {Exit.INTERRUPTED, Exit.LEFT_AT_ONCE}:
                break
    return worst


async def _make(probe: Probe, ledger: LedgerChoice, keys: KeyRing, host: RunHost) -> Exit:
    """Make the call, booked and checked like every other."""
    routes = [RouteSpec(probe.contract)]
    probe.fingerprint = keys.fingerprint(probe.contract.key_env)
    async with Session(ledger, probe.spec, Selection(only=frozenset({probe.key}))) as session:
        if await session.interrupted():  # an earlier probe that was killed
            await session.recover(await session.connect(routes, keys, buying=False))
        else:
            await session.tidy()
        await session.record(ProbePlan(probe), rebuy=False)
        with booked_run(session, walls_of(ledger.path, probe.spec.limits)) as booked:
            runner = Runner(await session.connect(routes, keys, buying=True))

            def once(event: RunEvent) -> None:
                if isinstance(event, LanePaused):  # a job would wait and try again; a probe has learnt what it asked
                    runner.job_run.drain(event.reason)

            await host.attend(RunUnderWay(session, runner, None, first=once))
            _learn(probe, ledger.path)
            code = _exit(probe, runner.job_run)
            booked.end(end_reason(runner.job_run, code), code)
    return code


def _learn(probe: Probe, ledger: Path) -> None:
    """Read what came of the call."""
    with Reader(ledger) as reader:
        job = reader.job(probe.spec.name)
        probe.task = next(reader.tasks(job.id, keys={probe.key}))
        probe.attempt = next(iter(reader.attempts(probe.task.id)[-1:]), None)


def _exit(probe: Probe, run: JobRun) -> Exit:
    if probe.task is not None and probe.task.state is TaskState.COMPLETED:
        return Exit.DELIVERED
    if run.aborted:
        return Exit.LEFT_AT_ONCE
    if run.stopped == INTERRUPTED:
        return Exit.INTERRUPTED
    attempt = probe.attempt
    stopped = attempt is None or attempt.outcome in STOPS
    return Exit.STOPPED if stopped else Exit.SOME_FAILED
