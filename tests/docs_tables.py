"""The parts of the documentation that are made from the program's own tables.

`python -m tests.docs_tables` writes them into `docs/`, between their markers; `tests/test_docs.py` compares.
"""

from __future__ import annotations

import tempfile
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from batchgen.contracts.catalog import _CHANGEABLE, _OF_A_ROUTE, DATA, load_catalog
from batchgen.contracts.contract import Contract
from batchgen.contracts.endpoints import ENDPOINTS
from batchgen.contracts.pricing import Demand, expected
from batchgen.contracts.serving import input_objection
from batchgen.contracts.strict_yaml import read_yaml
from batchgen.contracts.tokens import PerCall, TokenPrice
from batchgen.domain.errors import ManifestError
from batchgen.domain.job import FourK, Limits, Parameters
from batchgen.domain.lifecycle import CHARGE_MOVES, TRANSITIONS, WAITING, Charge, TaskEvent, TaskState
from batchgen.domain.model import Claim, Outcome, OutcomeKind
from batchgen.domain.money import format_usd
from batchgen.domain.size import TABLE, THIRTY, TIERS, Size, parse_size
from batchgen.gateway.key_words import IMAGE, MAYBE, NEVER
from batchgen.manifest.load import load_manifest
from batchgen.manifest.plan import expand
from batchgen.manifest.templates.filters import NAMES
from batchgen.manifest.templates.sandbox import _METHODS
from batchgen.policy.classify import LOST_KINDS
from batchgen.policy.decide import (
    CHEAP,
    HOLLOW_KINDS,
    NOWHERE,
    TOO_MANY,
    Decision,
    Deliver,
    Downgrade,
    Fail,
    Failover,
    NextRoutes,
    Park,
    Release,
    Retry,
    Rules,
    StopLane,
    counts,
    decide,
)
from tests.support.systems import SYSTEMS, catalog, seen

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
_BEGIN = "<!-- made by tests/docs_tables.py: {} -->\n\n"
_END = "\n\n<!-- end -->"
CATALOG = load_catalog()
CONTRACTS = [CATALOG.find(route) for route in CATALOG.routes()]

