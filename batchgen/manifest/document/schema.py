"""The keys of a manifest: what may be written, and the JSON Schema that tells editors."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeGuard

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from batchgen.domain.images_from import read_entry
from batchgen.domain.job import FourK
from batchgen.domain.money import parse_usd
from batchgen.domain.size import TABLE

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
FORMATS = ("png", "jpeg", "webp")
MOST_IN_FLIGHT = 1000  # calls
DEFAULT_FILE = "{{ id }}/{{ size }}-{{ sample }}"

_SLUG = r"^[a-z0-9]+([._-][a-z0-9]+)*$"
_RATE = re.compile(r"(\d{1,6}(?:\.\d{1,6})?) ?/ ?(s|min|h)\Z")
_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,6})?) ?(s|min|h)\Z")
_SECONDS = {"s": 1, "min": 60, "h": 3600}
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\Z")
_SIZE = rf"^(auto|({'|'.join(TABLE)})@[124][kK]|[1-9][0-9]{{1,4}}[xX×][1-9][0-9]{{1,4}})$"


def _is_number(value: object) -> TypeGuard[int | Decimal]:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _seconds(value: object) -> float:
    if not _is_number(value) or not 1 <= value <= 86_400:
        raise ValueError("must be a number of seconds between 1 and 86400, for instance 300")
    return float(value)


def _budget(value: object) -> int:
    if not _is_number(value):
        raise ValueError("must be a plain number of dollars, for instance 25.00")
    micros = parse_usd(f"{Decimal(value):f}")
    if micros == 0:
        raise ValueError("must be more than 0; leave it out for no limit")
    return micros


def _rate(value: object) -> float:
    found = _RATE.match(value) if isinstance(value, str) else None
    if found is None or not Decimal(found[1]):
        raise ValueError("must be calls per second, minute or hour, for instance 120/min")
    return float(Decimal(found[1]) / _SECONDS[found[2]])


def _duration(value: object) -> float:
    found = _DURATION.match(value) if isinstance(value, str) else None
    if found is None or not 1 <= (seconds := float(Decimal(found[1]) * _SECONDS[found[2]])) <= 604_800:
        raise ValueError("must be between 1 second and 7 days in seconds, minutes or hours, for instance 90min")
    return seconds


def _until(value: object) -> int:
    found = _TIME.match(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('must be a time of day between 00:00 and 23:59, in quotes, for instance "07:00"')
    return int(found[1]) * 60 + int(found[2])


def _name(value: str) -> str:
    if len(value) > 64 or not re.match(_SLUG, value):
        raise ValueError("must be at most 64 small letters and digits, joined by dashes, for instance spring-catalog")
    return value


def _format(value: str) -> str:
    if value not in FORMATS:
        raise ValueError(f"must be {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, not {value}")
    return value


def _four_k(value: str) -> str:
    if value not in list(FourK):
        raise ValueError(f"must be {', '.join(list(FourK)[:-1])} or {list(FourK)[-1]}, not {value}")
    return value


def _image_host(value: str) -> str:
    read_entry(value)
    return value


def _terms(value: object) -> object:
    terms = value if isinstance(value, list) else [value]
    if not terms or not all(isinstance(term, str) and 0 < len(term.strip()) <= 200 for term in terms):
        raise ValueError("must be a list of words, each in quotes, or the name of a text file with one a line")
    return value


def _kind(prompt: object) -> str:
    return "catalog" if isinstance(prompt, dict) and "from" in prompt else "written"


Format = Annotated[str, AfterValidator(_format), WithJsonSchema({"type": "string", "enum": list(FORMATS)})]


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)


class SharedKeys(_Keys):
    """What may be said for the whole job and again for a prompt. Empty, and 0, mean not said."""

    sizes: list[Annotated[str, WithJsonSchema({"type": "string", "pattern": _SIZE})]] = Field(
        default=[],
        min_length=1,
        max_length=200,
        description="ratio@tier from the table of 30 sizes, exact pixels, or auto.",
        examples=[["1:1@2K", "2048x1152"]],
    )
    count: int = Field(default=0, ge=1, le=1000, description="Images per prompt and size, one call each. Default: 1.")
    quality: str = Field(default="", min_length=1, max_length=40, description="Only where the route takes it.")
    background: str = Field(default="", min_length=1, max_length=40, description="Only where the route takes it.")


class WrittenPrompt(SharedKeys):
    """A prompt that stands in the manifest itself."""

    id: str = Field(min_length=1, description="What you know it by, for instance a SKU.")
    text: str = Field(min_length=1, description="The prompt, sent as it is.")
    references: list[Annotated[str, Field(min_length=1)]] = Field(
        default=[],
        min_length=1,
        max_length=16,
        description="Images to work on: PNG, JPEG or WebP files below the manifest's folder, or addresses.",
        examples=[["photos/mug.jpg"]],
    )
    mask: str = Field(
        default="",
        min_length=1,
        description="A PNG of the first reference's size; what is transparent in it is drawn anew.",
        examples=["masks/mug.png"],
    )
    format: Format = Field(default="", description="Instead of output.format.")
    file: str = Field(default="", min_length=1, description="Instead of output.file.")


class CatalogPrompt(WrittenPrompt):
    """One prompt per row of a catalog; its columns are the variables."""

    source: str = Field(alias="from", min_length=1, description="A .csv or .jsonl file, relative to the manifest.")
    id: str = Field(min_length=1, description='The id of each row\'s prompt, for instance "{{ sku }}".')
    text: str = Field(min_length=1, description='The prompt of each row, for instance "Photo of {{ name }}".')


class Output(_Keys):
    """Where images land."""

    folder: str = Field(default="", min_length=1, description="Relative to the manifest. Default: out/NAME.")
    file: str = Field(
        default=DEFAULT_FILE,
        min_length=1,
        description="Path of an image below the folder, without ending. Beside the columns and id: "
        "{{ size }}, {{ sample }}, {{ ratio }}, {{ tier }}.",
    )
    format: Format = Field(default="png", description="Where the route can deliver it.")


class LimitKeys(_Keys):
    """How far a run may go by itself."""

    concurrency: int = Field(
        default=0,
        ge=1,
        le=MOST_IN_FLIGHT,
        description="Calls in flight, over all keys. Default: the route's for each key, at most 32 each.",
    )
    rate: Annotated[
        float, BeforeValidator(_rate), WithJsonSchema({"type": "string", "pattern": r"^[0-9.]+ ?/ ?(s|min|h)$"})
    ] = Field(default=0.0, description="Calls per second, minute or hour: 2/s, 120/min, 1000/h.", examples=["120/min"])
    burst: int = Field(default=1, ge=1, le=10_000, description="Calls that may go at once before the rate holds them.")
    attempts: int = Field(default=3, ge=1, le=100, description="Paid calls per image at most, by itself.")
    unknown: int = Field(default=1, ge=0, le=100, description="Further calls per image after a lost answer.")
    unknown_total: int = Field(
        default=0,
        ge=1,
        le=1_000_000_000,
        description="Lost answers that stop the run. Default: 10, or 5 % of its calls if that is more.",
    )
    retry_paid: int = Field(
        default=-1,
        ge=0,
        le=100,
        description="Further calls per image after paid answers with nothing in them, or with broken bytes. Default: 1 "
        "where such a call takes $0.05 at most, else 0.",
    )
    patience: Annotated[
        float, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": r"^[0-9.]+ ?(s|min|h)$"})
    ] = Field(
        default=0.0,
        description="How long a gateway that is down is waited for. Default: until `until`, else an hour.",
        examples=["90min"],
    )
    budget: Annotated[int, BeforeValidator(_budget), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})] = Field(
        default=0, description="Dollars the job may ever spend.", examples=[25.00]
    )
    budget_per_run: Annotated[
        int, BeforeValidator(_budget), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})
    ] = Field(default=0, description="Dollars that each run of the job may spend.", examples=[5.00])
    until: Annotated[
        int, BeforeValidator(_until), WithJsonSchema({"type": "string", "pattern": r"^([01]?[0-9]|2[0-3]):[0-5][0-9]$"})
    ] = Field(default=-1, description="Local time of day after which no call is made.", examples=["07:00"])


PromptKeys = Annotated[
    Annotated[WrittenPrompt, Tag("written")] | Annotated[CatalogPrompt, Tag("catalog")], Discriminator(_kind)
]


class ManifestKeys(SharedKeys):
    """A batchgen manifest: what to buy, where, and how far to go."""

    version: Literal[1] = Field(description="Of this format.")
    name: Annotated[
        str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": _SLUG, "maxLength": 64})
    ] = Field(description="The job's name in the ledger.")
    route: str | dict[str, Any] = Field(
        description="provider/model or provider/model@group, or a mapping with use: and what to change about it.",
        examples=["apiyi/gpt-image-2-vip"],
    )
    prompts: list[PromptKeys] = Field(min_length=1, description="Written prompts and catalogs.")
    output: Output = Field(default_factory=Output, description="Where images land.")
    limits: LimitKeys = Field(default_factory=LimitKeys, description="How far a run may go by itself.")
    timeout: Annotated[
        float, BeforeValidator(_seconds), WithJsonSchema({"type": "number", "minimum": 1, "maximum": 86400})
    ] = Field(default=0.0, description="Seconds per call. Default: the route's. Less is no saving: the call is paid.")
    downgrade: bool = Field(default=False, description="Short for if_4k_fails: downgrade.")
    if_4k_fails: Annotated[
        str, AfterValidator(_four_k), WithJsonSchema({"type": "string", "enum": [str(each) for each in FourK]})
    ] = Field(
        default="",
        description="What follows when the gateway fails at 4K: downgrade (2K of the same ratio at once), rescue (the "
        "route that holds 4K, once the attempts are used up), retry, or fail. Default: retry.",
    )
    fallback: list[str | dict[str, Any]] = Field(
        default=[],
        min_length=1,
        max_length=8,
        description="Routes to go on with, in order: where a key or the money has given out, or attempts are used up.",
        examples=[["apiyi/gpt-image-2@image2Enterprise"]],
    )
    fallback_on_refusal: bool = Field(
        default=False, description="Whether content that one route refuses is tried over the next; each may charge it."
    )
    images_from: list[Annotated[str, AfterValidator(_image_host)]] = Field(
        default=[],
        min_length=1,
        max_length=100,
        description="Where images may be fetched from beside public https addresses: hosts with http:// or a port, and "
        "private networks.",
        examples=[["http://img.example", "https://*.img.example:8443", "10.0.0.0/8"]],
    )
    risky_terms: Annotated[
        list[str] | str,
        BeforeValidator(_terms),
        WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}),
    ] = Field(
        default=[],
        description="Words to be warned of in prompts, such as names and brands; or a text file with one a line.",
        examples=[["celebrity", "Disney"]],
    )


class _Generator(GenerateJsonSchema):
    """Leaves out defaults that stand for `not said`, which nobody may write."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default") is not False and schema.get("default") in ("", 0, -1, []):
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def schema() -> dict[str, Any]:
    """Make the JSON Schema of a manifest, for editors."""
    found = ManifestKeys.model_json_schema(by_alias=True, schema_generator=_Generator)
    return {"$schema": SCHEMA_DIALECT, **found, "title": "batchgen manifest"}
