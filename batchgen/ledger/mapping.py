"""Values to columns and back: the only place that knows how they are written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, astuple
from functools import lru_cache
from typing import Any

from sqlalchemy import Row

from batchgen.domain.inputs import NO_INPUTS, InputImage, Inputs
from batchgen.domain.job import Parameters, output_path
from batchgen.domain.lifecycle import Charge, TaskState
from batchgen.domain.model import Claim, OutcomeKind
from batchgen.domain.size import Size
from batchgen.domain.wire import Usage
from batchgen.ledger.records import AttemptRow, ImageRow, TaskRow
from batchgen.ledger.tables import attempt, image


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


def load_claims(owner: tuple[int, str, str], rows: Iterable[Row[Any]]) -> list[Claim]:
    """Rows of `statements.CLAIMS` as claims of a job, given by its number, name and parameters."""
    return [_load_claim(owner, row) for row in rows]


def _load_claim(owner: tuple[int, str, str], row: Row[Any]) -> Claim:
    job, name, parameters = owner
    size = Size(row.width, row.height)
    return Claim(
        task=row.id,
        job=job,
        key=row.key,
        text=row.text,
        size=size,
        send_size=load_size(row.send_width, row.send_height, size),
        sample=row.sample,
        parameters=merged(parameters, row.overrides),
        path=output_path(row.path, size, row.sample),
        revision=row.revision,
        attempts=row.attempts,
        unknowns=row.unknowns,
        calls=row.calls,
        queued_at=row.queued_at,
        inputs=load_inputs(row.inputs),
        send_route=row.send_route,
        own=row.own,
        shared=row.shared,
        job_name=name,
        pattern=row.path,
    )


ATTEMPT_COLUMNS = list(attempt.c)
IMAGE_COLUMNS = list(image.c)
_NAMES = {
    "task_id": "task",
    "job_id": "job",
    "attempt_id": "attempt",
    "group_name": "group",
    "batch_id": "batch",
    "run_id": "run",
}
_ATTEMPT_FIELDS = [_NAMES.get(col.name, col.name) for col in ATTEMPT_COLUMNS]
_IMAGE_FIELDS = [_NAMES.get(col.name, col.name) for col in IMAGE_COLUMNS]


def load_attempt(row: Iterable[Any]) -> AttemptRow:
    """The columns of `attempt`, in the table's order, as a value."""
    values = dict(zip(_ATTEMPT_FIELDS, row, strict=True))
    values["charge"] = Charge(values["charge"])
    values["outcome"] = None if values["outcome"] is None else OutcomeKind(values["outcome"])
    values["request_ids"] = load_pairs(values["request_ids"])
    values["effective"] = load_pairs(values["effective"])
    values["usage"] = None if values["usage"] is None else Usage(**json.loads(values["usage"]))
    return AttemptRow(**values)


def load_image(row: Iterable[Any]) -> ImageRow:
    """The columns of `image`, in the table's order, as a value."""
    values = dict(zip(_IMAGE_FIELDS, row, strict=True))
    values["flags"] = tuple(values["flags"].split(",")) if values["flags"] else ()
    return ImageRow(**values)


def load_task(row: Any) -> TaskRow:
    """The columns of `queries.TASKS` as a value; those of the image come last."""
    size = Size(row.variant_width, row.variant_height)
    picture = row[-len(IMAGE_COLUMNS) :]
    return TaskRow(
        id=row.task_id,
        job=row.job_id,
        job_name=row.job_name,
        key=row.key,
        text=row.text,
        size=size,
        send_size=load_size(row.send_width, row.send_height, size),
        sample=row.sample,
        quality=row.quality or merged(row.parameters, "").quality or "",
        images=row.images,
        inputs=load_inputs(row.inputs),
        path=output_path(row.output_path, size, row.sample),
        pattern=row.output_path,
        state=TaskState(row.state),
        work=TaskState(row.work),
        wanted=bool(row.wanted),
        revision=row.revision,
        attempts=row.attempts,
        unknowns=row.unknowns,
        calls=row.calls,
        scheduled_at=row.scheduled_at,
        reason=row.reason,
        updated_at=row.updated_at,
        billed=row.task_billed,
        unknown=row.task_unknown,
        image=None if picture[0] is None else load_image(picture),
    )
