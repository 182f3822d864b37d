"""All routes that are known: the built-in files, a user's own, and what a manifest changes about one of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from batchgen.contracts.contract import Contract, is_loopback
from batchgen.contracts.parsing import KEYS, read_contract, read_token_tables
from batchgen.contracts.strict_yaml import Section, read_yaml
from batchgen.contracts.tokens import PerCall, TokenPrice
from batchgen.domain.errors import ContractError
from batchgen.domain.size import TIERS, Size

Raw = dict[str, object]

DATA = Path(__file__).parent / "data"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(@[A-Za-z0-9][\w.-]*)?\Z", re.ASCII)
_OF_A_FILE = frozenset({"provider", "contracts"})
_OF_A_CONTRACT = frozenset({"extends", "aliases"})
_OF_A_ROUTE = frozenset({"use", "timeout"})
# How the keys of a contract are laid over those it inherits: mappings joined, lists added in front.
_JOINED = frozenset({"parameters", "charges", "timeouts", "quality_timeouts", "latency", "references", "log"})
_ADDED = frozenset({"words", "request_id_headers", "images_from"})
_SHARED = frozenset({"common", "words"})  # files that are no provider's
# Of these one takes the place of the other.
_INSTEAD = {"key_env": "keys", "keys": "key_env"}
# What a manifest may change: what is sent and paid, not what the contract says of itself.
_CHANGEABLE = KEYS - {"checked", "source", "channel", "key_note"}


def load_catalog(extra: Path | None = None) -> Catalog:
    """Make the catalog. Files of built-in providers are read when one of their routes is first asked for.

    Args:
        extra: a user's own contract file, or a folder of them; their routes win over built-in ones of the same name.

    Raises:
        ContractError: a file of the user is wrong.
    """
    return Catalog(_own_files(extra) if extra is not None else [])


@dataclass(frozen=True, slots=True)
class _File:
    """One contract file: what its contracts share, and each of them as written."""

    path: Path
    provider: str
    shared: Mapping[str, object]
    contracts: Mapping[str, Mapping[str, object]]

    def place(self, name: str) -> str:
        return f"{self.path.name if self.path.parent == DATA else self.path}: {name}"


@dataclass(frozen=True, slots=True)
class _Written:
    """One contract as it stands in its file."""

    file: _File
    name: str
    own: Mapping[str, object]


class Catalog:
    """Finds contracts by route."""

    def __init__(self, own: list[_File]) -> None:
        self._own = own
        self._built_in = {path.stem: path for path in sorted(DATA.glob("*.yaml")) if path.stem not in _SHARED}
        self._read: dict[str, _File] = {}
        self._found: dict[str, Contract] = {}
        self._defaults: Raw = {}
        self._tables: dict[str, TokenPrice] = {}

    def routes(self) -> tuple[str, ...]:
        """Return every route by its full name, sorted."""
        return tuple(sorted({f"{file.provider}/{name}" for file in self._files() for name in file.contracts}))

    def find(self, route: str) -> Contract:
        """Find the contract of a route such as `apiyi/gpt-image-2-vip`.

        Raises:
            ContractError: no such route (the message names near ones), or its file is wrong.
        """
        if route not in self._found:
            written = self._written(route)
            if written is None:
                raise ContractError(self._no_route(route))
            self._found[route] = self._contract(written, self._keys(written))
        return self._found[route]

    def resolve(self, option: str | Mapping[str, object]) -> Contract:
        """Find the contract a manifest's `route` means: a name, or a mapping with `use` and keys that override it.

        `timeout` sets one number of seconds for everything. A price given here is final: no multiplier applies to it
        unless one is given too. What is doubtful about the changes is in `warnings`, what changed in `overridden`.

        Raises:
            ContractError: as `find`; or a key that cannot be overridden, or a value it cannot have.
        """
        if isinstance(option, str):
            return self.find(option)
        route = option.get("use")
        if not isinstance(route, str):
            raise ContractError("route: use: must name the route whose contract applies, such as apiyi/gpt-image-2-vip")
        before = self.find(route)
        changes = {key: value for key, value in option.items() if key != "use"}
        Section(changes, "route").known(_CHANGEABLE | _OF_A_ROUTE)
        written = self._written(route)
        if not changes or written is None:
            return before
        after = self._contract(written, _changed(self._keys(written), changes), "route")
        if isinstance(after.price, PerCall) and "price" in changes:
            after = replace(after, price=replace(after.price, dated="manifest"))
        return replace(after, overridden=tuple(sorted(changes)), warnings=tuple(_doubts(before, after)))

    def _contract(self, written: _Written, keys: Raw, place: str = "") -> Contract:
        self._load_common()
        where = Section(keys, place or written.file.place(written.name))
        return read_contract(written.file.provider, written.name, where, self._tables)

    def _keys(self, written: _Written, seen: tuple[_Written, ...] = ()) -> Raw:
        """Collect a contract's keys with all it inherits: defaults, what it extends, what its file shares, its own."""
        own = {key: value for key, value in written.own.items() if key not in _OF_A_CONTRACT}
        base = written.own.get("extends")
        if base is None:
            self._load_common()
            return _merged(_merged(self._defaults, written.file.shared), own)
        at = Section(written.own, written.file.place(written.name))
        name = at.text("extends", r".+", "a route")
        base_route = name if "/" in name else f"{written.file.provider}/{name}"
        below = self._written(base_route, (*seen, written))
        if below is None:
            there = self._written(base_route) is not None
            reason = "leads back to itself" if there else self._no_route(base_route)
            raise at.fail("extends", reason)
        inherited = self._keys(below, (*seen, written))
        return _moved(inherited, own if below.file is written.file else _merged(written.file.shared, own))

    def _written(self, route: str, besides: tuple[_Written, ...] = ()) -> _Written | None:
        """Find where a route, or another name of it, is written. A contract may extend a built-in one of its name."""
        provider, _, name = route.partition("/")
        for file in self._files(provider):
            for each, own in file.contracts.items():
                taken = any(own is other.own for other in besides)
                if not taken and (name == each or name in Section(own, file.place(each)).texts("aliases")):
                    return _Written(file, each, own)
        return None

    def _files(self, provider: str | None = None) -> Iterator[_File]:
        """Yield the user's files, then the built-in ones; of one provider, or all."""
        yield from (file for file in reversed(self._own) if provider in (None, file.provider))
        for stem, path in self._built_in.items():
            if provider in (None, stem):
                if stem not in self._read:
                    self._read[stem] = _file(path)
                yield self._read[stem]

    def _load_common(self) -> None:
        if not self._defaults:
            common = Section(read_yaml(DATA / "common.yaml"), "common.yaml")
            common.known(("defaults", "token_tables"))
            self._tables = read_token_tables(common.part("token_tables"))
            self._defaults = dict(common.part("defaults").data)

    def _no_route(self, route: str) -> str:
        routes = self.routes()
        near = get_close_matches(route, routes, 3, 0.5) or [each for each in routes if each.startswith(route)]
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(routes)}"
        return f"there is no route {route}; {hint}"


