"""How much a gateway lets in: calls per second, calls at once, and money."""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.simulator.faults import Options

BUSY = 1.0  # seconds to wait when every place is taken, and for a 429 out of the blue


@dataclass(slots=True)
class RouteLimits:
    """The limits of one route."""

    tokens: float = 0.0
    filled_at: float = float("-inf")
    inside: int = 0

    def enter(self, now: float, options: Options) -> float | None:
        """Let a call in, or say how many seconds it should wait; `now` is read from a clock that never jumps."""
        if options.concurrency is not None and self.inside >= options.concurrency:
            return BUSY
        if options.rate is not None:
            burst = float(options.burst)
            grown = (now - self.filled_at) * options.rate
            self.tokens = min(burst, self.tokens + grown) if grown < burst else burst
            self.filled_at = now
            # A hair less than one is one: sums of fractions do not meet it exactly.
            if self.tokens < 1 - 1e-9:
                return (1 - self.tokens) / options.rate
            self.tokens -= 1
        self.inside += 1
        return None

    def leave(self) -> None:
        """Give a place back: a call that was let in has its answer."""
        self.inside -= 1


@dataclass(slots=True)
class CreditBalance:
    """The account at one provider, in micro-dollars: what is spent, and what is held for calls in work."""

    spent: int = 0
    held: int = 0

    def left(self, limit: int) -> int:
        """Say what a further call may cost, in micro-dollars."""
        return max(0, limit - self.spent - self.held)

    def hold(self, amount: int) -> None:
        """Set money aside, as the gateways do before they run a call."""
        self.held += amount

    def settle(self, held: int, charged: int) -> None:
        """Give back what was held and take what was charged."""
        self.held -= held
        self.spent += charged
