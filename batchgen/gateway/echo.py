"""What in a reply is the result, and what is the request come back.

Some gateways repeat what they were asked, input images and all. Such a picture is no result, however well it decodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batchgen.domain.wire import Call, FilePiece
from batchgen.gateway.json_body import encode
from batchgen.gateway.scan import ScannedPicture


@dataclass(frozen=True, slots=True)
class SentRequest:
    """What was sent, as far as it could come back.

    Attributes:
        text: the request without its files.
        files: hashes of its files, hexadecimal.
        marks: pictures of the reply that are such files.
    """

    text: bytes = b""
    files: frozenset[str] = frozenset()
    marks: frozenset[int] = frozenset()

    def holds(self, url: str) -> bool:
        """Tell whether an address stands in the request."""
        return encode(url)[1:-1].encode("utf-8", "replace") in self.text


NOTHING_SENT = SentRequest()


def sent_by(call: Call) -> SentRequest:
    """Note what of a call could come back."""
    text = b"\n".join(piece for piece in call.body if isinstance(piece, bytes))
    return SentRequest(text, frozenset(piece.sha256 for piece in call.body if isinstance(piece, FilePiece)))


def results(
    marks: Sequence[int], found: Sequence[ScannedPicture], sent: SentRequest = NOTHING_SENT, *, silent: bool
) -> tuple[int, ...]:
    """Choose the pictures of a reply that are its result, in order.

    Args:
        marks: those that stand where the endpoint puts its result.
        found: all that the scanner found; where it found none under a mark, the reply wrote that itself.
        sent: the request.
        silent: whether the reply says nothing else, or is cut off. Then a picture at an unknown place is better taken
            for the paid result than dropped, unless it is one that was sent.
    """
    real = [index for index, one in enumerate(found) if one.size or one.damage]
    placed = tuple(dict.fromkeys(mark for mark in marks if mark in real))
    own = tuple(index for index in real if found[index].own)
    return placed or own or tuple(index for index in real if silent and index not in sent.marks)