_WORKS = {"plain": "generations", "edit": "edits", "fusion": "fusion", "repaint": "mask"}
STATES = {
    TaskState.AVAILABLE: "waits for its first call, or was put back",
    TaskState.RUNNING: "an attempt holds it: called, downloaded, checked or placed",
    TaskState.RETRYABLE: "waits for the moment of its next call",
    TaskState.COMPLETED: "its image is in the output folder and in the books",
    TaskState.FAILED: "no automatic way on; `retry --failed`",
    TaskState.PARKED: "a person must decide: lost answers, an expired paid address; `retry --parked`",
    TaskState.CANCELLED: "a person said: no more; `retry --cancelled`",
}
EVENTS = {
    TaskEvent.RESERVE: "the attempt is written down, its money set aside",
    TaskEvent.COMPLETE: "the image is in the output folder",
    TaskEvent.RETRY: "again later, perhaps smaller",
    TaskEvent.RELEASE: "again at once; the attempt does not count",
    TaskEvent.GIVE_BACK: "its gateway was down: those attempts do not count",
    TaskEvent.FAIL: "no automatic way on",
    TaskEvent.PARK: "a person must decide",
    TaskEvent.REQUEUE: "`batchgen retry`: fresh allowances, the size first asked",
    TaskEvent.REVISE: "what is asked has changed (or `--rebuy`, `retry --gone`): a new revision",
    TaskEvent.ADOPT: "what is asked was delivered before: that image serves, without a call",
    TaskEvent.RECOVER: "a kept answer holds what is asked",
    TaskEvent.CANCEL: "`batchgen cancel`",
}
CHARGES = {
    Charge.RESERVED: "the call is under way; its highest price is set aside",
    Charge.BILLED: "paid",
    Charge.VOID: "free",
    Charge.UNKNOWN: "maybe paid; counts against the budget at what was set aside",
}
SEEN = {
    OutcomeKind.DELIVERED: "200 with an image or an address",
    OutcomeKind.NOT_SENT: "no byte of the request left",
    OutcomeKind.SEND_BROKEN: "broke while the request was being written",
    OutcomeKind.LOST: "sent; no answer, or none that is HTTP",
    OutcomeKind.TIMED_OUT: "sent; nothing by the deadline",
    OutcomeKind.THROTTLED: "429, or an error that says: too many calls of yours",
    OutcomeKind.BUSY: "425, 529, 409 to retry; an error: too busy",
    OutcomeKind.NO_CHANNEL: "an error that says: nobody here for this model",
    OutcomeKind.QUOTA: "402, or an error that says: no money, no quota",
    OutcomeKind.UNAUTHORIZED: "401, 403, or an error that says: the key is bad",
    OutcomeKind.UNSERVED: "an error that says: no such model, or not for this key; a redirect",
    OutcomeKind.REJECTED: "any other status below 500",
    OutcomeKind.REFUSED: "an error that says: content refused",
    OutcomeKind.REFUSED_TEXT: "200 with words where an image should be",
    OutcomeKind.SERVER_ERROR: "5xx in JSON; an unknown error in a 200",
    OutcomeKind.EDGE_ERROR: "5xx without; 408, 504, 520–530; a page for an answer",
    OutcomeKind.EMPTY: "200 with nothing in it",
    OutcomeKind.UNREAD: "200 with something in it that nobody can read",
    OutcomeKind.ACCEPTED: "202, or a 200 with the id of a task and no image",
    OutcomeKind.DAMAGED: "200 with bytes that are no whole image",
    OutcomeKind.CUT: "200 that ended early",
    OutcomeKind.OVERSIZED: "200 that did not end below the cap",
    OutcomeKind.EXPIRED: "paid, but the address died before it was fetched",
}
ROUTE_KEYS = {
    "use": "the route whose contract applies; required",
    "base_url": "the gateway's root, ending in `/v1`; https, or http on this machine",
    "key_env": "the variable that holds the key",
    "keys": "instead of it several: `[SHOP_1, SHOP_2]`, see [manifest](manifest.md#several-keys)",
    "key_type": "`usage` or `any`; talk only",
    "price": "`{per_call: 0.03}`, a number of dollars, `{tokens: FAMILY}` or `unknown`",
    "multiplier": "on every price, up to 1,000; becomes 1 when `price` is given without it",
    "timeout": "one number of seconds for every size and quality",
    "timeouts": "seconds by tier: `{4K: 900}`",
    "quality_timeouts": "seconds by quality, where longer: `{high: 900}`",
    "concurrency": "calls in flight that the route is known to take, for one key or the account",
    "concurrency_stated": "whether the gateway itself says so: a run begins there",
    "limits_per": "`key`: each key has limits of its own; `account`: all keys share them",
    "url_lifetime": "seconds that an image's address lives",
    "latency": "usual seconds by tier, `{2K: [60, 180]}`; for `plan` and rehearsals",
    "sizes": "`none`, `{listed: [...]}`, limits such as `{max_edge: 3840}`, or `{wording: {...}}`",
    "parameters": "by name: `takes`, `rejects`, `unsure`, `{takes: [values]}`, `{unsure: [values]}`",
    "response_format": '`b64_json`, `url`, or `""`: not sent',
    "formats": "what it can deliver: `[png, jpeg, webp]`",
    "transparent_formats": "those that keep a transparent background",
    "proxy": "the way out to this gateway and its images, see [manifest](manifest.md#behind-a-proxy)",
    "max_prompt": "characters of a prompt",
    "charges": "outcome to `billed`, `void` or `unknown`: `{server_error: unknown}`",
    "downgrade": "whether 4K fails at times and 2K is the way out",
    "images_from": "where images may lie beside public https addresses, see [manifest](manifest.md#where-images-may-lie)",
    "picture_at": "where answers have their image: `[images, 0, url]`, see [below](#where-an-image-is-looked-for)",
    "task": "how a call is followed where the gateway [answers later](#gateways-that-answer-later)",
    "void_in_200": "kinds of errors that are free although they come inside a 200: `[throttled]`",
    "words": "further words of the gateway: `[{means: quota, text: no funds}]`, or a `code`",
    "request_id_headers": "further headers that carry a request id",
    "endpoints": f"what the gateway serves: `[{', '.join(ENDPOINTS)}]`",
    "endpoint": "which of them is called; the first one without it",
    "main_model": "the mainline model that draws through its tool; needed for `responses`",
    "main_price": "what its own tokens cost, dollars a million: `{text_in: 1.25, text_out: 10}`; unknown without it",
    "batch_multiplier": "on every price of the Batch API",
    "chat_lead": "what stands before a prompt on `chat`, so that a weak one is not answered in words",
    "rescue": "the route for 4K that must be delivered",
    "log": "the log API: `{path: /api/log/self, token_env: NAME}`",
    "ends": "the last day the vendor serves it",
    "references": "limits and form of input images: `{max_count: 4, advised_bytes: 1000000, mask: true}`",
}
BROKEN = """\
version: 1
name: Spring Catalog
route: apiyi/gpt-image-2-vp
sizes: ["1:1@2K", 2048x2048, "7:5@1K"]
prompts:
  - {id: mug-hero, txt: A white mug}
  - {from: products.csv, id: "{{ sku }}", text: "Photo of {{ naame }}"}
limits: {rate: 120, budgt: 5}
"""
BROKEN_ROWS = "sku,name\nMUG-01,mug\nmug-01,cup\n"


