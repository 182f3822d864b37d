"""Which fault a call meets.

Chance is a function of the seed, the request and how often it came before, so that the same job meets the same weather
in whatever order its calls arrive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

from batchgen.domain.errors import UsageError
from batchgen.domain.size import Size
from batchgen.simulator.faults import Fault, Options

_MARKER = re.compile(r"\[\[sim:([a-z0-9, -]+)\]\]")
# In a batch nothing travels back by itself: what would be lost or broken on its way fails at the gateway instead.
_IN_BATCH = {
    **dict.fromkeys((Fault.HANG, Fault.DROP, Fault.NOT_HTTP, Fault.CUT, Fault.GARBAGE), Fault.SERVER),
    **dict.fromkeys((Fault.SERVER_HTML, Fault.BAD_GATEWAY, Fault.EDGE_TIMEOUT), Fault.SERVER),
    **dict.fromkeys((Fault.SLOW, Fault.STREAM), Fault.NONE),
}


@dataclass(frozen=True, slots=True)
class Chance:
    """The dice of one call: independent numbers by name, the same whenever it is played again."""

    seed: int
    request: str
    occurrence: int

    def roll(self, what: str) -> float:
        """Return a number from 0 up to but not including 1, always the same for a name."""
        text = f"{self.seed}:{self.request}:{self.occurrence}:{what}"
        return int.from_bytes(sha256(text.encode()).digest()[:6]) / 2**48


def strip_marker(prompt: str) -> str:
    """Return the prompt without what it asks of the simulator."""
    return _MARKER.sub("", prompt).strip() if "[[sim:" in prompt else prompt


def named_faults(header: str, prompt: str) -> tuple[Fault, ...]:
    """Read the faults a request names itself, for its first, second … call; the header goes before the prompt.

    One name holds for every call; of several the last one passes too, and later calls are answered as usual.

    Raises:
        UsageError: a name that is no fault.
    """
    text = header
    if not text and "[[sim:" in prompt and (marker := _MARKER.search(prompt)):
        text = marker[1]
    try:
        return tuple(Fault(name.strip()) for name in text.split(",")) if text else ()
    except ValueError:
        raise UsageError(f"{text!r} is no fault the simulator knows; there are {', '.join(Fault)}") from None


def choose(options: Options, named: tuple[Fault, ...], chance: Chance, size: Size, sporadic_4k: bool) -> Fault:
    """Choose what goes wrong with one call, `Fault.NONE` for nothing."""
    if len(named) == 1:
        return named[0]
    if named:
        return named[chance.occurrence - 1] if chance.occurrence <= len(named) else Fault.NONE
    if sporadic_4k and options.p500_4k and size.tier == "4K" and chance.roll("4k") < options.p500_4k:
        return Fault.SERVER
    if options.chances:
        mark = chance.roll("fault")
        for fault in Fault:
            mark -= options.chances.get(fault, 0.0)
            if mark < 0:
                return fault
    return Fault.NONE


def in_batch(fault: Fault) -> Fault:
    """Translate a fault into what a line of a batch meets."""
    return _IN_BATCH.get(fault, fault)
