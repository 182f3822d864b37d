"""When the next call of a lane may be sent: what its calls have taught of a gateway whose limits nobody told."""

from __future__ import annotations

from typing import NamedTuple

from batchgen.policy.lanes.found_pace import FoundPace
from batchgen.policy.lanes.in_flight import NEVER, InFlightLimit
from batchgen.policy.lanes.known_pace import KnownPace
from batchgen.policy.lanes.marks import SURE, Estimate, Marks
from batchgen.policy.lanes.taken import SentCall, Taken

SHORT_WAIT = 5.0  # seconds; a longer wait that a gateway asks for is the lane's, a shorter one the refused task's
_OPINIONS = 2  # refusals that may be chance, where nothing was sent that would tell
_MOST_LAG = 1.0  # seconds; a process that sleeps longer was put to sleep
_FEWEST, _MOST = 4, 64  # unproven calls in flight


class NoLimit(NamedTuple):
    """Nothing is known to hold the lane in: more and more is sent while what was sent is taken in."""


class LaneRule(NamedTuple):
    """All that a lane knows; each thing that happens makes another one of it.

    A lane opens by time without refusal. It tells a limit of calls in flight from one of calls per time by when it is
    refused, stays just below, and goes on to try for more with single calls. Times are seconds on the monotonic clock.

    Attributes:
        ceiling: the most calls that may ever be in flight.
        taken: the calls that were taken in, and those of which that is not known yet.
        limit: what holds the lane in.
        known: the pace that the user or the gateway names; None for none.
        marks: the refusals so far.
        verdict_at: when the last episode was known; calls that had left before belong to it.
        paused_until: nobody goes before.
        answer: seconds that an answer takes, on average.
        flukes: refusals in a row that turned out to be for no reason of ours.
        careful: whether nothing has worked yet, so that address, key and model may all be wrong.
    """

    ceiling: int
    taken: Taken
    limit: NoLimit | InFlightLimit | FoundPace = NoLimit()
    known: KnownPace | None = None
    marks: Marks = Marks()
    verdict_at: float = float("-inf")
    paused_until: float = float("-inf")
    answer: float = 0.0
    flukes: int = 0
    careful: bool = True

    @classmethod
    def start(cls, ceiling: int, moment: float, known: KnownPace | None = None) -> LaneRule:
        """Know nothing but what is told.

        Args:
            ceiling: the most calls that may ever be in flight.
            moment: seconds within which a refusal is there.
            known: the pace that is not to be exceeded; None for none.
        """
        return cls(ceiling, Taken(moment), known=known)

    def stated(self, calls: int) -> LaneRule:
        """Return what is known once the gateway says how many calls in flight it takes; more are tried later."""
        limit = InFlightLimit.at(calls) if calls < self.ceiling else NoLimit()
        return self._replace(taken=self.taken._replace(proven=min(calls, self.ceiling)), limit=limit)

    # --- when the next call may go ---

    def calls(self, left: int) -> int:
        """Return how many calls may be in flight now, where `left` are still to be made."""
        limit = self.limit.calls if isinstance(self.limit, InFlightLimit) else self.taken.proven + _unproven(self, left)
        return min(self.ceiling, limit)

    def opening(self, now: float, flying: int, left: int, ahead: int = 0) -> float:
        """Return when a call may be sent, which may be in the past; infinity before something has come back.

        Args:
            now: the present.
            flying: calls in flight.
            left: calls that are still to be made, as far as is known.
            ahead: calls that are about to be sent before this one.
        """
        if flying + ahead >= self.ceiling:
            return NEVER
        found = max(self.paused_until, _opening_by_limit(self, now, flying, left, ahead))
        if self.known is not None:
            found = max(found, self.known.opening(now, ahead))
        if self.careful and flying + ahead >= _FEWEST:
            found = max(found, self.taken.proven_at(now, ahead))
        return found

    # --- what happens ---

    def settled(self, now: float) -> LaneRule:
        """Return what is known now that so much time has passed without a refusal."""
        known = self
        while (call := known.taken.ripe(now)) is not None:
            known = _after_taken(known, call, now)
        return known

    def after_headers(self, now: float, spent_for: float | None, rate: float | None) -> LaneRule:
        """Return what is known once the headers of an answer say how many calls are taken.

        Args:
            now: the present.
            spent_for: seconds for which no call is left; None when one is, or they do not say.
            rate: calls per second that are taken; None when they do not say.
        """
        known = self
        if spent_for is not None:
            known = known._replace(paused_until=max(known.paused_until, now + spent_for))
        if rate is not None and (known.known is None or rate < known.known.rate):
            known = known._replace(known=KnownPace(rate, slot=now))
        return known

    def after_lag(self, seconds: float) -> LaneRule:
        """Return what is known once this process came late to look, by so many seconds."""
        lag = max(min(seconds, _MOST_LAG), 0.8 * self.taken.lag)
        return self._replace(taken=self.taken._replace(lag=lag))

    def after_sent(self, now: float, flying: int) -> tuple[LaneRule, SentCall]:
        """Return what is known once a call has left, and the call.

        Args:
            now: the present.
            flying: calls in flight before it.
        """
        limit, number = self.limit, self.taken.sent
        call = SentCall(number, now, flying)
        if isinstance(limit, FoundPace):
            call = SentCall(number, now, flying, probe=limit.extra > 0, on_slot=limit.is_on_slot(now))
            limit = limit.after_sent(now)
        elif isinstance(limit, InFlightLimit) and flying >= limit.calls:
            call = SentCall(number, now, flying, probe=True)
            limit = limit.after_probe(call)
        return self._replace(
            taken=self.taken.after_sent(call),
            limit=limit,
            known=self.known and self.known.after_sent(now),
            marks=self.marks if self.marks.began is not None else self.marks._replace(began=now),
        ), call

    def after_answer(self, call: SentCall, now: float) -> LaneRule:
        """Return what is known once a call was answered, with whatever but that there were too many."""
        known = _after_taken(self, call, now) if call in self.taken.unproven else self
        took = now - call.at
        known = known._replace(answer=known.answer + (took - known.answer) * (0.05 if known.answer else 1.0))
        if isinstance(known.limit, InFlightLimit):
            way = min(known.taken.quickest, known.taken.moment)
            limit = known.limit.after_answer(now, _apart(known, known.limit), _gap(known), way)
            return known._replace(limit=limit)
        return known

    def after_unsent(self, call: SentCall) -> LaneRule:
        """Return what is known once it turns out that a call never left: nothing of the gateway."""
        limit = self.limit.after_unsent(call) if isinstance(self.limit, InFlightLimit) else self.limit
        return self._replace(taken=self.taken.after_unsent(call), limit=limit)

    def after_outage(self) -> LaneRule:
        """Return what is known once the gateway is back that was down: it is trusted with a quarter at first."""
        proven = min(self.taken.proven, max(_FEWEST, self.ceiling // 4))
        return self._replace(taken=self.taken._replace(proven=proven))

    def after_refusal(self, call: SentCall, now: float, wait: float | None) -> LaneRule:
        """Return what is known once the gateway has refused a call because there were too many.

        Args:
            call: what was refused.
            now: the present.
            wait: seconds that the gateway asks for; None when it does not say.
        """
        known, limit = self._replace(taken=self.taken.after_refused(call, now)), self.limit
        if wait is not None and wait > SHORT_WAIT:
            known = known._replace(paused_until=max(known.paused_until, now + wait))
        if known.known is not None:
            known = known._replace(known=known.known._replace(refused=known.known.refused + 1))
        if isinstance(limit, FoundPace) and call.probe:
            return known
        if call.at <= known.verdict_at:
            return known._replace(limit=limit.after_overshoot(call)) if isinstance(limit, InFlightLimit) else known
        known = _after_earlier(known, call, now)._replace(verdict_at=now)
        if known.known is not None and not known.known.strained:
            return known._replace(known=known.known.after_refused(now))
        if isinstance(limit, InFlightLimit) and call is limit.probe:
            return known._replace(limit=limit.after_refused_probe(now, _gap(known)))
        known = known._replace(marks=known.marks.after(call.at, known.taken.calls, call.number))
        if _is_one_more_fluke(known, call, self.taken.proven):
            return known._replace(taken=known.taken._replace(proven=self.taken.proven))
        return _limited(known, call, now)


def _unproven(known: LaneRule, left: int) -> int:
    """Return how many calls may be in flight of which it is not known whether they were taken in."""
    return max(_FEWEST, min(_MOST, left // 100), known.taken.proven // 4)


def _opening_by_limit(known: LaneRule, now: float, flying: int, left: int, ahead: int) -> float:
    taken, limit, unproven = known.taken, known.limit, _unproven(known, left)
    if isinstance(limit, FoundPace):
        if limit.extra:
            return now
        slot, most = limit.opening(now, ahead), limit.rate * taken.moment + unproven
        return slot if len(taken.unproven) + ahead < most else max(slot, taken.proven_at(now, ahead))
    if isinstance(limit, InFlightLimit) and flying + ahead >= limit.calls:
        return NEVER if ahead and flying + ahead > limit.calls else limit.may_exceed_at(taken.moment)
    if known.known is not None or flying + ahead < taken.proven + unproven:
        return now
    return taken.proven_at(now, ahead)


def _after_taken(known: LaneRule, call: SentCall, now: float) -> LaneRule:
    """Hold a call for taken in."""
    limit, known = known.limit, known._replace(taken=known.taken.after_taken(call), careful=False)
    if isinstance(limit, FoundPace):
        limit = limit.after_taken(call, now, known.taken.moment)
        return known._replace(limit=NoLimit(), flukes=_OPINIONS) if limit.disproven else known._replace(limit=limit)
    if not isinstance(limit, InFlightLimit) or call is not limit.probe:
        return known
    if limit.disproven(call):
        return _without_limit(known, limit, call)
    limit = limit.after_taken(now, _apart(known, limit), _gap(known))
    return known._replace(limit=limit if limit.calls < known.ceiling else NoLimit())


def _without_limit(known: LaneRule, limit: InFlightLimit, probe: SentCall) -> LaneRule:
    """Give a limit up, or the doubt of one: a probe was taken in where another call was refused, and none had left."""
    if limit.before:
        return known._replace(limit=limit.restored())
    if limit.by_chance or (limit.by_chance is None and len(known.marks.all) <= _OPINIONS):
        return known._replace(limit=NoLimit(), flukes=known.flukes + 1)
    return known._replace(limit=_paced(known, probe, probe.at), flukes=0)


def _apart(known: LaneRule, limit: InFlightLimit) -> float:
    """Return the seconds until halfway between two answers, when no place is due to become free."""
    return known.answer / (2 * limit.calls)


def _gap(known: LaneRule) -> float:
    """Return the seconds after which a place that is free at the gateway is known there, and none has come back."""
    return min(2 * known.taken.moment, known.answer / 3 or NEVER)


def _after_earlier(known: LaneRule, refused: SentCall, now: float) -> LaneRule:
    """Hold for taken in what left well before a call that was refused."""
    latest = refused.at - known.taken.moment / 2
    for call in known.taken.unproven:
        if call.at < latest:
            known = _after_taken(known, call, now)
    return known


def _is_one_more_fluke(known: LaneRule, call: SentCall, proven: int) -> bool:
    """Tell whether a refusal is for no reason of ours, like others before: calls at its level had been taken in."""
    before = isinstance(known.limit, NoLimit) and known.flukes >= _OPINIONS
    return before and call.level < proven and not known.marks.missed


def _limited(known: LaneRule, call: SentCall, now: float) -> LaneRule:
    """Hold the lane in by what its refusals say, the last among them."""
    limit, marks, gap = known.limit, known.marks, _gap(known)
    if isinstance(limit, FoundPace):
        limit = limit.refused_at(call.level)
        if limit.is_in_flight_limit and not marks.missed:
            return known._replace(limit=InFlightLimit.at(min(limit.levels)))
        if len(marks.all) == 1:  # the pace is from another run, and how full its bucket was nobody knows
            return known._replace(limit=limit.after_refused(now, Estimate(SURE, SURE / limit.rate), marks.missed))
        found, marks = marks.best_rate(limit.rate)
        return known._replace(limit=limit.after_refused(now, found, marks.missed), marks=marks)
    if isinstance(limit, NoLimit):
        later = sum(each.number > call.number for each in known.taken.unproven)
        return known._replace(limit=InFlightLimit.tried(call.level, later, now, gap))
    if not limit.doubtful:
        return known._replace(limit=limit.struck(call.level, now, gap), paused_until=max(known.paused_until, now + gap))
    paced = _paced(known, call, now)  # refused again where there was room
    return known._replace(limit=paced._replace(slot=now + 1 / paced.rate))


def _paced(known: LaneRule, call: SentCall, now: float) -> FoundPace:
    """Take what the refusals so far say for a pace, at the call that shows it."""
    found = known.marks.first_rate(call.at, known.taken.calls)
    return FoundPace.of(found, known.marks.burst(found.rate), now)
