"""A route's contract as fields and in words: what it takes, returns and charges."""

from __future__ import annotations

from batchgen.contracts.contract import Contract
from batchgen.contracts.tokens import PerCall, TokenPrice
from batchgen.domain.money import format_usd


def contract_fields(contract: Contract) -> dict[str, object]:
    """Give all that a person may want to know of a contract, by name."""
    return {
        "route": contract.route,
        "as of": contract.checked,
        "source": contract.source,
        "base URL": contract.base_url,
        "key": _keys(contract),
        "proxy": contract.proxy or "as the environment says",
        "endpoints": ", ".join(contract.endpoints),
        "price": price_text(contract),
        "sizes": _sizes(contract),
        "parameters": ", ".join(_parameter(name, contract) for name in contract.parameters),
        "formats": ", ".join(contract.formats),
        "timeout": _timeouts(contract),
        "usual time": ", ".join(f"{tier} {low:.0f}–{high:.0f} s" for tier, (low, high) in contract.latency.items()),
        "concurrency": contract.concurrency,
        "limits per": contract.limits_per,
        "4K fails at times": "yes; 2K is the way out" if contract.downgrade else "no",
        "charges": ", ".join(f"{kind}: {charge}" for kind, charge in contract.charges.items()),
    }


def _keys(contract: Contract) -> str:
    names = ", ".join(contract.keys)
    return f"{names} ({contract.key_note})" if contract.key_note else names


def price_text(contract: Contract) -> str:
    """Say what a call costs."""
    times = f" × {contract.multiplier}" if contract.multiplier != 1 else ""
    price = contract.price
    if isinstance(price, PerCall):
        return f"{format_usd(price.micros)} a call{times}"
    if isinstance(price, TokenPrice):
        return f"by tokens{times}"
    return "price unknown"


def sizes_text(contract: Contract) -> str:
    """Say what sizes it takes."""
    rule = contract.sizes
    if rule.kind == "none":
        return "no size"
    if rule.by == "wording":
        return "shape by wording"
    return "any size within limits" if rule.kind == "free" else f"{len(rule.listed)} sizes"


def _sizes(contract: Contract) -> str:
    rule = contract.sizes
    return ", ".join(str(size) for size in rule.listed) if rule.listed else sizes_text(contract)


def _timeouts(contract: Contract) -> str:
    said = ", ".join(f"{tier} {seconds:.0f} s" for tier, seconds in contract.timeouts.items())
    many = contract.references
    return said + (f", {many.many} references or more {many.many_timeout} s" if many.many and many.many_timeout else "")


def _parameter(name: str, contract: Contract) -> str:
    rule = contract.parameters[name]
    values = f" ({', '.join(rule.values)})" if rule.values else ""
    return f"{name}: {rule.stance}{values}"