def states() -> str:
    """Every state of a task."""
    return table(
        ("state", "means", "a run works on it"),
        ((f"`{state}`", STATES[state], "yes" if state in WAITING else "no") for state in TaskState),
    )


def diagram() -> str:
    """The moves of a task as a mermaid diagram, straight from the table."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {TaskState.AVAILABLE}"]
    for event, (sources, target) in TRANSITIONS.items():
        lines += [f"    {source} --> {target}: {event}" for source in TaskState if source in sources]
    return "\n".join([*lines, "```"])


def events() -> str:
    """Every event with where it leads."""
    rows = (
        (f"`{event}`", _listed(sources), str(target), EVENTS[event]) for event, (sources, target) in TRANSITIONS.items()
    )
    return table(("event", "from", "to", "when"), rows)


def charges() -> str:
    """Every state of money."""
    rows = (
        (f"`{charge}`", CHARGES[charge], ", ".join(next_ for next_ in Charge if next_ in CHARGE_MOVES[charge]) or "—")
        for charge in Charge
    )
    return table(("charge", "means", "may become"), rows)


def outcomes() -> str:
    """Every outcome: what was seen, what it costs, what comes next."""
    common = _common_charges()
    rows = (
        (
            f"`{kind}`",
            SEEN[kind],
            str(common[kind]) + _star(kind),
            _next(kind),
            "yes" if counts(Outcome(kind, Charge.VOID, "")) else "no",
        )
        for kind in OutcomeKind
    )
    return table(("outcome", "seen", "money", "next", "counts"), rows)


def charges_that_differ() -> str:
    """Routes whose contract charges an outcome otherwise than the common table."""
    common = _common_charges()
    kinds = [kind for kind in OutcomeKind if _star(kind)]
    rows = [("all others, and what is not listed", *(str(common[kind]) for kind in kinds))]
    for contract in CONTRACTS:
        if any(contract.charges[kind] != common[kind] for kind in kinds):
            differing = (
                f"**{contract.charges[kind]}**" if contract.charges[kind] != common[kind] else str(common[kind])
                for kind in kinds
            )
            rows.append((f"`{contract.route}`", *differing))
    return table(("route", *(f"`{kind}`" for kind in kinds)), rows)


def routes() -> str:
    """The routes with price and sizes."""
    rows = ((f"`{each.route}`", _price(each), _sizes(each), each.checked) for each in CONTRACTS)
    rules = (each.sizes for each in CONTRACTS if each.sizes.kind == "free" and each.sizes.by == "parameter")
    free = dict.fromkeys(
        f"- *free*: edges in multiples of {rule.multiple_of}, at most {rule.max_ratio}:1, "
        f"{rule.min_pixels:,} to {rule.max_pixels:,} pixels."
        for rule in rules
    )
    return "\n".join([table(("route", "price", "sizes", "as of"), rows), "", *free])


def systems() -> str:
    """Every system of the gateways' documents with what was bought there, over every endpoint it serves."""
    known, bought = catalog(), seen()
    rows = []
    for system in SYSTEMS:
        for route in system.routes:
            for endpoint in system.endpoints:
                if endpoint in known.find(route).endpoints:
                    found = bought.get(f"{route} {endpoint}")
                    works = (
                        "not seen"
                        if found is None
                        else ", ".join(_WORKS[key] for key in _WORKS if key in found["bought"])
                    )
                    rows.append((str(system.number), system.name, f"`{route}`", f"`{endpoint}`", works))
    shown = [
        row if not number or row[0] != rows[number - 1][0] else ("", "", *row[2:]) for number, row in enumerate(rows)
    ]
    return table(("#", "system", "route", "endpoint", "works"), shown)


