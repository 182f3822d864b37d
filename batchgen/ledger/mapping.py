"""Values to columns and back: the only place that knows how they are written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, fields
from functools import lru_cache
from typing import Any

from sqlalchemy import Result, RowMapping

from batchgen.domain.inputs import NO_INPUTS, InputImage, Inputs
from batchgen.domain.job import Parameters, output_path
from batchgen.domain.lifecycle import Charge, TaskState
from batchgen.domain.model import Claim, OutcomeKind
from batchgen.domain.size import Size
from batchgen.domain.wire import Usage
from batchgen.ledger.records import AttemptRow, ImageRow, TaskAttempt, TaskRow


def dump(value: Any) -> str:
    """Write a value as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def dump_pairs(pairs: tuple[tuple[str, str], ...]) -> str:
    """Names and values as JSON; the common case of none costs nothing."""
    return dump(pairs) if pairs else "[]"


def dump_usage(usage: Usage | None) -> str | None:
    """Token counts as JSON; NULL when the gateway reported none."""
    return None if usage is None else dump(asdict(usage))


def load_pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Read what `dump_pairs` wrote."""
    return tuple((name, value) for name, value in json.loads(text)) if text != "[]" else ()


@lru_cache(maxsize=4096)
def merged(parameters: str, overrides: str) -> Parameters:
    """A job's parameters with those a prompt sets itself."""
    values = json.loads(parameters)
    if overrides:
        values |= json.loads(overrides)
    return Parameters(quality=values.get("quality"), background=values.get("background"), format=values["format"])


@lru_cache(maxsize=4096)
def own_quality(overrides: str) -> str:
    """The quality a prompt sets itself, "" when it leaves the job's."""
    return (json.loads(overrides).get("quality") or "") if overrides else ""


def dump_inputs(inputs: Inputs) -> str:
    """Input images as JSON, lists of fields; "" for none."""
    if not inputs.count:
        return ""
    mask = None if inputs.mask is None else astuple(inputs.mask)
    return dump([[astuple(image) for image in inputs.references], mask])


def load_inputs(text: str) -> Inputs:
    """Read what `dump_inputs` wrote."""
    if not text:
        return NO_INPUTS
    references, mask = json.loads(text)
    return Inputs(tuple(InputImage(*image) for image in references), None if mask is None else InputImage(*mask))


def load_size(width: int | None, height: int | None, default: Size) -> Size:
    """A size that may be NULL."""
    return default if width is None or height is None else Size(width, height)


def rows_of(result: Result[Any]) -> Iterator[dict[str, Any]]:
    """The rows of a result by the labels of their columns; as a stream where the result is one."""
    labels = tuple(result.keys())
    return (dict(zip(labels, row, strict=True)) for row in result)


def load_claim(values: dict[str, Any], owner: RowMapping) -> Claim:
    """A row of `hot.CLAIMS` as a claim of the job whose row of `hot.OWNER` is given."""
    size = Size(values.pop("width"), values.pop("height"))
    send_size = load_size(values.pop("send_width"), values.pop("send_height"), size)
    return Claim(
        **values
        | {
            "job": owner["job"],
            "job_name": owner["job_name"],
            "size": size,
            "send_size": send_size,
            "parameters": merged(owner["parameters"], values.pop("overrides")),
            "path": output_path(values["pattern"], size, values["sample"]),
            "inputs": load_inputs(values["inputs"]),
        }
    )


def load_attempt(values: dict[str, Any]) -> AttemptRow:
    """The columns of `attempt`, labelled as its fields, as a value."""
    usage, outcome = values["usage"], values["outcome"]
    return AttemptRow(
        **values
        | {
            "charge": Charge(values["charge"]),
            "outcome": None if outcome is None else OutcomeKind(outcome),
            "request_ids": load_pairs(values["request_ids"]),
            "effective": load_pairs(values["effective"]),
            "usage": None if usage is None else Usage(**json.loads(usage)),
        }
    )


def load_image(values: dict[str, Any]) -> ImageRow:
    """The columns of `image`, labelled as its fields, as a value."""
    flags = values["flags"]
    return ImageRow(**values | {"flags": tuple(flags.split(",")) if flags else ()})


def load_task(values: dict[str, Any]) -> TaskRow:
    """A row of `lookups.TASKS` as a value."""
    picture = _taken(values, _IMAGE_LABELS)
    size = Size(values.pop("width"), values.pop("height"))
    send_size = load_size(values.pop("send_width"), values.pop("send_height"), size)
    parameters = values.pop("parameters")
    return TaskRow(
        **values
        | {
            "size": size,
            "send_size": send_size,
            "quality": values["quality"] or merged(parameters, "").quality or "",
            "inputs": load_inputs(values["inputs"]),
            "path": output_path(values["pattern"], size, values["sample"]),
            "state": TaskState(values["state"]),
            "work": TaskState(values["work"]),
            "wanted": bool(values["wanted"]),
            "image": None if picture["id"] is None else load_image(picture),
        }
    )


def load_task_attempt(values: dict[str, Any]) -> TaskAttempt:
    """A row of `lookups.CALLS`, `PROBLEMS` or `UNKNOWNS` as a value."""
    made = load_attempt(_taken(values, _ATTEMPT_LABELS))
    size = Size(values["width"], values["height"])
    return TaskAttempt(values["key"], size, values["sample"], TaskState(values["state"]), made)


_IMAGE_LABELS = {each.name: f"image_{each.name}" for each in fields(ImageRow)}
_ATTEMPT_LABELS = {each.name: f"attempt_{each.name}" for each in fields(AttemptRow)}


def _taken(values: dict[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """What is under labels with a prefix, taken out, under the names of the fields."""
    return {field: values.pop(label) for field, label in labels.items()}
