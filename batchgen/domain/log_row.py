"""What a gateway says it charged, apart from the answers it gave."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogRow:
    """One charge in a gateway's own log.

    Attributes:
        name: which row, as a person finds it again: its number in the log, or its line in a file.
        time: seconds since the epoch at which the gateway was done with the call, often in whole seconds.
        amount: micro-dollars.
        request_id: "" where the log leaves it out.
        token: the name the account gave the key, "" when the log does not say.
        blur: micro-dollars that a row of nothing may have been rounded from; 0 where the log does not round.
    """

    name: str
    time: float
    model: str
    amount: int
    request_id: str = ""
    token: str = ""
    blur: int = 0
