"""Keys of contracts laid over one another: what is joined, what is added to, and what must not come along."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from batchgen.contracts.contract import is_loopback
from batchgen.domain.size import TIERS

Raw = dict[str, object]

_JOINED = frozenset({"parameters", "charges", "timeouts", "quality_timeouts", "latency", "references", "log"})
_ADDED = frozenset({"refusals", "quota_codes", "quota_marks", "request_id_headers"})


def merged(below: Mapping[str, object], above: Mapping[str, object]) -> Raw:
    """`above` laid over `below`: mappings key by key, lists of marks and codes added in front, all else replaced."""
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        if key in _JOINED and isinstance(under, Mapping) and isinstance(value, Mapping):
            result[key] = {**under, **value}
        elif key in _ADDED and isinstance(under, list) and isinstance(value, list):
            result[key] = list(dict.fromkeys([*value, *under]))
        else:
            result[key] = value
    return result


def moved(keys: Raw, changes: Raw) -> Raw:
    """`changes` laid over a contract's keys; at another host the log is only what the changes say of it.

    The token of a vendor's log is the account itself, so nobody else gets to see it by the vendor's name for it.
    What listens on this machine may: rehearsals are read like that.
    """
    result = merged(keys, changes)
    there, here = _machine(keys.get("base_url")), _machine(result.get("base_url"))
    if here != there and not is_loopback(here[0]):
        result["log"] = changes.get("log", {})
    return result


def changed(keys: Raw, changes: Raw) -> Raw:
    """A contract's keys with a manifest's changes."""
    result = moved(keys, {key: value for key, value in changes.items() if key != "timeout"})
    if "timeout" in changes:
        result |= {"timeouts": dict.fromkeys(TIERS, changes["timeout"]), "quality_timeouts": {}}
        result = merged(result, {"references": {"many_timeout": 0}})
    if "price" in changes and "multiplier" not in changes:
        result["multiplier"] = 1
    if "main_model" in changes and "main_price" not in changes and changes["main_model"] != keys.get("main_model"):
        result["main_price"] = {}
    return result


def _machine(address: object) -> tuple[str, int]:
    """Host and port; what is no address is refused when the contract is read."""
    try:
        parts = urlsplit(str(address))
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        return "", 0
    return host, port
