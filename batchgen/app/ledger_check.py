"""Whether a ledger knows what its output folders tell: an older copy would buy again what lies there."""

from __future__ import annotations

import shlex
from pathlib import Path

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.domain.errors import StoreError, UsageError
from batchgen.domain.job import JobSpec
from batchgen.domain.text import one_line
from batchgen.ledger.rebuilding import look
from batchgen.store.output.index_lines import newest
from batchgen.store.spool.owner import is_gone, owner_of


def check_ledger(choice: LedgerChoice, spec: JobSpec) -> None:
    """Make sure that a ledger has every attempt that the output of a job tells of, and those of all its other jobs.

    What is looked at is the end of each index and the names of the files in each spool, so this is cheap.

    Raises:
        UsageError: it is older than one of them; the message says how they are brought together.
        LedgerError: it cannot be read.
        StoreError: the job's output cannot be read.
    """
    owner, ledger = owner_of(spec.output), choice.path
    if owner is not None and not ledger.exists() and not is_gone(owner[0], ledger):
        return  # of a ledger that is there: whoever opens the spool says so
    for output in [spec.output, *look(ledger, ())[2]]:
        _check(choice, output, spec)


def _check(choice: LedgerChoice, output: Path, spec: JobSpec) -> None:
    ledger = choice.path
    try:
        lines, spooled = newest(output)
    except StoreError:
        if output == spec.output:
            raise
        return  # another job's, which is not worked on now
    told = {line.attempt for line in lines} | spooled
    unknown = told - look(ledger, told)[0]
    if not unknown:
        return
    jobs = {line.origin.job for line in lines if line.attempt in unknown} or {spec.name}
    own = str(spec.manifest) if spec.manifest.is_file() else spec.name
    words = shlex.quote(own if spec.name in jobs else one_line(min(jobs)))
    again = choice.command(f"rebuild {words} --from {shlex.quote(str(output))}")
    what = "is older than" if ledger.exists() else "does not exist, but there is"
    raise UsageError(
        f"the ledger {ledger} {what} {output}: attempt {max(unknown)} is there, and unknown to it, so what lies there "
        f"would be bought again. Put the right ledger back, or enter what the folder tells: {again}"
    )
