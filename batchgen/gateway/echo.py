"""What in a reply is the result, and what is the request come back.

Some gateways repeat what they were asked, input images and all. Such a picture is no result, however well it decodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from batchgen.domain.wire import Call, FilePiece
from batchgen.gateway.json_body import encode
from batchgen.gateway.key_words import marks_of_no_result
from batchgen.gateway.scan import ScannedPicture

SENT_BACK = "it went with the request, and came back"  # the damage of such a picture in an answer that is kept


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
    marks: Iterable[int],
    found: Sequence[ScannedPicture],
    sent: SentRequest = NOTHING_SENT,
    *,
    text: str | None = None,
) -> tuple[int, ...]:
    """Choose the pictures of a reply that are its result, in order; never one that was sent.

    Args:
        marks: those that stand where the result is; where the scanner found none under a mark, the reply wrote that
            itself.
        found: all that the scanner found.
        sent: the request.
        text: of a reply that broke off, so that nobody can say what stands where. Then a picture under a key that only
            answers have is better taken for the paid result than dropped, and so is one that is the only one.
    """
    real = [index for index, one in enumerate(found) if (one.size or one.damage) and index not in sent.marks]
    placed = tuple(dict.fromkeys(mark for mark in marks if mark in real))
    if placed or text is None:
        return placed
    unfit = marks_of_no_result(text)
    rest = [index for index in real if index not in unfit]
    own = tuple(index for index in rest if found[index].own)
    return own or (tuple(rest) if len(rest) == 1 else ())
