"""Values to columns and back: the only place that knows how they are written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple
from functools import lru_cache
from typing import Any

from batchgen.domain.inputs import NO_INPUTS, InputImage, Inputs
from batchgen.domain.job import Parameters, output_path
from batchgen.domain.lifecycle import Charge, TaskState
from batchgen.domain.model import Claim, Kind
from batchgen.domain.size import Size
from batchgen.domain.wire import Usage
from batchgen.ledger.records import AttemptRow, ImageRow, TaskRow
from batchgen.ledger.schema import attempt, image


def dump(value: Any) -> str:
    """A value as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def dump_pairs(pairs: tuple[tuple[str, str], ...]) -> str:
    """Names and values as JSON; the common case of none costs nothing."""
    return dump(pairs) if pairs else "[]"


def dump_usage(usage: Usage | None) -> str | None:
    """Token counts as JSON; NULL when the gateway reported none."""
    return None if usage is None else dump(asdict(usage))


def load_pairs(text: str) -> tuple[tuple[str, str], ...]:
    """The inverse of `dump_pairs`."""
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
    """The inverse of `dump_inputs`."""
    if not text:
        return NO_INPUTS
    references, mask = json.loads(text)
    return Inputs(tuple(InputImage(*image) for image in references), None if mask is None else InputImage(*mask))


def load_size(width: int | None, height: int | None, default: Size) -> Size:
    """A size that may be NULL."""
    return default if width is None or height is None else Size(width, height)


def load_claims(job: int, parameters: str, rows: Iterable[Sequence[Any]]) -> list[Claim]:
    """Rows of `statements.CLAIMS` as claims."""
    claims = []
    for (
        task,
        key,
        text,
        width,
        height,
        send_width,
        send_height,
        sample,
        overrides,
        path,
        revision,
        attempts,
        unknowns,
        calls,
        queued_at,
        inputs,
        send_route,
    ) in rows:
        size = Size(width, height)
        claims.append(
            Claim(
                task,
                job,
                key,
                text,
                size,
                load_size(send_width, send_height, size),
                sample,
                merged(parameters, overrides),
                output_path(path, size, sample),
                revision,
                attempts,
                unknowns,
                calls,
                queued_at,
                load_inputs(inputs),
                send_route,
            )
        )
    return claims


ATTEMPT_COLUMNS = list(attempt.c)
IMAGE_COLUMNS = list(image.c)
_NAMES = {"task_id": "task", "job_id": "job", "attempt_id": "attempt", "group_name": "group", "batch_id": "batch"}
_ATTEMPT_FIELDS = [_NAMES.get(col.name, col.name) for col in ATTEMPT_COLUMNS]
_IMAGE_FIELDS = [_NAMES.get(col.name, col.name) for col in IMAGE_COLUMNS]


def load_attempt(row: Iterable[Any]) -> AttemptRow:
    """The columns of `attempt`, in the table's order, as a value."""
    values = dict(zip(_ATTEMPT_FIELDS, row, strict=True))
    values["charge"] = Charge(values["charge"])
    values["outcome"] = None if values["outcome"] is None else Kind(values["outcome"])
    values["request_ids"] = load_pairs(values["request_ids"])
    values["effective"] = load_pairs(values["effective"])
    values["usage"] = None if values["usage"] is None else Usage(**json.loads(values["usage"]))
    return AttemptRow(**values)


def load_image(row: Iterable[Any]) -> ImageRow:
    """The columns of `image`, in the table's order, as a value."""
    values = dict(zip(_IMAGE_FIELDS, row, strict=True))
    values["flags"] = tuple(values["flags"].split(",")) if values["flags"] else ()
    return ImageRow(**values)


def load_task(row: Iterable[Any]) -> TaskRow:
    """The columns of `queries.TASKS` as a value."""
    key, job, job_name, parameters, prompt_key, text, path, width, height, sample, *rest = row
    send_width, send_height, quality, images, inputs, state, wanted, *facts = rest
    size = Size(width, height)
    (revision, attempts, unknowns, calls, scheduled_at, reason, updated_at, billed, unknown), picture = (
        facts[:9],
        facts[9:],
    )
    return TaskRow(
        id=key,
        job=job,
        job_name=job_name,
        key=prompt_key,
        text=text,
        size=size,
        send_size=load_size(send_width, send_height, size),
        sample=sample,
        quality=quality or merged(parameters, "").quality or "",
        images=images,
        inputs=load_inputs(inputs),
        path=output_path(path, size, sample),
        state=TaskState(state),
        wanted=bool(wanted),
        revision=revision,
        attempts=attempts,
        unknowns=unknowns,
        calls=calls,
        scheduled_at=scheduled_at,
        reason=reason,
        updated_at=updated_at,
        billed=billed,
        unknown=unknown,
        image=None if picture[0] is None else load_image(picture),
    )
