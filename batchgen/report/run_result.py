"""What a run came to."""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.domain.errors import Exit
from batchgen.ledger.records import JobRow
from batchgen.report.missing_images import MissingImages


@dataclass(frozen=True, slots=True)
class RunResult:
    """What one run did, and how its job stands after it. Money in micro-dollars.

    Attributes:
        code: how it ended, as `batchgen run` does.
        job: as the books have it after the run.
        gone: delivered images whose files are not there; None for none.
        stopped: why it ended before all was done; "" when nothing was left to buy.
        calls: that it made, which brought `delivered` images.
        billed: what they cost; `maybe` may have been charged beside that.
        kept: answers of the job, of all its runs, that nobody could read so far.
        switches: what a person must know, such as that another route took over.
    """

    code: Exit
    job: JobRow
    gone: MissingImages | None
    stopped: str = ""
    calls: int = 0
    delivered: int = 0
    billed: int = 0
    maybe: int = 0
    kept: int = 0
    switches: tuple[str, ...] = ()
