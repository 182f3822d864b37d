"""What may go wrong, and how often: the knobs of a rehearsal."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from typing import Any

from batchgen.domain.errors import UsageError
from batchgen.domain.money import parse_usd


class Fault(StrEnum):
    """Everything that can be asked for, by the name a header, a prompt or an option uses."""

    THROTTLED = "429"
    SERVER = "500"  # the vendor's own JSON
    SERVER_HTML = "500-html"
    BAD_GATEWAY = "502"
    EDGE_TIMEOUT = "524"  # a CDN gives up; the picture is made and charged all the same
    UNAUTHORIZED = "401"
    QUOTA = "quota"
    REFUSE = "refuse"  # content refused by an error
    REFUSE_TEXT = "refuse-text"  # content refused in words, with a 200
    EMPTY = "empty"  # 200 without a picture
    GARBAGE = "garbage"  # 200 with a body that is not JSON
    ERROR_IN_200 = "error-in-200"
    NOT_HTTP = "not-http"  # bytes that are no HTTP answer at all
    HANG = "hang"  # never answered
    DROP = "drop"  # connection reset before the answer
    CUT = "cut"  # half of the answer, then closed
    SLOW = "slow"  # the answer in drips, over four times its usual time
    BAD_B64 = "bad-b64"
    BAD_IMAGE = "bad-image"  # a file that is cut in the middle
    WRONG_SIZE = "wrong-size"
    EXPIRED_URL = "expired-url"
    URL = "url"  # an address, whatever was asked for
    STREAM = "stream"  # events that nobody asked for, with previews before the picture
    NONE = "ok"


# Every shape an image was seen to come in on the chat endpoint (issue threads of clients, 2026).
CHAT_SHAPES = (
    *("markdown-url", "markdown-data", "data-url", "bare-url", "link", "data"),
    *("images", "parts", "output-text"),
)
_P_4K = ("p500_4k", "p_500_4k", "4k_500", "p4k_500")


@dataclass(frozen=True, slots=True)
class Options:
    """How the simulator behaves beyond what the contracts say. Everything is off unless asked for.

    Attributes:
        seed: of chance and of colours.
        speed: how many times faster than the real gateway; latencies only, `rate` and `retry_after` are real seconds.
        chances: probability per call of each fault.
        p500_4k: probability of the vendor's own 500 at 4K, on routes where those are sporadic.
        latency: seconds for every call, whatever its contract says, not compressed; None for the contract's.
        rate: admitted calls per second and route, and key where the contract gives each its own limits; None for none.
        burst: calls admitted at once when none came for a while.
        concurrency: calls in work at once per route, and key as `rate`, before a 429; None for no limit.
        retry_after: `auto` (whole seconds until a place is free), `none`, `date`, `body` (in words only), seconds like
            `2`, or milliseconds like `50ms`.
        spend: micro-dollars each provider's account holds; None for no end.
        key_spend: micro-dollars each key may spend since the start; None for no end.
        b64: `mixed`, `raw`, `prefix`, `unpadded`, `wrapped` or `escaped` (slashes); official routes always send it raw.
        bytes: noise added to every picture, to come near real sizes on the wire.
        pictures: `full`, or `plain` for two colours and no words, which costs next to nothing.
        takes: whether a request that comes again gets a picture that says `take 2`.
        refuse_word: a prompt with this word is refused; "" for none.
        url_lifetime: seconds an address lives; None for the contract's.
        unsure: whether parameters the vendor wavers on are taken (`accept`) or refused (`reject`).
        chat: the shape of chat replies: `auto` for the vendor's own, `mixed`, or one of `CHAT_SHAPES`.
        batch_seconds: simulated seconds a batch takes, which `speed` divides.
        routes: by route, the options that hold for it alone, as written.
        keys: the same by how a bearer key ends.
    """

    seed: int = 0
    speed: float = 1.0
    chances: Mapping[Fault, float] = field(default_factory=dict)
    p500_4k: float = 0.0
    latency: float | None = None
    rate: float | None = None
    burst: int = 1
    concurrency: int | None = None
    retry_after: str = "auto"
    spend: int | None = None
    key_spend: int | None = None
    b64: str = "mixed"
    bytes: int = 0
    pictures: str = "full"
    takes: bool = True
    refuse_word: str = "forbidden"
    url_lifetime: float | None = None
    unsure: str = "accept"
    chat: str = "auto"
    batch_seconds: float = 600.0
    routes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, items: Iterable[str], base: Options | None = None) -> Options:
        """Read options as a command line writes them: `p500_4k=0.3`, `rate=5`, `retry_after=none`, `p_drop=0.1`.

        Args:
            items: one `name=value` each; `p_` with a fault's name sets its probability. With a route and a colon in
                front, as in `apiyi/gpt-image-2-vip:p_401=1`, it holds for that route only, whatever is said of all;
                with the end of a key, as in `SHOP_2:p_401=1`, for that key only.
            base: what holds for everything not named.

        Raises:
            UsageError: an unknown name or a value out of range, with what would be right.
        """
        options = base or cls()
        for item in items:
            name, equals, value = item.partition("=")
            if not equals:
                raise UsageError(f"{item!r} is not an option of the simulator; write name=value, like rate=5")
            whose, _, name = name.strip().rpartition(":")
            if not whose:
                options = _with(options, name.strip(), value.strip())
                continue
            _with(options, name.strip(), value.strip())
            written = f"{name.strip()}={value.strip()}"
            if "/" in whose:
                options = dataclasses.replace(options, routes=_added(options.routes, whose, written))
            else:
                options = dataclasses.replace(options, keys=_added(options.keys, whose, written))
        pairs = product(("", *options.routes), ("", *options.keys))
        for each in (options.of(route, key) for route, key in pairs):
            if sum(each.chances.values()) > 1:
                raise UsageError("the probabilities of the faults add up to more than 1; make them smaller")
        return options

    def of(self, route: str, key: str = "") -> Options:
        """Return the options that hold for calls over one route with one key."""
        options = self
        mine = (item for end, items in self.keys.items() if key.endswith(end) for item in items)
        for item in (*self.routes.get(route, ()), *mine):
            name, _, value = item.partition("=")
            options = _with(options, name, value)
        return options

    def check_keys(self, keys: Collection[str]) -> None:
        """Make sure that options of single keys are about keys that there are.

        Raises:
            UsageError: one is not.
        """
        for end in self.keys:
            if not any(key.endswith(end) for key in keys):
                raise UsageError(
                    f"{end} is no route, and no key ends so; the keys are those in {', '.join(sorted(keys))}"
                )

    def check_routes(self, served: Collection[str]) -> None:
        """Make sure that options of single routes are about routes that are served.

        Raises:
            UsageError: one is not.
        """
        for route in self.routes:
            if route not in served:
                raise UsageError(f"the simulator does not serve {route}; it serves {', '.join(served)}")


def _added(table: Mapping[str, tuple[str, ...]], whose: str, written: str) -> Mapping[str, tuple[str, ...]]:
    return {**table, whose: (*table.get(whose, ()), written)}


def _number(text: str, low: float, high: float) -> float:
    value = float(text)
    if not low <= value <= high:
        raise ValueError(f"must lie between {low:g} and {high:g}")
    return value


def _maybe(text: str, low: float) -> float | None:
    return None if text in {"none", "off", ""} else _number(text, low, 1e12)


def _one_of(text: str, *allowed: str) -> str:
    if text not in allowed:
        raise ValueError(f"must be one of {', '.join(allowed)}")
    return text


def _retry_after(text: str) -> str:
    if text not in {"auto", "none", "date", "body"} and not re.fullmatch(r"\d+(\.\d+)?(ms)?", text):
        raise ValueError("must be auto, none, date, body, seconds like 2, or milliseconds like 50ms")
    return text


def _flag(text: str) -> bool:
    return _one_of(text.lower(), "true", "false", "1", "0", "yes", "no", "on", "off") in {"true", "1", "yes", "on"}


def _whole(text: str, low: int) -> int:
    value = int(text)
    if value < low:
        raise ValueError(f"must be {low} or more")
    return value


_READERS: dict[str, Callable[[str], Any]] = {
    "seed": int,
    "speed": lambda text: _number(text, 1e-6, 1e12),
    "p500_4k": lambda text: _number(text, 0, 1),
    "latency": lambda text: _maybe(text, 0),
    "rate": lambda text: _maybe(text, 1e-6),
    "burst": lambda text: _whole(text, 1),
    "concurrency": lambda text: None if text in {"none", "off"} else _whole(text, 1),
    "retry_after": _retry_after,
    "spend": lambda text: None if text in {"none", "off"} else parse_usd(text),
    "key_spend": lambda text: None if text in {"none", "off"} else parse_usd(text),
    "b64": lambda text: _one_of(text, "mixed", "raw", "prefix", "unpadded", "wrapped", "escaped"),
    "bytes": lambda text: int(_number(text, 0, 64e6)),
    "pictures": lambda text: _one_of(text, "full", "plain"),
    "takes": _flag,
    "refuse_word": str,
    "url_lifetime": lambda text: _maybe(text, 0),
    "unsure": lambda text: _one_of(text, "accept", "reject"),
    "chat": lambda text: _one_of(text, "auto", "mixed", *CHAT_SHAPES),
    "batch_seconds": lambda text: _number(text, 0, 1e9),
}


# `p_500`, `p500`, `p_error-in-200`, `p_error_in_200` and `p_unauthorized` are all taken.
_FAULT_NAMES = {
    prefix + name: fault
    for fault in Fault
    if fault is not Fault.NONE
    for prefix in ("p_", "p")
    for name in (fault.value, fault.value.replace("-", "_"), fault.name.lower())
}


def _with(options: Options, name: str, value: str) -> Options:
    """Return the options with one of them changed."""
    name = "p500_4k" if name.lower() in _P_4K else name.lower()
    fault = _FAULT_NAMES.get(name)
    if name not in _READERS and fault is None:
        known = ", ".join([*_READERS, *(f"p_{each}" for each in Fault if each is not Fault.NONE)])
        raise UsageError(f"{name!r} is not an option of the simulator; there are {known}")
    try:
        if fault is None:
            return dataclasses.replace(options, **{name: _READERS[name](value)})
        return dataclasses.replace(options, chances={**options.chances, fault: _number(value, 0, 1)})
    except ValueError as error:
        raise UsageError(f"{name}={value} is not possible in the simulator: {error}") from None
