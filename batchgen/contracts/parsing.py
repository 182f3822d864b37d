"""From the keys of a contract, inherited ones included, to a `Contract` and its prices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from batchgen.contracts.contract import Contract, LogApi, ParameterRule, References, is_loopback
from batchgen.contracts.endpoints import ENDPOINTS
from batchgen.contracts.sizes import SizeRule
from batchgen.contracts.strict_yaml import Section
from batchgen.contracts.tokens import MainPrice, NoPrice, PerCall, TokenPrice
from batchgen.contracts.words import read_words
from batchgen.contracts.written_proxy import proxy_objection
from batchgen.domain.following import Following
from batchgen.domain.images_from import ImagesFrom
from batchgen.domain.json_place import Place
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import OutcomeKind
from batchgen.domain.size import AUTO, THIRTY, TIERS, Size

REQUIRED = ("checked", "source", "base_url", "key_env")
TALK = (*REQUIRED, "keys", "channel", "key_type", "key_note", "ends", "log", "proxy")
MONEY = ("multiplier", "batch_multiplier", "price", "main_price")
CALL = (
    "endpoints",
    "main_model",
    "chat_lead",
    "endpoint",
    "sizes",
    "parameters",
    "response_format",
    "formats",
    "transparent_formats",
)
LIMITS = (
    *("max_prompt", "references", "timeouts", "quality_timeouts", "concurrency", "concurrency_stated", "limits_per"),
    *("url_lifetime", "latency"),
)
ANSWER = (
    *("charges", "downgrade", "rescue", "words", "void_in_200", "request_id_headers"),
    *("images_from", "picture_at", "task"),
)
KEYS = frozenset((*TALK, *MONEY, *CALL, *LIMITS, *ANSWER))

_PARAMETERS = ("quality", "background", "format", "n", "response_format", "moderation")
_QUALITIES = ("auto", "low", "medium", "high", "xhigh", "max")
_MOST_TIMES = 1_000  # far above what any vendor asks, and far below where an amount leaves the 64 bits of the books
_DEEPEST = 16  # steps to a picture
_LONGEST_KEY = 64  # bytes; more is not looked for while an answer comes
_MOST_ITEMS = 1_000
_FORMATS = ("png", "jpeg", "webp")
_EVERY, _PATIENCE = 5.0, 3600.0  # seconds, where a contract does not say how a call is followed
_FREE = ("multiple_of", "min_edge", "max_edge", "max_ratio", "min_pixels", "max_pixels")
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_RATIO = re.compile(r"[1-9]\d?:[1-9]\d?\Z")


def read_contract(provider: str, name: str, keys: Section, tables: Mapping[str, TokenPrice]) -> Contract:
    """Make a contract out of keys that are complete but for its identity; `name` is `model` or `model@group`.

    `tables` are the token prices by family that `price: {tokens: FAMILY}` can name.

    Raises:
        ContractError: a key is unknown, missing or holds what it cannot hold.
    """
    keys.known(KEYS)
    missing = [key for key in REQUIRED if key not in keys.data and not (key == "key_env" and "keys" in keys.data)]
    if missing:
        raise keys.fail(missing[0], "is missing; a contract says when it was checked, its source, base_url and key_env")
    model, _, group = name.partition("@")
    known = tuple(ENDPOINTS)
    endpoints = keys.texts("endpoints", known) or known[:1]
    contract = Contract(
        provider=provider,
        model=model,
        group=group,
        base_url=_base_url(keys),
        endpoints=endpoints,
        endpoint_default=keys.choice("endpoint", endpoints) if "endpoint" in keys.data else endpoints[0],
        sizes=_sizes(keys),
        response_format=keys.text("response_format", r"(b64_json|url)?", "b64_json, url or empty"),
        formats=keys.texts("formats", _FORMATS),
        transparent_formats=keys.texts("transparent_formats", _FORMATS),
        downgrade=keys.flag("downgrade"),
        rescue=keys.text("rescue"),
        main_model=keys.text("main_model"),
        main_price=_main_price(keys),
        chat_lead=keys.text("chat_lead"),
        price=_price(keys, tables),
        **_origin(keys),
        **_limits(keys),
        **_answers(keys),
    )
    if contract.response_format and contract.parameters["response_format"].stance == "rejects":
        raise keys.fail("response_format", "is sent although `parameters` has it rejected; leave it empty")
    return contract


def _origin(keys: Section) -> dict[str, Any]:
    return {
        "channel": cast(Literal["official", "reverse"], keys.choice("channel", ("official", "reverse"))),
        "keys": _key_names(keys),
        "key_type": keys.choice("key_type", ("usage", "any")),
        "key_note": keys.text("key_note"),
        "checked": keys.text("checked", r"\d{4}-\d\d-\d\d", "a date such as 2026-11-21"),
        "source": keys.text("source", r".+", "the name of a page"),
        "multiplier": keys.decimal("multiplier", _MOST_TIMES),
        "batch_multiplier": keys.decimal("batch_multiplier", _MOST_TIMES),
        "retires_on": keys.text("ends", r"(\d{4}-\d\d-\d\d)?", "a date such as 2026-12-01"),
        "log": _log(keys),
        "proxy": _proxy(keys),
    }


def _key_names(keys: Section) -> tuple[str, ...]:
    """Read the variables that hold the keys; none where the route sends no key."""
    wanted = "the name of a variable, never the key itself"
    if "keys" not in keys.data:
        name = keys.text("key_env", rf"({_VARIABLE})?", wanted)
        return (name,) if name else ()
    names = keys.texts("keys")
    if "key_env" in keys.data:
        raise keys.fail("keys", "stands beside key_env; keep one: key_env for one key, keys for several")
    if not names or len(set(names)) < len(names):
        raise keys.fail("keys", "must name one variable or more, each once")
    if strange := [name for name in names if not re.fullmatch(_VARIABLE, name)]:
        raise keys.fail("keys", f"each must be {wanted}, not {strange[0]!r}")
    return names


def _proxy(keys: Section) -> str:
    written = keys.data.get("proxy", "")
    if objection := proxy_objection(written):
        raise keys.fail("proxy", objection)
    return str(written)


def _log(keys: Section) -> LogApi:
    log = keys.part("log")
    log.known(("path", "token_env"))
    if not log.data:
        return LogApi()
    return LogApi(
        path=log.text("path", r"/[\w./-]+", "a path such as /api/log/self"),
        token_env=log.text("token_env", _VARIABLE, "the name of a variable, never the token itself"),
    )


def _limits(keys: Section) -> dict[str, Any]:
    timeouts, slower, references = keys.part("timeouts"), keys.part("quality_timeouts"), keys.part("references")
    timeouts.known(TIERS)
    references.known(
        ("max_count", "max_bytes", "advised_bytes", "total_bytes", "field", "mask", "json", "many", "many_timeout")
    )
    latency = keys.part("latency")
    latency.known(TIERS)
    return {
        "max_prompt": keys.whole("max_prompt", 1),
        "timeouts": {tier: timeouts.seconds(tier) for tier in TIERS},
        "quality_timeouts": {quality: slower.seconds(quality) for quality in slower.data},
        "latency": {tier: _span(latency, tier) for tier in TIERS},
        "concurrency": keys.whole("concurrency", 1),
        "concurrency_stated": keys.flag("concurrency_stated"),
        "limits_per": cast(Literal["key", "account"], keys.choice("limits_per", ("key", "account"))),
        "url_lifetime": keys.seconds("url_lifetime"),
        "references": References(
            max_count=references.whole("max_count"),
            max_bytes=references.whole("max_bytes"),
            advised_bytes=references.whole("advised_bytes"),
            total_bytes=references.whole("total_bytes"),
            field=references.choice("field", ("image", "image[]")),
            mask=references.flag("mask"),
            json=references.flag("json"),
            many=references.whole("many"),
            many_timeout=references.whole("many_timeout"),
        ),
    }


def _answers(keys: Section) -> dict[str, Any]:
    charges, parameters = keys.part("charges"), keys.part("parameters")
    charges.known(tuple(OutcomeKind))
    parameters.known(_PARAMETERS)
    known = ("billed", "void", "unknown")
    rules = {name: _parameter(parameters, name) for name in parameters.data}
    # Qualities of the usual names may be inherited from where they are taken; others are known where they are listed.
    keys.part("quality_timeouts").known(dict.fromkeys((*_QUALITIES, *rules["quality"].values)))
    return {
        "parameters": rules,
        "charges": {kind: Charge(charges.choice(kind, known)) for kind in OutcomeKind},
        "words": read_words(keys.rows("words")),
        "void_in_200": frozenset(OutcomeKind(kind) for kind in keys.texts("void_in_200", tuple(OutcomeKind))),
        "images_from": _images_from(keys),
        "picture_at": _place(keys, "picture_at"),
        "request_id_headers": tuple(header.lower() for header in keys.texts("request_id_headers")),
        "task": _following(keys),
    }


def _place(keys: Section, key: str) -> Place:
    """Read where something stands in an answer; () where that is not said."""
    place = keys.data.get(key, ())
    if not isinstance(place, list | tuple) or len(place) > _DEEPEST or not all(map(_is_step, place)):
        wanted = "keys and numbers of items from the outside in, counted from 0, such as [images, 0, url]"
        raise keys.fail(key, f"must be {wanted}, not {place!r}")
    return tuple(place)


def _is_step(step: object) -> bool:
    """Tell whether a step is the key of an object, or the number of an item in a list."""
    if isinstance(step, str):
        return 0 < len(step.encode()) <= _LONGEST_KEY
    return isinstance(step, int) and not isinstance(step, bool) and 0 <= step < _MOST_ITEMS


def _images_from(keys: Section) -> ImagesFrom:
    try:
        return ImagesFrom.of(keys.texts("images_from"))
    except ValueError as error:
        raise keys.fail("images_from", str(error)) from None


def _following(keys: Section) -> Following | None:
    """Read how a call is followed that is taken in under a number; None where the gateway answers at once."""
    task = keys.part("task")
    task.known(("id", "poll", "status", "done", "failed", "picture", "every", "patience"))
    if not task.data:
        return None
    poll = task.text(
        "poll", r"/[^{}?#\s]*\{id\}[^{}#\s]*", "a path below base_url with {id} in it, such as /tasks/{id}"
    )
    done, failed = ({word.lower() for word in task.texts(key)} for key in ("done", "failed"))
    if not done or not failed or done & failed:
        raise task.fail("done", "must name the words of a finished call, and `failed` those of one that failed")
    return Following(
        poll=poll,
        id=_place(task, "id"),
        status=_place(task, "status") or ("status",),
        done=tuple(sorted(done)),
        failed=tuple(sorted(failed)),
        picture=_place(task, "picture"),
        every=task.seconds("every") if "every" in task.data else _EVERY,
        patience=task.seconds("patience") if "patience" in task.data else _PATIENCE,
    )


def _base_url(keys: Section) -> str:
    url = keys.text("base_url").rstrip("/")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise keys.fail("base_url", f"is no address: {url!r}") from None
    if not host or parts.scheme not in ("https", "http"):
        raise keys.fail("base_url", f"must be an address such as https://gateway.example/v1, not {url!r}")
    if parts.scheme == "http" and not is_loopback(host):
        raise keys.fail("base_url", f"must be https, since the key travels with each call; {host} is not this machine")
    if parts.query or parts.fragment or parts.username is not None:
        raise keys.fail("base_url", "must be a plain address, without a query, a fragment or a password")
    paths = [path for each in ENDPOINTS.values() for path in (each.plain.path, each.edit.path)]
    if parts.path.endswith((*paths, "/batches")):
        raise keys.fail("base_url", "must be the gateway's root, ending in /v1; the endpoint is added to it")
    return url


def _parameter(parameters: Section, name: str) -> ParameterRule:
    value = parameters.data[name]
    if value in ("takes", "rejects", "unsure"):
        return ParameterRule(cast(Any, value))
    rule = parameters.part(name) if isinstance(value, Mapping) else Section({}, parameters.place)
    stances = [stance for stance in ("takes", "unsure") if stance in rule.data]
    if len(rule.data) != 1 or not stances:
        raise parameters.fail(name, "must be takes, rejects, unsure, or {takes: [values]} or {unsure: [values]}")
    return ParameterRule(cast(Any, stances[0]), rule.texts(stances[0]))


def _span(latency: Section, tier: str) -> tuple[float, float]:
    value = latency.data.get(tier)
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise latency.fail(tier, "must be [shortest, longest] in seconds")
    both = Section({"shortest": value[0], "longest": value[1]}, f"{latency.place}: {tier}")
    shortest, longest = both.seconds("shortest"), both.seconds("longest")
    if shortest > longest:
        raise latency.fail(tier, "must be [shortest, longest], in this order")
    return shortest, longest


def _sizes(keys: Section) -> SizeRule:
    if keys.data.get("sizes") == "none":
        return SizeRule()
    sizes = keys.part("sizes")
    sizes.known(("auto", "listed", "wording", "joiner", *_FREE))
    if not sizes.data:
        raise keys.fail("sizes", "must be none, or {listed: […]}, {wording: {…}} or limits such as {max_edge: 3840}")
    if "listed" in sizes.data:
        return SizeRule(kind="listed", takes_auto=sizes.flag("auto"), listed=_listed(sizes))
    limits: dict[str, Any] = {name: sizes.whole(name) for name in _FREE}
    if "wording" not in sizes.data:
        return SizeRule(kind="free", takes_auto=sizes.flag("auto"), **limits)
    words = sizes.part("wording")
    strange = [ratio for ratio in words.data if not _RATIO.match(ratio)]
    if strange or not words.data:
        raise words.fail("".join(strange[:1]), "must name ratios such as 16:9, each with its phrase and pixels")
    for ratio in words.data:
        words.part(ratio).known(("phrase", "pixels"))
    return SizeRule(
        kind="free",
        by="wording",
        takes_auto=sizes.flag("auto"),
        wording={ratio: words.part(ratio).text("phrase", r".+", "a phrase") for ratio in words.data},
        answers={ratio: words.part(ratio).size("pixels") for ratio in words.data},
        joiner=sizes.text("joiner"),
        **limits,
    )


def _listed(sizes: Section) -> tuple[Size, ...]:
    if sizes.data["listed"] == "thirty":
        return THIRTY
    listed = tuple(dict.fromkeys(sizes.as_size("listed", text) for text in sizes.texts("listed")))
    if not listed:
        raise sizes.fail("listed", "must be `thirty` or a list of sizes")
    return listed


def read_token_tables(keys: Section) -> dict[str, TokenPrice]:
    """Read the dated token prices of `common.yaml`, by model family."""
    return {family: _token_price(keys.part(family), family) for family in keys.data}


def _price(keys: Section, tables: Mapping[str, TokenPrice]) -> PerCall | TokenPrice | NoPrice:
    """Read what a call costs by its contract; `tables` are the token prices that it can name by family."""
    value = keys.data.get("price")
    dated = str(keys.data.get("checked"))
    if value in ("unknown", None):
        return NoPrice()
    if not isinstance(value, Mapping):
        return PerCall(keys.usd("price"), dated)
    price = keys.part("price")
    price.known(("per_call", "tokens", "dated"))
    dated = price.text("dated", r".+", "a date") if "dated" in price.data else dated
    if "per_call" in price.data and "tokens" not in price.data:
        return PerCall(price.usd("per_call"), dated)
    if isinstance(price.data.get("tokens"), Mapping):
        return _token_price(Section({"dated": dated} | dict(price.part("tokens").data), f"{price.place}: tokens"), "")
    return tables[price.choice("tokens", tuple(tables))]


def _main_price(keys: Section) -> MainPrice | None:
    """Read what a mainline model's own tokens cost; None where nobody has said."""
    price = keys.part("main_price")
    price.known(("text_in", "text_out", "dated"))
    if not price.data:
        return None
    dated = price.text("dated", r".+", "a date") if "dated" in price.data else str(keys.data.get("checked"))
    return MainPrice(price.usd("text_in"), price.usd("text_out"), dated)


def _token_price(keys: Section, family: str) -> TokenPrice:
    keys.known(("dated", "text_in", "image_in", "image_out", "bases", "table", "guess"))
    bases, table, guess = keys.part("bases"), keys.part("table"), keys.part("guess")
    guess.known(("size", "quality"))
    return TokenPrice(
        family=family,
        dated=keys.text("dated", r".+", "a date such as 2026-11-21"),
        text_in=keys.usd("text_in"),
        image_in=keys.usd("image_in"),
        image_out=keys.usd("image_out"),
        bases={quality: bases.whole(quality, 1) for quality in bases.data},
        table={
            quality: {row.as_size(size, size): row.whole(size, 1) for size in row.data}
            for quality, row in ((quality, table.part(quality)) for quality in table.data)
        },
        guess=(guess.size("size"), guess.text("quality")) if guess.data else (AUTO, ""),
    )