def route_inputs() -> str:
    """What input images each route takes."""
    rows = (
        (
            f"`{each.route}`",
            str(each.references.max_count or "not stated"),
            _megabytes(each.references.max_bytes),
            _megabytes(each.references.advised_bytes),
            "yes" if each.references.mask else "no",
            ", ".join(f"`{name}`" for name in _with_addresses(each)) or "—",
        )
        for each in CONTRACTS
    )
    return table(("route", "references", "at most each", "made smaller above", "mask", "https addresses on"), rows)


def route_keys() -> str:
    """Which variable holds whose key."""
    lines = []
    for name in dict.fromkeys(name for each in CONTRACTS for name in each.keys):
        uses = (f"`{each.route}`: {each.key_note}" for each in CONTRACTS if name in each.keys)
        lines += [f"- `{name}`", *(f"  - {use}" for use in uses)]
    return "\n".join(lines)


def route_parameters() -> str:
    """What each route takes beside text and size."""
    rows = (
        (f"`{each.route}`", _values(each, "quality"), _values(each, "background"), ", ".join(each.formats))
        for each in CONTRACTS
    )
    return table(("route", "`quality`", "`background`", "`format`"), rows)


def route_times() -> str:
    """How long each route is waited for, how long it usually takes, how much it takes at once."""
    rows = (
        (
            f"`{each.route}`",
            _waits(each),
            " / ".join(f"{each.latency[tier][0]:g}–{each.latency[tier][1]:g}" for tier in TIERS),
            f"{each.concurrency} a key" if each.limits_per == "key" else str(each.concurrency),
            "yes" if each.downgrade else "no",
        )
        for each in CONTRACTS
    )
    whole = table(("route", "timeout 1K / 2K / 4K", "usually takes", "in flight", "`downgrade`"), rows)
    many: dict[tuple[int, int], list[str]] = {}
    for each in CONTRACTS:
        if each.references.many:
            providers = many.setdefault((each.references.many, each.references.many_timeout), [])
            providers += [each.provider] if each.provider not in providers else []
    said = (
        f"- A call with {count} or more input images is waited for {seconds} at least: {', '.join(providers)}."
        for (count, seconds), providers in many.items()
    )
    return "\n".join([whole, "", *said])


def token_prices() -> str:
    """What an image costs on a route that charges tokens."""
    contract = CATALOG.find("openai/gpt-image-2")
    qualities = ("low", "medium", "high")
    rows = []
    for text in ("1024x1024", "1:1@2K", "16:9@4K"):
        size = parse_size(text)
        name = text if text == str(size) else f"{text} ({size})"
        prices = (expected(contract, Demand(size, quality)).micros for quality in qualities)
        rows.append((name, *("unknown" if price is None else format_usd(price) for price in prices)))
    price = contract.price
    assert isinstance(price, TokenPrice)
    said = (
        f"A million tokens of text cost {format_usd(price.text_in)}, a million of image {format_usd(price.image_out)}"
    )
    return f"{said} (as of {price.dated}).\n\n{table(('size', *qualities), rows)}"


def phrases() -> str:
    """What stands before the prompt where a route takes sizes by wording."""
    rule = CATALOG.find("apiyi/gpt-image-2-all").sizes
    rows = ((ratio, f"`{phrase}{rule.joiner}`", str(rule.answers[ratio])) for ratio, phrase in rule.wording.items())
    return table(("ratio", "put before the prompt", "comes back as about"), rows)


