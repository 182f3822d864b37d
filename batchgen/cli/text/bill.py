"""The comparison of all rehearsals with the simulated gateway's bill in words."""

from __future__ import annotations

from batchgen.app.bill_check import BillComparison
from batchgen.cli.text.jobs import amounts_text
from batchgen.domain.money import format_usd
from batchgen.domain.text import counted


def bill_line(found: BillComparison) -> str:
    """Say whether ledger and bill come to the same sum."""
    booked, maybe, held, unpriced = found.booked, found.maybe, found.held, found.unpriced
    ours, theirs = amounts_text(booked, maybe, held), format_usd(found.charged)
    if unpriced.calls:
        ours += f" + {counted(unpriced.calls, 'call')} of unknown price"
        theirs += f", of which {format_usd(unpriced.charged)} for such calls" if unpriced.charged else ""
    both = f"all rehearsals: the ledger says {ours}, the simulated gateway's bill says {theirs}"
    rest = found.charged - unpriced.charged
    if rest == booked:
        return f"{both}: equal"
    if booked < rest <= booked + maybe + held + unpriced.at_most:
        open_ = (("maybe charged", maybe), ("under way", held), ("of unknown price", unpriced.at_most))
        return f"{both}: within what is {' or '.join(name for name, money in open_ if money)}"
    return f"{both}: THEY DIFFER"
