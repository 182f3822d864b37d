"""A kept answer read once more, with what this program and its contract know today. Nothing is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from batchgen.domain.wire import Answer, Call
from batchgen.gateway.echo import SENT_BACK, SentRequest
from batchgen.gateway.image_address import absolute
from batchgen.gateway.reading import read_text
from batchgen.gateway.scan import ScannedPicture


def read_again(answer: Answer, call: Call, sent: SentRequest, digests: Sequence[str] = ()) -> Answer:
    """Return a kept answer with the images that are found in it now; without any where there is still none.

    Args:
        answer: with its text and its pictures, as the receipt has them.
        call: as it would be made today: by its operation, its address and its `picture_at` the answer is read.
        sent: the request, whose images and addresses are no result.
        digests: SHA-256 of the answer's pictures in hexadecimal, in order, where the request had files.

    Raises:
        ContractError: nobody reads the answers of that operation any more.
    """
    known = {index for index, picture in enumerate(answer.spare) if picture.damage == SENT_BACK}
    back = frozenset(known.union(index for index, digest in enumerate(digests) if digest in sent.files))
    found = [ScannedPicture(picture.size, picture.damage) for picture in answer.spare]
    reading = read_text(answer.unread, found, call.operation, replace(sent, marks=back), call.picture_at)
    pictures = tuple(answer.spare[index] for index in reading.shown)
    return replace(answer, pictures=pictures, urls=tuple(absolute(url, call.url) for url in reading.reply.urls))