def words_of_keys() -> str:
    """By which words of a key an image is found under it, or not."""
    rows = (
        ("an image", IMAGE),
        ("an image where the answer says nothing in words", MAYBE),
        ("never the result", NEVER),
    )
    lines = (f"- {says}: {', '.join(f'`{word}`' for word in sorted(words))}" for says, words in rows)
    return "\n".join(textwrap.fill(line, 118, subsequent_indent="  ", break_on_hyphens=False) for line in lines)


def manifest_route_keys() -> str:
    """What a manifest may change about a route."""
    if set(ROUTE_KEYS) != _CHANGEABLE | _OF_A_ROUTE:
        raise AssertionError(f"describe in ROUTE_KEYS: {set(ROUTE_KEYS) ^ (_CHANGEABLE | _OF_A_ROUTE)}")
    return table(("key", "meaning"), ((f"`{key}`", meaning) for key, meaning in ROUTE_KEYS.items()))


def sizes() -> str:
    """The 30 sizes."""
    rows = ((ratio, *(f"{width}x{height}" for width, height in row)) for ratio, row in TABLE.items())
    return table(("ratio", *(f"@{tier}" for tier in TIERS)), rows)


def template_words() -> str:
    """Filters and methods of templates."""
    lines = [("filters", NAMES), ("methods", tuple(f"{name}()" for name in _METHODS))]
    return "\n".join(f"- {what}: {_wrapped(names)}" for what, names in lines)