def _own_files(extra: Path) -> list[_File]:
    if extra.is_dir():
        paths = sorted((*extra.glob("*.yaml"), *extra.glob("*.yml")))
        if not paths:
            raise ContractError(f"{extra}: holds no contract file; put one there whose name ends in .yaml or .yml")
        return [_file(path) for path in paths]
    return [_file(extra)]


def _file(path: Path) -> _File:
    keys = Section(read_yaml(path), path.name if path.parent == DATA else str(path))
    keys.known(KEYS | _OF_A_FILE)
    contracts = keys.part("contracts")
    for name in contracts.data:
        if not _NAME.match(name):
            raise contracts.fail(name, "must be a model, or model@group, of letters, digits, dots and dashes")
        contracts.part(name).known(KEYS | _OF_A_CONTRACT)
    if not contracts.data:
        raise keys.fail("contracts", "must hold at least one contract, by its model")
    return _File(
        path=path,
        provider=keys.text("provider", r"[a-z0-9][a-z0-9._-]*", "a short name in lower case"),
        shared={key: value for key, value in keys.data.items() if key not in _OF_A_FILE},
        contracts={name: contracts.part(name).data for name in contracts.data},
    )


def _doubts(before: Contract, after: Contract) -> Iterator[str]:
    for tier, edge in zip(TIERS, (1024, 2048, 3840), strict=True):
        usual, now = before.timeout_for(Size(edge, edge), None), after.timeout_for(Size(edge, edge), None)
        if now < usual:
            yield f"a timeout of {now:g} s at {tier} is below the contract's {usual:g} s: an abandoned call is paid"
    if before.base_url != after.base_url and not after.loopback and after.keys:
        goes = f"the key in {after.keys[0]} goes" if len(after.keys) == 1 else f"the keys in {', '.join(after.keys)} go"
        yield f"{goes} to {after.base_url} instead of {before.base_url}"
    if before.versioned and not after.versioned:
        yield (
            f"base_url {after.base_url} does not end in /v1; where a gateway answers with its web page, each call may "
            "be paid for nothing"
        )


def _merged(below: Mapping[str, object], above: Mapping[str, object]) -> Raw:
    """Lay `above` over `below`: mappings key by key, lists of marks and codes added in front, all else replaced."""
    replaced = {_INSTEAD[key] for key in above if key in _INSTEAD}
    result = {key: value for key, value in below.items() if key not in replaced}
    for key, value in above.items():
        under = result.get(key)
        if key in _JOINED and isinstance(under, Mapping) and isinstance(value, Mapping):
            result[key] = {**under, **value}
        elif key in _ADDED and isinstance(under, list) and isinstance(value, list):
            result[key] = [*value, *(each for each in under if each not in value)]
        else:
            result[key] = value
    return result


def _moved(keys: Raw, changes: Raw) -> Raw:
    """Lay `changes` over a contract's keys; at another host the log is only what the changes say of it.

    The token of a vendor's log is the account itself, so nobody else gets to see it by the vendor's name for it.
    What listens on this machine may: rehearsals are read like that.
    """
    result = _merged(keys, changes)
    there, here = _machine(keys.get("base_url")), _machine(result.get("base_url"))
    if here != there and not is_loopback(here[0]):
        result["log"] = changes.get("log", {})
    return result


def _changed(keys: Raw, changes: Raw) -> Raw:
    """Lay a manifest's changes over a contract's keys."""
    result = _moved(keys, {key: value for key, value in changes.items() if key != "timeout"})
    if "timeout" in changes:
        result |= {"timeouts": dict.fromkeys(TIERS, changes["timeout"]), "quality_timeouts": {}}
        result = _merged(result, {"references": {"many_timeout": 0}})
    if "price" in changes and "multiplier" not in changes:
        result["multiplier"] = 1
    if "main_model" in changes and "main_price" not in changes and changes["main_model"] != keys.get("main_model"):
        result["main_price"] = {}
    return result


def _machine(address: object) -> tuple[str, int]:
    """Return host and port; what is no address is refused when the contract is read."""
    try:
        parts = urlsplit(str(address))
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        return "", 0
    return host, port
