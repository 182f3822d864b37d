"""Kept answers read again: what a newer program or a contract's own rule can read becomes an image, without a call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from batchgen.app.gateway_access import GatewayAccess
from batchgen.app.jobs import find_job
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.manifests import manifest_of
from batchgen.app.planning import job_on
from batchgen.app.run_options import RunOptions
from batchgen.app.session import Session
from batchgen.domain.errors import UsageError
from batchgen.engine.job_run import Selection
from batchgen.engine.local_folder import UntouchedFolder
from batchgen.engine.recover_kept import KeptFate, KeptReader, Reread, preview
from batchgen.ledger.reader import Reader
from batchgen.ledger.records import JobRow
from batchgen.manifest.manifest import Manifest


@dataclass(frozen=True, slots=True)
class KeptRecovery:
    """What became of the kept answers of a job, or would in a dry run."""

    row: JobRow
    answers: tuple[Reread, ...]
    dry_run: bool = False

    def count(self, fate: KeptFate) -> int:
        """How many of them became this."""
        return sum(answer.fate is fate for answer in self.answers)

    @property
    def complete(self) -> bool:
        """Whether every one has become an image."""
        return all(answer.fate in {KeptFate.DELIVERED, KeptFate.FILED} for answer in self.answers)


async def recover_kept(
    job: str, ledger: LedgerChoice, *, dry_run: bool = False, tell: Callable[[str], None] = lambda _: None
) -> KeptRecovery:
    """Read the kept answers of a job again, as its manifest and its routes are now. Makes no paid call.

    Args:
        job: its name or its manifest.
        ledger: that has it.
        dry_run: whether to say only what is in them; nothing is fetched or written then.
        tell: told what was set right.

    Raises:
        ManifestError: the manifest has problems.
        UsageError: the ledger has no such job, or its manifest is gone.
        LedgerInUse: a run has the ledger.
        StoreError: the output folder cannot be read or written.
    """
    with Reader(ledger.path) as reader:
        row = find_job(reader, job)
    manifest = manifest_of(row)
    if manifest is None:
        raise UsageError(f"{row.manifest}, which says how its routes are read, is not there; put it back")
    if dry_run:
        return KeptRecovery(row, tuple(await _look(row, manifest, ledger)), dry_run=True)
    return KeptRecovery(row, tuple(await _recover(manifest, ledger, tell)))


async def _look(row: JobRow, manifest: Manifest, ledger: LedgerChoice) -> list[Reread]:
    folder = UntouchedFolder(row.output)
    with Reader(ledger.path) as reader:
        calls = reader.paid_calls(row.id, await folder.kept())
    contracts = (manifest.contract, *(other.contract for other in manifest.fallbacks))
    return await preview(folder, calls, {contract.route: contract for contract in contracts})


async def _recover(manifest: Manifest, ledger: LedgerChoice, tell: Callable[[str], None]) -> list[Reread]:
    async with AsyncExitStack() as stack:
        gateways = GatewayAccess(manifest, RunOptions(), stack, rehearse=ledger.rehearse)
        spec = job_on(manifest, ledger)
        session = await stack.enter_async_context(Session(ledger, spec, Selection()))
        executor = await session.connect(*await gateways.reach(), buying=False)
        if await session.interrupted():
            await session.recover(executor)
        found = await KeptReader(executor).run()
        for note in await session.notes():
            tell(note)
        return found
