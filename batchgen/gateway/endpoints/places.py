"""Where an image stands in a reply that puts it nowhere its endpoint does: by the words of keys, and by one rule.

The rule is that it must be plain what is meant. All that could be the image stands at one place (a list counts as one),
or is one and the same address. Where two unlike things could be it, nothing is taken: a wrong image would be delivered
as the one that was bought. A contract says `picture_at` then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from batchgen.domain.json_place import Place, at
from batchgen.gateway.echo import SentRequest
from batchgen.gateway.endpoints.accepted import is_waiting
from batchgen.gateway.endpoints.message import FoundImages
from batchgen.gateway.endpoints.reply_fields import Json, complaint, error_of, is_address, mark_of
from batchgen.gateway.key_words import holds_no_result, may_hold_image, says_image

# A path is an address where it begins at the root, or leads through a folder to a file of a picture.
_PATH = re.compile(r"//?[^/\s]\S*\Z|(?:\.?/)?[^\s:/?#]+/[^:?#]*\.(?:png|jpe?g|webp)(?:[?#].*)?\Z", re.IGNORECASE)
_PICTURE_FILE = re.compile(r"\.(?:png|jpe?g|webp)(?:[?#]|\Z)", re.IGNORECASE)
_OTHER_FILE = re.compile(
    r"(?:https?://[^/?#]*/?|[^?#]*\.(?:html?|json|md|pdf|txt|mp4|webm|mov|gif|svg|zip))(?:#.*)?\Z", re.IGNORECASE
)
_NO_WORDS = re.compile(r"[^\s#]{1,8192}")
_LONGEST = 8192
_DEEPEST = 12
_MOST_VALUES = 10_000


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What may be the image.

    Attributes:
        place: with `*` for each list.
        says_image: whether it is a picture itself, or a key on the way says so.
    """

    place: tuple[str, ...]
    value: str
    says_image: bool

    @property
    def is_mark(self) -> bool:
        return mark_of(self.value) is not None


def elsewhere(document: Json, sent: SentRequest, *, spoken: bool) -> FoundImages:
    """Find the image of a reply at any place where it is plain that it is one; nothing beside an error.

    Args:
        document: a whole reply.
        sent: the request; what it held is no result.
        spoken: whether the reply says something in words where an image should be.
    """
    if error_of(document, has_image=True)[0] is not None or is_waiting(document):
        return FoundImages()
    complains = bool(complaint(document))  # an address beside it may lead to help, unless it names a picture
    loose = (each for each in _candidates(document) if each.says_image or not spoken)
    found = [each for each in loose if each.says_image or not complains or _PICTURE_FILE.search(each.value)]
    found = [each for each in found if not _was_sent(each.value, sent)]
    beside = {each.place[:-1] for each in found if each.is_mark}  # an address in the same object is the same image
    found = [each for each in found if each.is_mark or each.place[:-1] not in beside]
    if len({each.place for each in found}) == 1 or len({each.value for each in found}) == 1:
        return _images(dict.fromkeys(each.value for each in found))
    return FoundImages()


def told(document: object, place: Place, sent: SentRequest) -> FoundImages:
    """Find the image at the place that a contract names, be it a picture, an address or a list of these."""
    value = at(document, place)
    values = value if isinstance(value, list) else [value]
    found = (each.strip() for each in values if isinstance(each, str))
    named = (each for each in found if mark_of(each) is not None or is_address(each) or _NO_WORDS.fullmatch(each))
    return _images(dict.fromkeys(each for each in named if not _was_sent(each, sent)))


def _images(values: dict[str, None]) -> FoundImages:
    marks = tuple(mark for each in values if (mark := mark_of(each)) is not None)
    return FoundImages(marks, tuple(each for each in values if mark_of(each) is None))


def _was_sent(value: str, sent: SentRequest) -> bool:
    mark = mark_of(value)
    return mark in sent.marks if mark is not None else sent.holds(value)


def _candidates(document: object) -> Iterator[_Candidate]:
    """Walk a reply in its order; yield pictures under any key, and addresses under keys that the table knows."""
    todo: list[tuple[object, tuple[str, ...], bool, bool]] = [(document, (), False, False)]
    for _ in range(_MOST_VALUES):
        if not todo:
            return
        value, place, known, image = todo.pop()
        if isinstance(value, str):
            text = value.strip()
            if mark_of(text) is not None:
                yield _Candidate(place, text, says_image=True)
            elif known and _may_be_image(text):
                yield _Candidate(place, text, image)
        elif isinstance(value, list) and len(place) < _DEEPEST:
            todo += ((each, (*place, "*"), known, image) for each in reversed(value))
        elif isinstance(value, dict) and len(place) < _DEEPEST:
            todo += (
                (each, (*place, key), may_hold_image(key), image or says_image(key))
                for key, each in reversed(value.items())
                if not holds_no_result(key)
            )


def _may_be_image(text: str) -> bool:
    """Tell whether a text is an address, perhaps a relative one, that does not say that it leads to something else."""
    if not text or len(text) > _LONGEST or not text.isprintable() or _OTHER_FILE.match(text):
        return False
    return is_address(text) or _PATH.match(text) is not None
