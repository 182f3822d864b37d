"""Whether a bill can be believed that is made of the gateway's own figures. Pure."""

from __future__ import annotations

from dataclasses import astuple

from batchgen.contracts.contract import Contract
from batchgen.contracts.tokens import TokenPrice
from batchgen.domain.model import Cost
from batchgen.domain.money import MICROS_PER_USD, format_usd
from batchgen.domain.wire import Usage

_MOST_TOKENS = 1_000_000_000  # of one call; no model makes so many
_TIMES_UPPER = 2  # a route that counts otherwise than we stays below; a few per cent are a change of its price
_MOST = 100 * MICROS_PER_USD  # of one image where nobody knows what it may cost
_PART_OF_LOWER = 10


def doubt(contract: Contract, usage: Usage | None, bill: Cost, cost: Cost, *, outputs: int) -> str:
    """Say why a bill is not believed, as a clause of what the gateway claims; "" when it is believed.

    Args:
        contract: of the route; only prices by token are made of a gateway's figures.
        usage: as the gateway reports it.
        bill: what that comes to.
        cost: what was known of the price before the call; its upper bound was reserved.
        outputs: images that came.
    """
    if usage is None or not isinstance(contract.price, TokenPrice):
        return ""
    for count in astuple(usage):
        if count is not None and not 0 <= count <= _MOST_TOKENS:
            return f"the gateway claims {count:,} tokens"
    if bill.micros is None:
        return ""
    claim = f"the gateway claims tokens for {format_usd(bill.micros)}"
    if cost.upper is not None and bill.micros > _TIMES_UPPER * cost.upper:
        return f"{claim} where at most {format_usd(cost.upper)} was reserved"
    if cost.upper is None and bill.micros > _MOST:
        return f"{claim}, more than any image costs"
    if outputs and cost.lower is not None and bill.micros * _PART_OF_LOWER < cost.lower:
        return f"{claim} where an image takes {format_usd(cost.lower)} at least"
    return ""
