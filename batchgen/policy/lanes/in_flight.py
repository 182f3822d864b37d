"""A gateway that takes so many calls at once and not one more: how many, and whether that still stands."""

from __future__ import annotations

from typing import NamedTuple

from batchgen.policy.lanes.marks import SURE
from batchgen.policy.lanes.taken import SentCall

NEVER = float("inf")
_CHANCE = 5  # one refusal among so many answers may be chance
_FEW = 2  # calls of which the fate tells chance from a limit
_SPREAD = 4  # an accepted probe widens the limit by a fourth of it at most


class InFlightLimit(NamedTuple):
    """So many calls in flight, and single probes above that.

    A gateway that limits calls per time refuses at some level too. So the limit is on trial at first: a probe that is
    taken where another was refused, although none has come back since, says that it was no limit of calls in flight.

    Attributes:
        calls: in flight at most.
        trial: whether it may yet turn out to be a pace.
        longer: how many times as long as at first the next probe waits for, while it is on trial.
        probe: the call above the limit that is out; None for none.
        probe_at: when the next may go.
        quiet: whether nothing was answered while the probe was on its way to the gateway.
        step: places that an accepted probe brings.
        calm: answers since the last refusal or probe; so many as `need` allow the next probe.
        round: answers since the limit was set, or was put on trial again.
        answers: answers since it was set.
        before: what the limit was before it was put on trial; 0 for none.
        strikes: refusals since it was set that turned out not to be for the calls in flight.
        later: calls that had left after the one whose refusal set the limit, before that was known.
        refused: how many of these were refused as well.
    """

    calls: int
    trial: bool = False
    longer: int = 1
    probe: SentCall | None = None
    probe_at: float = NEVER
    quiet: bool = True
    step: int = 1
    calm: int = 0
    need: int = SURE
    round: int = 0
    answers: int = 0
    before: int = 0
    strikes: int = 0
    later: int = 0
    refused: int = 0

    @classmethod
    def at(cls, level: int) -> InFlightLimit:
        """Know the limit from elsewhere."""
        return cls(max(1, level), need=min(SURE, max(20, 4 * level)))

    @classmethod
    def tried(cls, level: int, later: int, now: float, gap: float) -> InFlightLimit:
        """Take the level of a refusal for the limit, until a probe after a gap says more."""
        return cls.at(level)._replace(later=later, trial=True, probe_at=now + gap)

    def struck(self, level: int, now: float, gap: float) -> InFlightLimit:
        """Doubt a limit that stood, because a call below it was refused."""
        calls = max(1, min(self.calls, level))
        known = self._replace(calls=calls, before=self.calls, step=1, calm=0, round=0)
        return known._replace(trial=True, longer=1, probe_at=now + gap)

    def restored(self) -> InFlightLimit:
        """Believe in a limit as it was: a single refusal was chance."""
        return self._replace(calls=self.before, trial=False, probe=None, probe_at=NEVER, strikes=self.strikes + 1)

    @property
    def doubtful(self) -> bool:
        """Whether it was refused so often below the limit that this is not chance."""
        return self.trial or self.strikes * _CHANCE > self.answers

    @property
    def by_chance(self) -> bool | None:
        """Whether the refusal that set it was chance, as others were taken after it; None when too few were sent."""
        return self.refused * 2 < self.later if self.later >= _FEW else None

    def may_exceed_at(self, moment: float) -> float:
        """Return when one more call than the limit may go; `NEVER` before something has come back."""
        return self.probe_at if self.probe is None else self.probe.at + moment

    def after_probe(self, call: SentCall) -> InFlightLimit:
        """Return what is known once a call above the limit has left."""
        return self._replace(probe=call, probe_at=NEVER, quiet=True)

    def disproven(self, call: SentCall) -> bool:
        """Tell whether a call that was taken in says that it is no limit of calls in flight."""
        return call is self.probe and self.trial and self.quiet

    def after_unsent(self, call: SentCall) -> InFlightLimit:
        """Return what is known once it turns out that a call never left."""
        return self._replace(probe=None, probe_at=call.at) if call is self.probe else self

    def after_taken(self, now: float, apart: float, gap: float) -> InFlightLimit:
        """Return what is known once the probe was taken in; for `apart` and `gap` see `after_answer`."""
        if self.trial:
            return self._replace(probe=None, probe_at=now + gap * self.longer)
        calls, step = self.calls + self.step, min(2 * self.step, max(1, (self.calls + self.step) // _SPREAD))
        return self._replace(calls=calls, step=step, probe=None, probe_at=now + apart)

    def after_answer(self, now: float, apart: float, gap: float, way: float) -> InFlightLimit:
        """Return what is known once a call was answered.

        Args:
            now: the present.
            apart: seconds until the next probe of a limit that stands.
            gap: the same of one that is on trial.
            way: seconds that a call is on its way at most.
        """
        quiet = self.quiet and (self.probe is None or now - self.probe.at > way)
        known = self._replace(quiet=quiet, calm=self.calm + 1, round=self.round + 1, answers=self.answers + 1)
        if known.probe is not None:
            return known
        if known.trial and known.round > max(4, known.calls):  # a whole round was taken: it is one
            known = known._replace(trial=False, probe_at=NEVER)
        if known.trial:
            return known._replace(probe_at=now + gap * known.longer)
        if known.probe_at == NEVER and known.calm >= known.need:
            return known._replace(calm=0, probe_at=now + apart)
        return known

    def after_overshoot(self, call: SentCall) -> InFlightLimit:
        """Return what is known once a call was refused that had left before the last refusal was known."""
        if call is self.probe:
            return self._replace(probe=None)
        calls = max(1, min(self.calls, call.level))
        return self._replace(calls=calls, refused=self.refused + 1)

    def after_refused_probe(self, now: float, gap: float) -> InFlightLimit:
        """Return what is known once the gateway has shown that the limit stands."""
        known = self._replace(probe=None, calm=0, step=1)
        if known.trial:
            return known._replace(longer=3 * known.longer, probe_at=now + 3 * known.longer * gap)
        return known._replace(need=min(SURE, 2 * known.need))
