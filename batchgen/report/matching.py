"""The ledger's calls and the rows of a gateway's log, each row matched with one call at most. Pure.

A log names a call by its request id where it does, and the books name the row that settled a call. Where neither does
(LaoZhang leaves ids out; a lost answer brought none), what is left is the model, the end of the call and the amount.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import zip_longest
from math import inf

from batchgen.domain.lifecycle import Charge
from batchgen.domain.log_row import LogRow
from batchgen.report.booked import UNDECIDED, Booked, Window

ROUNDING = 2  # micro-dollars: a quota unit, in which logs count, is as much

Place = tuple[str, str, int, bool]  # model, fingerprint of the key, amount, whether its id would be in the log


@dataclass(slots=True)
class Matching:
    """Which row of a log belongs to which call.

    Attributes:
        rows: the row of a call, by its attempt.
        strangers: rows that no call of the ledger accounts for.
        tokens: by fingerprint of a key, the names of its tokens in the log, as sure matches tell them.
        sure: attempts whose row is named by a request id or by the books.
        named: attempts with an id from a header whose ids the log is known to have: a row with another is not theirs.
    """

    rows: dict[int, LogRow] = field(default_factory=dict)
    strangers: list[LogRow] = field(default_factory=list)
    tokens: dict[str, set[str]] = field(default_factory=dict)
    sure: set[int] = field(default_factory=set)
    named: set[int] = field(default_factory=set)

    def is_foreign(self, row: LogRow) -> bool:
        """Whether a row is known to be of a key that the ledger's calls did not use."""
        known = set().union(*self.tokens.values())
        return bool(known and all(self.tokens.values()) and row.token and row.token not in known)

    def may_be_of(self, call: Booked, row: LogRow) -> bool:
        """Whether a row may be that of a call whose charge is unknown, were it not another's."""
        first, last = call.until_deadline
        affordable = row.amount > 0 and (not call.most or call.most + ROUNDING >= row.amount)
        same = row.model == call.model and _may_be_of(row, self.tokens.get(call.key, set()))
        others = call.attempt in self.named and row.request_id
        return bool(same and affordable and not others and first <= row.time <= last)


def match(calls: Sequence[Booked], rows: Iterable[LogRow]) -> Matching:
    """Match one to one: by id; as the books note it; then what was booked to the cent; then the rest, surest first."""
    found = Matching(tokens={call.key: set() for call in calls})
    waiting = _Waiting(found, list(calls), sorted(rows, key=lambda row: row.time))
    _by_id(waiting)
    found.named = _named(found, calls)
    _by_note(waiting)
    found.sure = set(found.rows)
    _by_amount(waiting)
    _learn_tokens(found, calls)
    waiting.settle(waiting.pairs(_Rule(_BILLED, lambda call: call.near, _nothing, _of_any_amount)))
    waiting.settle(
        waiting.pairs(_Rule(UNDECIDED, lambda call: call.until_deadline, lambda call: call.most, _affordable))
    )
    waiting.settle(waiting.pairs(_Rule(_BILLED, lambda call: call.wide, _nothing, _of_any_amount)))
    waiting.settle(waiting.pairs(_Rule(_FREE, lambda call: call.near, lambda call: call.most, _affordable)))
    found.strangers += [row for row in waiting.rows if row.amount]
    return found


_BILLED = frozenset({Charge.BILLED})
_FREE = frozenset({Charge.VOID})
_NEVER = inf, -inf


@dataclass(frozen=True, slots=True)
class _Rule:
    """Which calls a row may belong to.

    Attributes:
        charges: of the calls.
        window: when the row may have been written.
        amount: by which calls are told apart.
        places: where to look for the call of a row, the likeliest first.
    """

    charges: frozenset[Charge]
    window: Callable[[Booked], Window]
    amount: Callable[[Booked], int]
    places: Callable[[LogRow, _Open], Iterable[Place]]


@dataclass(slots=True)
class _Waiting:
    """Calls and rows that have not been matched yet."""

    found: Matching
    calls: list[Booked]
    rows: list[LogRow]

    def pairs(self, rule: _Rule, besides: Sequence[tuple[Booked, LogRow]] = ()) -> list[tuple[Booked, LogRow]]:
        """What a rule would match, besides pairs found already."""
        gone = {call.attempt for call, _ in besides}
        used = {id(row) for _, row in besides}
        calls = [call for call in self.calls if call.charge in rule.charges and call.attempt not in gone]
        rows = [row for row in self.rows if row.amount and id(row) not in used]
        return _in_order(calls, rows, rule, _Open(self.found))

    def settle(self, pairs: Sequence[tuple[Booked, LogRow]]) -> None:
        """Keep these pairs; neither side is looked at again."""
        used = {id(row) for _, row in pairs}
        self.found.rows |= {call.attempt: row for call, row in pairs}
        self.calls = [call for call in self.calls if call.attempt not in self.found.rows]
        self.rows = [row for row in self.rows if id(row) not in used]


def _by_id(waiting: _Waiting) -> None:
    owners = {one: call for call in waiting.calls for one in call.ids}
    pairs: dict[int, tuple[Booked, LogRow]] = {}
    for row in waiting.rows:
        call = owners.get(row.request_id) if row.request_id else None
        if call is not None:
            pairs.setdefault(call.attempt, (call, row))
    waiting.settle(list(pairs.values()))
    # A second row for the same request is a second charge, or the same row twice: never another call's.
    waiting.found.strangers = [row for row in waiting.rows if row.amount and row.request_id in owners]
    waiting.rows = [row for row in waiting.rows if row.request_id not in owners]


