"""A lane through which nothing gets: how long it waits before the next try, and when it gives up."""

from __future__ import annotations

from typing import NamedTuple

from batchgen.policy.backoff import Backoff, Uniform

# A gateway that has let nothing through for so long is not busy, it is gone. Seconds.
PATIENCE = 3600.0
# Seconds that a call takes at most; what passes beyond it and its pause is this process's own sleep.
_CALL = 900.0
_BACKOFF = Backoff(base=1.0, cap=60.0)


class Standstill(NamedTuple):
    """What is known since a gateway last let a call through. All times are seconds on the monotonic clock.

    Attributes:
        episodes: refusals and failures in a row, where calls under way together count as one.
        began: when the last episode did.
        pause: seconds that it is waited for.
        until: no call goes before.
        lasted: seconds since the last call got through, without this process's own sleep.
    """

    episodes: int = 0
    began: float = float("-inf")
    pause: float = 0.0
    until: float = float("-inf")
    lasted: float = 0.0

    def over(self) -> Standstill:
        """Return what is known once a call got through."""
        return self._replace(episodes=0, lasted=0.0) if self.episodes else self

    def after_failure(self, sent: float, now: float, wait: float | None, uniform: Uniform) -> Standstill:
        """Return what is known once a call failed for which the lane waits.

        Args:
            sent: when the call left. Calls under way when an episode began belong to it.
            now: the present.
            wait: seconds that the gateway asks for; None when it does not say.
            uniform: draws the length of a pause that it leaves open.
        """
        known = self._in_episode(sent, now)
        pause = wait if wait is not None else _BACKOFF.delay(known.episodes, uniform)
        return known._replace(pause=pause, until=max(self.until, now + pause))

    def after_refusal(self, sent: float, now: float, wait: float) -> Standstill:
        """Return what is known once a call was refused because there were too many; others may go."""
        return self._in_episode(sent, now)._replace(pause=wait)

    @property
    def hopeless(self) -> str | None:
        """Why no call is worth waiting for, as it is said of the lane; None while one is."""
        if self.pause > PATIENCE:
            return f"asks for a pause of {self.pause / 60:.0f} minutes; run again then"
        if self.lasted + self.pause > PATIENCE:
            return f"has let nothing through for {PATIENCE / 60:.0f} minutes; run again later"
        return None

    def _in_episode(self, sent: float, now: float) -> Standstill:
        if sent <= self.began:
            return self
        lasted = self.lasted + min(now - self.began, self.pause + _CALL) if self.episodes else 0.0
        return self._replace(episodes=self.episodes + 1, began=now, lasted=lasted)
