"""What the text of a body says, its pictures already taken out as marks: the same for a live answer and a kept one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from batchgen.domain.json_place import Place
from batchgen.gateway.echo import NOTHING_SENT, SentRequest, results
from batchgen.gateway.endpoints import codec_for
from batchgen.gateway.endpoints.codec import Reply
from batchgen.gateway.event_stream import folded, is_event_stream
from batchgen.gateway.json_body import Shape, parse
from batchgen.gateway.scan import ScannedPicture


@dataclass(frozen=True, slots=True)
class BodyText:
    """A body as one document.

    Attributes:
        document: as JSON; of one that is not whole only a stream gives any.
        streamed: whether it came as events.
        ended: whether nothing can follow.
    """

    shape: Shape = Shape.OTHER
    document: Any = None
    streamed: bool = False
    ended: bool = False


def body_of(text: str) -> BodyText:
    """Read a body as JSON, or as a stream of events."""
    if is_event_stream(text):
        told = folded(text)
        return BodyText(told.shape, told.document, streamed=True, ended=told.ended)
    shape, document = parse(text)
    return BodyText(shape, document, ended=shape is Shape.WHOLE)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a body says as the reply of an operation.

    Attributes:
        shown: numbers of the pictures that are its result, in order.
    """

    body: BodyText
    reply: Reply
    shown: tuple[int, ...]


def read_text(
    text: str,
    pictures: Sequence[ScannedPicture],
    operation: str,
    sent: SentRequest = NOTHING_SENT,
    picture_at: Place = (),
) -> Reading:
    """Read what a body says; one that broke off is only looked through for images.

    Args:
        text: the body, with marks where its pictures were.
        pictures: those, by their marks.
        operation: as the call named it.
        sent: the request, of which nothing is a result.
        picture_at: where the contract says that the image is.
    """
    return read_body(body_of(text), text, pictures, operation, sent, picture_at)


def read_body(
    body: BodyText, text: str, pictures: Sequence[ScannedPicture], operation: str, sent: SentRequest, picture_at: Place
) -> Reading:
    """Read what a body says that is a document already; as `read_text`."""
    codec = codec_for(operation)
    if body.shape is Shape.WHOLE:
        reply = codec.read(body.document, sent, picture_at)
        return Reading(body, reply, results(reply.marks, pictures, sent))
    if body.streamed:
        reply = codec.read(body.document, sent, picture_at)
        return Reading(body, Reply(urls=reply.urls), results(reply.marks, pictures, sent))
    reply = Reply(urls=codec.salvage(text, sent))
    return Reading(body, reply, () if reply.urls else results((), pictures, sent, text=text))
