"""The one family of errors. Each carries the sentence a user reads and the exit code of the process.

BatchgenError            1  something the user can act on
├── UsageError           2  the command line asks for what cannot be done
├── ManifestError        2  every problem of a manifest and its catalogs
├── ContractError        2  a contract file is wrong, or a route is not known
├── LedgerError          1  the ledger cannot be opened, read or written
│   ├── LedgerInUse      4  another process owns it
│   ├── LedgerFull       4  the disk has no room for it
│   ├── NotInLedger      2  it, or the job asked for, does not exist
│   ├── BatchUnderWay    4  a gateway works on a batch of what would change
│   ├── PaidUnderWay     4  a paid image is still to be fetched for what would change
│   └── StaleClaim       1  a task was settled by somebody who no longer holds it
├── StoreError           4  the spool or the output folder cannot be used
│   ├── NoRoom           4  the disk has no room for another answer
│   └── ForeignOutput    2  the output folder belongs to another ledger
├── GatewayError         4  a gateway did not answer a question that costs nothing
├── LogUnavailable       4  a gateway's log of charges cannot be had
└── PriceUnknown         4  a call may cost more than was set aside for it
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from batchgen.domain.text import escaped

_LONGEST = 1_000  # characters of a problem; a manifest may hold values of any length


class Exit(IntEnum):
    """Exit codes of every command."""

    DELIVERED = 0
    INTERNAL = 1
    USAGE = 2
    SOME_FAILED = 3
    STOPPED = 4
    SOME_PARKED = 5
    INTERRUPTED = 130
    LEFT_AT_ONCE = 131


class BatchgenError(Exception):
    """Something the user can act on: one sentence, and the next step in it."""

    exit_code: Exit = Exit.INTERNAL


class UsageError(BatchgenError):
    """The command line asks for what cannot be done."""

    exit_code = Exit.USAGE


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in a manifest, its catalog or a contract.

    Attributes:
        file: the file as the user named it.
        line: 1-based; 0 when the file as a whole is meant.
        column: 1-based; 0 when unknown.
        key: dotted path of the key, "" when none.
        message: what is wrong and what would be right.
    """

    file: str
    line: int
    column: int
    key: str
    message: str

    def __str__(self) -> str:
        place = self.file
        if self.line:
            place += f":{self.line}" + (f":{self.column}" if self.column else "")
        said = f"{place}: {self.key + ': ' if self.key else ''}{self.message}"
        return escaped(said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…", 4 * _LONGEST)


class ManifestError(BatchgenError):
    """Every problem found in a manifest and its catalog, all at once."""

    exit_code = Exit.USAGE

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class GatewayError(BatchgenError):
    """The gateway did not answer a question that costs nothing.

    Attributes:
        passing: whether the same may be asked again soon.
        status: HTTP, 0 when there was no answer.
    """

    exit_code = Exit.STOPPED

    def __init__(self, message: str, *, passing: bool = False, status: int = 0) -> None:
        self.passing = passing
        self.status = status
        super().__init__(message)


class ContractError(BatchgenError):
    """A contract file is wrong, or a route is not known."""

    exit_code = Exit.USAGE


class PriceUnknown(BatchgenError):
    """A call could cost more than the budget sets aside for it, so it is not made."""

    exit_code = Exit.STOPPED


class LedgerError(BatchgenError):
    """The ledger cannot be opened, read or written."""


class LedgerInUse(LedgerError):
    """Another process owns the ledger."""

    exit_code = Exit.STOPPED


class NotInLedger(LedgerError):
    """The ledger, or the job, that is asked for does not exist."""

    exit_code = Exit.USAGE


class BatchUnderWay(LedgerError):
    """A gateway is working on calls of the job, so what they ask cannot change now."""

    exit_code = Exit.STOPPED


class PaidUnderWay(LedgerError):
    """An image that is paid and still to be fetched would be changed; what it is of cannot change now."""

    exit_code = Exit.STOPPED


class LedgerFull(LedgerError):
    """The disk has no room for the books, so nothing may be bought."""

    exit_code = Exit.STOPPED


class StaleClaim(LedgerError):
    """A task was settled by somebody who no longer holds it. Its money is booked all the same."""


class StoreError(BatchgenError):
    """The spool or the output folder cannot be used as asked."""

    exit_code = Exit.STOPPED


class NoRoom(StoreError):
    """The disk has no room for another answer, so no call is made."""


class ForeignOutput(StoreError):
    """The output folder belongs to another ledger."""

    exit_code = Exit.USAGE


class LogUnavailable(BatchgenError):
    """The gateway's log of charges cannot be had, or not in a form that is known."""

    exit_code = Exit.STOPPED