def errors() -> str:
    """A manifest that is wrong in many ways, and what `batchgen check` says."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "job.yaml")
        path.write_text(BROKEN, encoding="utf-8")
        Path(folder, "products.csv").write_text(BROKEN_ROWS, encoding="utf-8")
        try:
            expand(load_manifest(path, CATALOG))
        except ManifestError as error:
            found = [str(problem).removeprefix(f"{folder}/") for problem in error.problems]
        else:
            raise AssertionError("the sample is meant to be wrong")
    shown = [f"# job.yaml\n{BROKEN}\n# products.csv\n{BROKEN_ROWS.rstrip()}", "\n".join(map(_folded, found))]
    return "\n\n".join(f"```text\n{each}\n```" for each in shown)


TABLES: dict[str, dict[str, Callable[[], str]]] = {
    "lifecycle.md": {
        "states": states,
        "diagram": diagram,
        "events": events,
        "charges": charges,
        "outcomes": outcomes,
    },
    "routes.md": {
        "systems": systems,
        "routes": routes,
        "inputs": route_inputs,
        "keys": route_keys,
        "parameters": route_parameters,
        "times": route_times,
        "charges that differ": charges_that_differ,
        "token prices": token_prices,
        "phrases": phrases,
        "what a manifest may change": manifest_route_keys,
        "words of keys": words_of_keys,
    },
    "manifest.md": {"sizes": sizes, "template words": template_words, "errors": errors},
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def section(text: str, name: str) -> str:
    """What stands between the markers of a generated section."""
    begin = _BEGIN.format(name)
    if begin not in text:
        raise AssertionError(f"the section {name!r} is not marked")
    return text.partition(begin)[2].partition(_END)[0]


_HELD_BACK = "back in line; the lane holds back"


def _next(kind: OutcomeKind) -> str:
    """What happens after an outcome: to a fresh task, and to one that has used up its allowances."""
    limits = Limits()
    first = _decided(kind, 0, 0, limits)
    last = _decided(kind, limits.attempts - 1, limits.unknown, limits)
    words = _HELD_BACK if kind in TOO_MANY else _words(first)
    if isinstance(first, Retry) and kind not in LOST_KINDS:
        smaller = _decided(kind, 0, 0, limits, size=THIRTY[2], downgrade=True)
        words += "; 4K as 2K" if isinstance(smaller, Downgrade) else ""
    words = words if type(first) is type(last) else f"{words}; in the end {_words(last)}"
    moves = isinstance(_decided(kind, limits.attempts - 1, 0, limits, way=NextRoutes(fallback="a/b")), Failover)
    return f"{words} †" if moves else f"{words} ‡" if kind in HOLLOW_KINDS else words


def _decided(
    kind: OutcomeKind,
    attempts: int,
    unknowns: int,
    limits: Limits,
    *,
    size: Size = THIRTY[1],
    downgrade: bool = False,
    way: NextRoutes = NOWHERE,
) -> Decision:
    claim = Claim(1, 1, "a", "a", size, size, 1, Parameters(), "a", 1, attempts, unknowns, attempts, 0.0)
    rules = Rules(limits, FourK.DOWNGRADE if downgrade else FourK.RETRY)
    return decide(Outcome(kind, Charge.VOID, ""), claim, rules, lambda low, _: low, way, upper=CHEAP)


def _words(decision: Decision) -> str:
    match decision:
        case Deliver():
            return "check it, place it"
        case Retry() | Downgrade():
            return "again"
        case Release():
            return "back in line; the lane pauses"
        case StopLane(then=Park()):
            return "parked; the route stops"
        case StopLane():
            return "the route stops"
        case Failover():
            return "over the next route"
        case Park():
            return "parked"
        case Fail():
            return "failed"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:g} MB" if size else "not stated"


def _with_addresses(contract: Contract) -> list[str]:
    """The endpoints on which references may be https addresses."""
    known = {name: replace(contract, endpoint_default=name) for name in contract.endpoints}
    return [name for name, each in known.items() if input_objection(each, 1, mask=False, addresses=True) is None]


def _listed(states: frozenset[TaskState]) -> str:
    others = [state for state in TaskState if state not in states]
    return f"all but {others[0]}" if len(others) == 1 else ", ".join(state for state in TaskState if state in states)


def _common_charges() -> dict[OutcomeKind, Charge]:
    defaults = read_yaml(DATA / "common.yaml")["defaults"]
    assert isinstance(defaults, dict)
    return {kind: Charge(defaults["charges"][kind]) for kind in OutcomeKind}


def _star(kind: OutcomeKind) -> str:
    """A mark where some route charges an outcome otherwise."""
    return " *" if any(each.charges[kind] != _common_charges()[kind] for each in CONTRACTS) else ""


def _price(contract: Contract) -> str:
    times = f" × {contract.multiplier}" if contract.multiplier != 1 else ""
    if isinstance(contract.price, PerCall):
        return f"{format_usd(contract.price.micros)} a call{times}"
    return f"by tokens{times}" if isinstance(contract.price, TokenPrice) else "unknown"


def _sizes(contract: Contract) -> str:
    rule = contract.sizes
    if rule.kind == "none":
        return "only `auto`"
    auto = ", `auto`" if rule.takes_auto else ""
    if rule.kind == "listed":
        return ("the 30" if rule.listed == THIRTY else f"{len(rule.listed)} listed") + auto
    if rule.by == "wording":
        return f"{len(rule.wording)} ratios, edge {rule.min_edge}–{rule.max_edge}{auto}"
    return f"free, edge to {rule.max_edge}{auto}"


def _values(contract: Contract, name: str) -> str:
    rule = contract.parameters[name]
    if rule.stance == "rejects":
        return "—"
    return (", ".join(rule.values) or "anything") + (" (unsure)" if rule.stance == "unsure" else "")


def _waits(contract: Contract) -> str:
    plain = " / ".join(f"{contract.timeouts[tier]:g}" for tier in TIERS)
    longer: dict[float, list[str]] = {}
    for quality, seconds in contract.quality_timeouts.items():
        longer.setdefault(seconds, []).append(quality)
    said = ", ".join(f"{'/'.join(names)} {seconds:g}" for seconds, names in longer.items())
    return plain + (f" ({said})" if said else "")


def _wrapped(names: Iterable[str]) -> str:
    lines = [""]
    for name in names:
        word = f"`{name}`, "
        if len(lines[-1]) + len(word) > 100:
            lines.append("")
        lines[-1] += word
    return "\n  ".join(line.rstrip() for line in lines).rstrip(",")


def _folded(line: str) -> str:
    """A long line over several, as a terminal shows it."""
    parts = []
    while len(line) > 116:
        cut = line.rfind(" ", 0, 116)
        parts.append(line[:cut])
        line = "    " + line[cut + 1 :]
    return "\n".join([*parts, line])


def main() -> None:
    """Write every generated section anew."""
    for name, parts in TABLES.items():
        path = DOCS / name
        text = path.read_text(encoding="utf-8")
        for part, make in parts.items():
            begin = _BEGIN.format(part)
            text = text.replace(f"{begin}{section(text, part)}{_END}", f"{begin}{make()}{_END}")
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
