"""What the index and a receipt say of an attempt: from a claim and its reservation, or from the books."""

from __future__ import annotations

from batchgen.domain.model import Claim, Reservation
from batchgen.domain.origin import NO_ORIGIN, Origin
from batchgen.domain.output_image import Delivered, Image
from batchgen.ledger.records import AttemptRow, TaskRow


def origin_of(claim: Claim, entry: Reservation | AttemptRow) -> Origin:
    """Return what an attempt at a claim is for."""
    return _origin(claim, claim.inputs.count, (claim.own, claim.shared), entry)


def line_of(task: TaskRow, attempt: AttemptRow) -> Delivered:
    """Return what the index says of a delivered image, by the books.

    Raises:
        ValueError: the task has no image.
    """
    if task.image is None:
        raise ValueError(f"task {task.id} has no image")
    image = task.image
    return Delivered(
        origin=_origin(task, task.images, (image.own, image.shared), attempt),
        image=Image(image.path, image.sha256, image.bytes, image.width, image.height, image.format),
        flags=image.flags,
        attempt=attempt.id,
        request_ids=attempt.request_ids,
        charge=attempt.charge,
        billed=attempt.billed,
        created=image.created_at,
    )


def is_of(told: Origin, asked: Origin) -> bool:
    """Tell whether an answer is that of an attempt, as far as its receipt says."""
    return told == NO_ORIGIN or (told.request_hash, told.reserved_at) == (asked.request_hash, asked.reserved_at)


def _origin(asked: Claim | TaskRow, images: int, hashes: tuple[int, int], entry: Reservation | AttemptRow) -> Origin:
    return Origin(
        job=asked.job_name,
        key=asked.key,
        path=asked.pattern,
        size=str(asked.size),
        sample=asked.sample,
        revision=entry.revision,
        own=hashes[0],
        shared=hashes[1],
        images=images,
        provider=entry.provider,
        route=entry.route,
        group=entry.group,
        model=entry.model,
        endpoint=entry.endpoint,
        base_url=entry.base_url,
        size_sent=entry.size_sent,
        quality=entry.quality,
        request_hash=entry.request_hash,
        billing_unit=entry.billing_unit,
        key_fingerprint=entry.key_fingerprint,
        reserved=entry.reserved,
        reserved_at=entry.reserved_at,
    )