def _named(found: Matching, calls: Sequence[Booked]) -> set[int]:
    headers = {
        (call.model, header)
        for call in calls
        if (row := found.rows.get(call.attempt)) is not None
        for header, value in _ids(call)
        if value == row.request_id
    }
    return {call.attempt for call in calls if any((call.model, header) in headers for header, _ in _ids(call))}


def _ids(call: Booked) -> Iterator[tuple[str, str]]:
    return zip_longest(call.headers, call.ids, fillvalue="")


def _by_note(waiting: _Waiting) -> None:
    """What an earlier comparison settled keeps its row: by name and second, else (another log) by second and amount."""
    places: dict[tuple[str, int], LogRow] = {(row.name, int(row.time)): row for row in waiting.rows if row.amount}
    pairs: dict[int, tuple[Booked, LogRow]] = {}
    for call in waiting.calls:
        if call.noted is not None and call.charge is Charge.BILLED:
            row = places.get((call.noted.name, int(call.noted.time)))
            if row is not None and row.model == call.model and abs(row.amount - call.billed) <= ROUNDING:
                pairs.setdefault(id(row), (call, row))
    waiting.settle(list(pairs.values()))
    waiting.settle(waiting.pairs(_Rule(_BILLED, _where_noted, lambda call: call.billed, _exactly)))


def _where_noted(call: Booked) -> Window:
    return call.near if call.noted is not None else _NEVER


def _by_amount(waiting: _Waiting) -> None:
    """Near in time first, for who it was; as many as possible in any case, for the money."""
    near = _Rule(_BILLED, lambda call: call.near, lambda call: call.billed, _exactly)
    wide = replace(near, window=lambda call: call.wide)
    pairs = waiting.pairs(near)
    pairs += waiting.pairs(wide, pairs)
    most = waiting.pairs(wide)
    waiting.settle(pairs if len(pairs) >= len(most) else most)


def _learn_tokens(found: Matching, calls: Iterable[Booked]) -> None:
    for call in calls:
        row = found.rows.get(call.attempt)
        if row is not None and row.token:
            found.tokens[call.key].add(row.token)


class _Open:
    """Calls whose window is open, by model, key and amount; the one that closes first comes first.

    Attributes:
        tokens: as in `Matching`.
        places: by model, where there are calls.
    """

    def __init__(self, found: Matching) -> None:
        self.tokens = found.tokens
        self._named = found.named
        self.places: dict[str, set[Place]] = defaultdict(set)
        self._heaps: dict[Place, list[tuple[float, int, Booked]]] = defaultdict(list)

    def add(self, call: Booked, amount: int, end: float) -> None:
        """Add a call whose window opens now and closes at `end`, known by an amount."""
        place = call.model, call.key, amount, call.attempt in self._named
        heappush(self._heaps[place], (end, call.attempt, call))
        self.places[call.model].add(place)

    def take(self, place: Place, now: float) -> Booked | None:
        """The call there that closes first; None when none is open any more."""
        heap = self._heaps.get(place)
        while heap:
            end, _, call = heappop(heap)
            if end >= now:
                return call
        self._heaps.pop(place, None)
        self.places[place[0]].discard(place)
        return None


def _in_order(
    calls: Sequence[Booked], rows: Sequence[LogRow], rule: _Rule, opened: _Open
) -> list[tuple[Booked, LogRow]]:
    """Rows in the order of time, each to the open call that closes first: among equals no order matches more."""
    coming = sorted(((*rule.window(call), call.attempt, call) for call in calls), reverse=True)
    pairs = []
    for row in rows:
        while coming and coming[-1][0] <= row.time:
            _, end, _, call = coming.pop()
            opened.add(call, rule.amount(call), end)
        for place in rule.places(row, opened):
            if not (place[3] and row.request_id) and (owner := opened.take(place, row.time)) is not None:
                pairs.append((owner, row))
                break
    return pairs


def _nothing(_call: Booked) -> int:
    return 0


def _exactly(row: LogRow, opened: _Open) -> Iterator[Place]:
    """Calls that were booked at what the row says, to the rounding of a log."""
    for off in range(ROUNDING + 1):
        for amount in dict.fromkeys((row.amount - off, row.amount + off)):
            yield from ((row.model, key, amount, named) for key in opened.tokens for named in (True, False))


def _affordable(row: LogRow, opened: _Open) -> Iterable[Place]:
    """Calls that may have cost so much, the cheapest first; those without a price last."""
    places = [
        place
        for place in opened.places[row.model]
        if (not place[2] or place[2] + ROUNDING >= row.amount) and _may_be_of(row, opened.tokens[place[1]])
    ]
    return sorted(places, key=lambda place: (not place[2], place[2], place[1]))


def _of_any_amount(row: LogRow, opened: _Open) -> Iterable[Place]:
    return sorted(place for place in opened.places[row.model] if _may_be_of(row, opened.tokens[place[1]]))


def _may_be_of(row: LogRow, tokens: set[str]) -> bool:
    return not tokens or not row.token or row.token in tokens
