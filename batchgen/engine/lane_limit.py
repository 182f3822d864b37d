"""How many calls a lane may have in flight, and when it waits: the rule alone, without a clock and without waiting."""

from __future__ import annotations

from typing import NamedTuple

from batchgen.policy.backoff import Backoff, Uniform

START = 4  # calls
# A gateway that has let nothing through for so long is not busy, it is gone. Seconds.
PATIENCE = 3600.0
# Seconds that a call takes at most; what passes beyond it and its pause is this process's own sleep.
_CALL = 900.0
# Among so many answers, less than one in so many that asks for a pause is chance: the lane waits and stays as it is.
_WINDOW = 20
_SPORADIC = 5
_BACKOFF = Backoff(base=1.0, cap=60.0)


class LaneLimit(NamedTuple):
    """What a lane has learned of its gateway; each thing that happens makes another one of it.

    The limit starts at a few, doubles with every round of answers while the gateway keeps up, halves once per episode
    of refusals (a lone one only pauses the lane), and from then on grows by one per round. All times are seconds on
    the monotonic clock.

    Attributes:
        ceiling: the most calls that may ever be in flight.
        calls: how many may be in flight now.
        doubling: whether it has not been refused yet.
        wanted: whether somebody has waited for a place in this round; else the limit is not what holds the lane in.
        answered: calls answered in this round.
        recent: of the last answers, whether each asked for a pause.
        episodes: refusals in a row, where calls under way together count as one.
        episode_began: when the last episode did.
        halved: whether it has halved the limit.
        pause: seconds that the last refusal is waited for.
        paused_until: nobody is admitted before.
        refused_for: seconds since the gateway let the last call through, without this process's own sleep.
    """

    ceiling: int
    calls: int
    doubling: bool = True
    wanted: bool = False
    answered: int = 0
    recent: tuple[bool, ...] = ()
    episodes: int = 0
    episode_began: float = float("-inf")
    halved: bool = False
    pause: float = 0.0
    paused_until: float = 0.0
    refused_for: float = 0.0

    @classmethod
    def start(cls, ceiling: int) -> LaneLimit:
        """Know nothing of a gateway yet."""
        return cls(ceiling, min(START, ceiling))

    def after_waiting(self) -> LaneLimit:
        """Return what is known once somebody has found no place."""
        return self if self.wanted else self._replace(wanted=True)

    def after_answer(self) -> LaneLimit:
        """Return what is known once the gateway has answered as it should."""
        answered, recent = self.answered + 1, (*self.recent, False)[-_WINDOW:]
        if answered < self.calls:
            return self._replace(answered=answered, recent=recent, episodes=0)
        calls = self.calls
        if self.wanted and calls < self.ceiling:
            calls = min(self.ceiling, calls * 2 if self.doubling else calls + 1)
        return self._replace(calls=calls, answered=0, wanted=False, recent=recent, episodes=0)

    def after_refusal(self, started: float, now: float, wait: float | None, uniform: Uniform) -> LaneLimit:
        """Return what is known once the gateway wants a pause, or cannot be reached.

        Args:
            started: when the call got its place. Calls under way when an episode began belong to it.
            now: the present.
            wait: seconds that the gateway asks for; None when it does not say.
            uniform: draws the length of a pause that it leaves open.
        """
        known = _in_new_episode(self, now) if started > self.episode_began else self
        known = _halved_unless_by_chance(known, (*self.recent, True)[-_WINDOW:])
        pause = wait if wait is not None else _BACKOFF.delay(known.episodes, uniform)
        return known._replace(answered=0, pause=pause, paused_until=max(self.paused_until, now + pause))

    @property
    def hopeless(self) -> str | None:
        """Why no call is worth waiting for, as it is said of the lane; None while one is."""
        if self.pause > PATIENCE:
            return f"asks for a pause of {self.pause / 60:.0f} minutes; run again then"
        if self.refused_for + self.pause > PATIENCE:
            return f"has let nothing through for {PATIENCE / 60:.0f} minutes; run again later"
        return None


def _in_new_episode(known: LaneLimit, now: float) -> LaneLimit:
    lasted = min(now - known.episode_began, known.pause + _CALL)
    refused_for = known.refused_for + lasted if known.episodes else 0.0
    return known._replace(episodes=known.episodes + 1, episode_began=now, halved=False, refused_for=refused_for)


def _halved_unless_by_chance(known: LaneLimit, recent: tuple[bool, ...]) -> LaneLimit:
    if known.halved or sum(recent) * _SPORADIC < len(recent):
        return known._replace(recent=recent)
    return known._replace(calls=max(1, known.calls // 2), halved=True, doubling=False, recent=())
