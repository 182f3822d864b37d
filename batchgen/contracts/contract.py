"""What one route takes, returns, charges and how it fails: a frozen value, read from dated data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Decimal
from functools import lru_cache
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from batchgen.contracts.endpoints import ENDPOINTS, EndpointFacts
from batchgen.contracts.sizes import SizeRule
from batchgen.contracts.tokens import MainPrice, NoPrice, PerCall, TokenPrice
from batchgen.contracts.words import Word
from batchgen.domain.following import Following
from batchgen.domain.images_from import ImagesFrom
from batchgen.domain.job import Parameters
from batchgen.domain.json_place import Place
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import OutcomeKind
from batchgen.domain.size import Size

_TALK = frozenset(
    {"checked", "source", "key_note", "latency", "overridden", "warnings", "log", "retires_on", "proxy", "digest"}
)


@dataclass(frozen=True, slots=True)
class ParameterRule:
    """Whether a parameter may be sent.

    Attributes:
        stance: `unsure` where the vendor has changed its mind: sent only if the manifest insists, with a warning.
        values: what it may be; empty for anything.
    """

    stance: Literal["takes", "rejects", "unsure"]
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Objection:
    """What a route has against a parameter that a manifest asks for.

    Attributes:
        parameter: `quality`, `background` or `format`.
        stance: `rejects` knows no such parameter at all, `takes others` not this value, `unsure` may turn it down; only
            what it is unsure of is sent all the same.
        text: a sentence that says so, and what to do.
    """

    parameter: str
    stance: Literal["rejects", "takes others", "unsure"]
    text: str

    @property
    def is_doubt(self) -> bool:
        """Whether it is a warning, and no error."""
        return self.stance == "unsure"


@dataclass(frozen=True, slots=True)
class References:
    """Limits of reference images, in bytes each; 0 where the vendor states none.

    Attributes:
        advised_bytes: above this a reference is made smaller before it is sent.
        total_bytes: of all references of one call together, as advised.
        field: the name of the form field, `image` or `image[]`; a single one is always `image`.
        mask: whether a mask is taken.
        json: whether edits are also taken as JSON, which alone can carry https addresses.
        many: from so many input images on a call is waited for `many_timeout` seconds at least.
    """

    max_count: int = 0
    max_bytes: int = 0
    advised_bytes: int = 0
    total_bytes: int = 0
    field: str = "image"
    mask: bool = False
    json: bool = False
    many: int = 0
    many_timeout: int = 0


@dataclass(frozen=True, slots=True)
class LogApi:
    """Where a gateway tells what it really charged, call by call.

    Attributes:
        path: below the server's root, not below `base_url`.
        token_env: the variable with the account's access token, which is not the key of the calls.
    """

    path: str = ""
    token_env: str = ""


@dataclass(frozen=True, slots=True)
class Contract:
    """One route, as of `checked`.

    Attributes:
        group: the token group that leads to it, "" for the provider's default.
        channel: `official` where OpenAI's own API answers in the end, `reverse` otherwise.
        base_url: the gateway's root, without a slash at the end.
        proxy: that requests go through, with `${NAME}` for a password; `none` for none, "" as the environment says.
        keys: the variables that hold its keys, all of one group and account; () sends none.
        key_type: `usage` where a per-call key is refused.
        concurrency_stated: whether the gateway itself says how many calls in flight it takes.
        limits_per: whether each key has limits of its own, or all keys of an account share them.
        multiplier: on every price, as decimals are written; `batch_multiplier` comes on top for the Batch API.
        endpoints: what works today; `endpoint_default` is the one used.
        parameters: by name: quality, background, format (`output_format` on the wire), n, response_format, moderation.
        response_format: what is sent as `response_format`; "" sends none.
        formats: what it can deliver; `transparent_formats` those that keep a transparent background.
        max_prompt: characters.
        timeouts: tier to seconds for the whole call; `quality_timeouts` lengthen it for a quality.
        concurrency: calls in flight at most, of one key or of the account as `limits_per` says.
        url_lifetime: seconds an image's address stays alive.
        charges: what each kind of outcome costs; total over `OutcomeKind`.
        downgrade: whether 2K of the same ratio is the advised way out of sporadic 500s at 4K.
        rescue: the route that the vendor names where 4K must be delivered, "" for none.
        main_model: the mainline model that draws through its image tool on the `responses` endpoint.
        main_price: what that model's own tokens cost; None when nobody has said.
        chat_lead: what goes in front of a prompt on the chat endpoint, so that a weak one is not answered in words.
        retires_on: the last day the vendor serves it, "" for none announced; `ends` in a contract file.
        words: what this gateway says beside what all do, the contract's own rows first.
        void_in_200: kinds of errors that it does not charge although they come inside a 200.
        picture_at: where its answers have their image, as keys and numbers of items; () leaves that to be found.
        images_from: where images may be fetched from beside public https addresses.
        latency: tier to the shortest and longest usual time, in seconds.
        task: how a call is followed where the gateway takes it in under a number; None where it answers at once.
        overridden: keys a manifest has changed. `warnings`: what is doubtful about these changes.
        digest: 16 hex digits over all that decides what is sent, judged and charged; talk and dates of checks left out.
    """

    provider: str
    model: str
    group: str
    channel: Literal["official", "reverse"]
    base_url: str
    keys: tuple[str, ...]
    key_type: str
    key_note: str
    checked: str
    source: str
    multiplier: Decimal
    endpoints: tuple[str, ...]
    endpoint_default: str
    sizes: SizeRule
    parameters: Mapping[str, ParameterRule]
    response_format: str
    formats: tuple[str, ...]
    transparent_formats: tuple[str, ...]
    max_prompt: int
    references: References
    timeouts: Mapping[str, float]
    quality_timeouts: Mapping[str, float]
    concurrency: int
    concurrency_stated: bool
    limits_per: Literal["key", "account"]
    url_lifetime: float
    request_id_headers: tuple[str, ...]
    price: PerCall | TokenPrice | NoPrice
    charges: Mapping[OutcomeKind, Charge]
    downgrade: bool
    rescue: str
    main_model: str
    main_price: MainPrice | None
    batch_multiplier: Decimal
    chat_lead: str
    log: LogApi
    retires_on: str
    words: tuple[Word, ...]
    void_in_200: frozenset[OutcomeKind]
    images_from: ImagesFrom
    picture_at: Place
    latency: Mapping[str, tuple[float, float]]
    task: Following | None = None
    overridden: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    proxy: str = ""
    digest: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        plain = {each.name: _plain(getattr(self, each.name)) for each in fields(self) if each.name not in _TALK}
        text = json.dumps(plain, sort_keys=True)
        object.__setattr__(self, "digest", hashlib.sha256(text.encode()).hexdigest()[:16])

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def route(self) -> str:
        """`provider/model`, or `provider/model@group`."""
        return f"{self.provider}/{self.model}" + (f"@{self.group}" if self.group else "")

    @property
    def key_env(self) -> str:
        """The variable that holds the first of its keys, "" where it sends none."""
        return self.keys[0] if self.keys else ""

    @property
    def quotas(self) -> int:
        """How many times over its limits hold: once for each key that has limits of its own."""
        return max(1, len(self.keys)) if self.limits_per == "key" else 1

    @property
    def begins_at_concurrency(self) -> bool:
        """Whether the gateway itself says what calls in flight it takes, and it is that gateway and that number."""
        changed = {"base_url", "concurrency"} & {*self.overridden}
        return self.concurrency_stated and (not changed or "concurrency_stated" in self.overridden)

    @property
    def host(self) -> str:
        """The gateway's host, with its port where that is not the usual one."""
        return urlsplit(self.base_url).netloc

    @property
    def loopback(self) -> bool:
        """Whether the gateway is on this machine: the only case in which plain http is allowed."""
        return is_loopback(urlsplit(self.base_url).hostname or "")

    @property
    def versioned(self) -> bool:
        """Whether the gateway's root ends as that of an OpenAI-compatible one does: in `/v1`."""
        return urlsplit(self.base_url).path.endswith("/v1")

    def check_size(self, size: Size) -> str | None:
        """Say that the route does not take a size, and the nearest one it takes; None when it takes this one."""
        objection = self.sizes.objection(size)
        if objection is None:
            return None
        sentence = f"{self.route} does not take the size {size}: it {objection}"
        if size.is_auto:
            example = self.sizes.nearest(Size(2048, 2048))
            return sentence + (f"; name one, for instance {_named(example)}" if example else "")
        near = self.sizes.nearest(size)
        return sentence + (f"; the nearest it takes is {_named(near)}" if near else "; write auto")

    def check_parameters(self, asked: Parameters) -> tuple[Objection, ...]:
        """Find what is wrong with the quality, background and format of a manifest, or doubtful about them."""
        given = (("quality", asked.quality), ("background", asked.background))
        found = [self._objection(name, value) for name, value in given if value is not None]
        if asked.format not in self.formats:
            text = f"{self.route} delivers {', '.join(self.formats)}, not {asked.format}"
            found.append(Objection("format", "takes others", text))
        elif asked.background == "transparent" and asked.format not in self.transparent_formats:
            kept = " or ".join(self.transparent_formats)
            text = f"a transparent background needs the format {kept}, not {asked.format}"
            found.append(Objection("format", "takes others", text))
        return tuple(each for each in found if each is not None)

    def _objection(self, name: str, value: str) -> Objection | None:
        rule = self._rule(name)
        if rule.stance == "rejects":
            return Objection(name, "rejects", f"{self.route} rejects `{name}`; leave it out")
        if rule.values and value not in rule.values:
            text = f"{self.route} takes {', '.join(rule.values)} as `{name}`, not {value}"
            return Objection(name, "takes others", text)
        if rule.stance == "unsure":
            doubt = f"{self.route} may reject `{name}` (not sure as of {self.checked})"
            return Objection(name, "unsure", f"{doubt}; it is sent because you ask for it")
        return None

    def wire_parameters(self, asked: Parameters) -> tuple[tuple[str, str], ...]:
        """Return names and values for the request beside model, prompt and size. Never one that the route rejects."""
        wanted = (
            ("quality", "quality", asked.quality),
            ("background", "background", asked.background),
            ("format", "output_format", asked.format),
            ("response_format", "response_format", self.response_format or None),
        )
        return tuple((wire, value) for name, wire, value in wanted if value and self._rule(name).stance != "rejects")

    @property
    def endpoint(self) -> EndpointFacts:
        """The endpoint that is used."""
        return ENDPOINTS[self.endpoint_default]

    @property
    def price_factor(self) -> Decimal:
        """What every price is multiplied by on the endpoint that is used."""
        return self.multiplier * self.batch_multiplier if self.endpoint.in_batches else self.multiplier

    def wire_size(self, size: Size) -> str | None:
        """Return what to put into the request as `size`; None to leave it out."""
        if self.sizes.kind == "none" or self.sizes.by == "wording":
            return None
        return str(size)

    def prompt_text(self, text: str, size: Size) -> str:
        """Return the prompt as it is sent: where a route takes sizes by wording, their phrase comes first."""
        return text if self.sizes.by != "wording" else _phrase(self, size) + text

    def timeout_for(self, size: Size, quality: str | None, inputs: int = 0) -> float:
        """Return the seconds to wait for a whole call with so many input images.

        Giving up earlier saves nothing: an abandoned call is paid.
        """
        many = self.references.many_timeout if 0 < self.references.many <= inputs else 0
        return max(self.timeouts[size.tier], self.quality_timeouts.get(quality or "", 0.0), float(many))

    def _rule(self, name: str) -> ParameterRule:
        return self.parameters.get(name, _REJECTED)


_REJECTED = ParameterRule("rejects")


@lru_cache(maxsize=1024)
def _phrase(contract: Contract, size: Size) -> str:
    return contract.sizes.phrase(size)


def is_loopback(host: str) -> bool:
    """Tell whether a host name can only be this machine: `localhost`, 127.0.0.0/8 or ::1."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _named(size: Size) -> str:
    return str(size) if size.name == str(size) else f"{size.name} ({size})"


def _plain(value: object) -> object:
    """Rebuild a value out of what JSON knows, equal for equal values."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Size):
        return str(value)
    if is_dataclass(value):
        return {type(value).__name__: {each.name: _plain(getattr(value, each.name)) for each in fields(value)}}
    return value if isinstance(value, int | float | str | None) else str(value)
