"""How the ledger of rehearsals and the simulated gateway's own bill compare."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import inf
from pathlib import Path

from batchgen.app.rehearsal import BILL
from batchgen.domain.lifecycle import Charge
from batchgen.ledger.reader import Reader
from batchgen.simulator.bill import Bill, BillLine


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Calls whose price nobody can name, so that the books have no amount of them, and what the bill has.

    Attributes:
        charged: micro-dollars of those whose request ids are on the bill.
        at_most: micro-dollars that those without an id may have cost beside that.
    """

    calls: int = 0
    charged: int = 0
    at_most: int = 0


@dataclass(frozen=True, slots=True)
class BillComparison:
    """All rehearsals in the books and on the bill, in micro-dollars.

    Attributes:
        booked: what the books have as billed; `maybe` is maybe charged and `held` set aside beside that.
        charged: what the bill comes to.
        unpriced: of that, what belongs to calls without a price; looked for only where the sums do not agree.
    """

    booked: int
    maybe: int
    held: int
    charged: int
    unpriced: Unpriced = Unpriced()


def compare_with_bill(ledger: Path) -> BillComparison:
    """Compare the rehearsals' ledger with the simulated gateway's own bill.

    The bill's charges for calls of unknown price are set apart, call by call, so that all others have to agree.
    """
    lines = list(Bill.lines(BILL)) if BILL.exists() else []
    charged = sum(line.charged for line in lines)
    with Reader(ledger) as reader:
        rows = reader.jobs()
        booked, maybe = sum(row.billed for row in rows), sum(row.unknown for row in rows)
        held = sum(row.reserved for row in rows)
        odd = any(row.unpriced for row in rows) or not booked <= charged <= booked + maybe + held
        unpriced = _unpriced(reader, lines) if odd else Unpriced()
    return BillComparison(booked, maybe, held, charged, unpriced)


def _unpriced(reader: Reader, lines: list[BillLine]) -> Unpriced:
    """Say what the bill has of calls without a price. One that brought no id is any of its route that no call names."""
    named: set[str] = set()  # by calls of any price
    ids: set[str] = set()
    nameless: Counter[str] = Counter()
    calls = 0
    for problem in reader.calls(-inf, inf):
        attempt = problem.attempt
        own = {value for _, value in attempt.request_ids}
        named |= own
        if attempt.charge in {Charge.UNKNOWN, Charge.RESERVED} and attempt.billed == attempt.reserved == 0:
            calls += 1
            ids |= own
            nameless[attempt.route] += not own
    charged = sum(line.charged for line in lines if line.request_id in ids)
    at_most = 0
    for route, count in nameless.items():
        rest = (line.charged for line in lines if line.route == route and line.request_id not in named)
        at_most += sum(sorted(rest, reverse=True)[:count])
    return Unpriced(calls, charged, at_most)
