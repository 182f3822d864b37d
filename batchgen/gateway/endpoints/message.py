"""The image in a chat's message: every shape that gateways are known to give it.

Looked for in this order: `data`, the message's `images`, the parts of its content, and then its words: a data URL in
Markdown, an address in Markdown, a bare data URL, a bare address. What is found first counts, what is found nowhere is
a refusal in words.

A plain link or bare address counts only where nothing else is said. Words around it make it a reading tip ("see
https://openai.com/policies") more often than an image, and an image that is not the one bought would be delivered as
such; telling these apart by the words of refusals would take every new refusal for an image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from batchgen.domain.text import one_line
from batchgen.gateway.echo import NOTHING_SENT, SentRequest
from batchgen.gateway.endpoints.reply_fields import Json, is_address, mark_of, objects
from batchgen.gateway.scan import WITHIN_MARK

_MOST = 64  # choices, parts and images that are looked at
_KEYS = ("b64_json", "image_url", "url", "image")
_PAREN = r"\([^\s()<>\"']{0,256}\)"  # a pair within an address is part of it
_ADDRESS = rf"https?://(?:[^\s()<>\"']|{_PAREN})++"
# A blank within an address in brackets; one before a title or a size ends it.
_BLANK = r" (?![=\s])(?=[^()<>\"'\r\n]{1,300}(?:[)>]|(?<= )[\"']))"
_BLANKS = rf"https?://(?:[^\s()<>\"']|{_PAREN}|{_BLANK})++"
_PLACED = re.compile(
    rf"\]\(\s{{0,8}}<?(?:{WITHIN_MARK}(\d{{1,3}})|({_BLANKS}))"
    rf"|\bsrc=[\"'](?:{WITHIN_MARK}(\d{{1,3}})|({_ADDRESS}))",
    re.IGNORECASE,
)
_ANY_DATA = re.compile(rf"{WITHIN_MARK}(\d{{1,3}})")
_BARE = rf"https?://(?:[^\s()<>\"'`\[\]。，、；：！？（）【】「」]|{_PAREN})++"
_LINK = re.compile(rf"!?\[[^\[\]]*+\]\(\s{{0,8}}<?({_ADDRESS})>?[^()]{{0,256}}\)|({_BARE})", re.IGNORECASE)
_AROUND = " \t\r\n.,;:!*_`|-<>\"'"
_TRAILING = ".,;:!?*_`|"
_LONGEST_LINKS = 1 << 16  # characters; more is no list of links


@dataclass(frozen=True, slots=True)
class FoundImages:
    """Images of one place: the marks of pictures that came inline, and addresses."""

    marks: tuple[int, ...] = ()
    urls: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.marks or self.urls)


def in_chat(document: Json, sent: SentRequest = NOTHING_SENT) -> FoundImages:
    """Find the images of a chat completion."""
    if seen := _without(
        sent, in_values(document.get("data"))
    ):  # APIYI's -all and -vip answer so on this endpoint, without `choices`
        return seen
    for holder in _holders(document):
        content = holder.get("content")
        seen = in_values(holder.get("images")) or (FoundImages() if isinstance(content, str) else in_values(content))
        if seen := _without(sent, seen) or in_words(words_of(holder), sent):
            return seen
    return FoundImages()


def spoken(document: Json) -> str:
    """Find what a chat says where an image should be, in one line."""
    for holder in _holders(document):
        if said := one_line(words_of(holder)):
            return said
    choices = objects(document.get("choices"))[:1]
    return "content_filter" if any(choice.get("finish_reason") == "content_filter" for choice in choices) else ""


def words_of(holder: Json) -> str:
    """Find the words of a message or its like, from whichever field holds them."""
    for key in ("content", "refusal", "output_text", "text"):
        value = holder.get(key)
        if isinstance(value, list):
            parts = (part.get("text") or part.get("refusal") for part in objects(value[:_MOST]))
            value = " ".join(part for part in parts if isinstance(part, str))
        if isinstance(value, str) and value.strip():
            return value
    return ""


def in_values(value: object, depth: int = 4) -> FoundImages:
    """Find the images of a value that is one, holds one under a known key, or is a list of such."""
    if (mark := mark_of(value)) is not None:
        return FoundImages(marks=(mark,))
    if isinstance(value, str):
        return FoundImages(urls=(value,)) if is_address(value) else FoundImages()
    if depth and isinstance(value, list):
        return together(in_values(each, depth - 1) for each in value[:_MOST])
    if depth and isinstance(value, dict):
        return next((seen for key in _KEYS if (seen := in_values(value.get(key), depth - 1))), FoundImages())
    return FoundImages()


def together(every: Iterable[FoundImages]) -> FoundImages:
    """Join the images of several places, in order."""
    found = list(every)
    return FoundImages(
        tuple(mark for one in found for mark in one.marks), tuple(url for one in found for url in one.urls)
    )


def in_words(text: str, sent: SentRequest = NOTHING_SENT) -> FoundImages:
    """Find the images of a text, those of the request left out."""
    marks, urls = _in_markdown(text)
    return (
        _without(sent, FoundImages(marks=marks))
        or _without(sent, FoundImages(urls=urls))
        or _without(sent, FoundImages(marks=tuple(int(mark) for mark in _ANY_DATA.findall(text))))
        or _without(sent, FoundImages(urls=_only_links(text)))
    )


def _holders(document: Json) -> Iterator[Json]:
    """Yield where a message may be: in a choice, in the choice itself, or in the document."""
    for choice in objects(document.get("choices"))[:_MOST]:
        yield from objects(choice.get("message"))[:1]
        yield choice
    yield document


def _in_markdown(text: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Find images, not links: `![…](…)`, or the `src` of an HTML tag."""
    marks: list[int] = []
    urls: list[str] = []
    before = 0
    for match in _PLACED.finditer(text):
        # The bracket is looked for in what lies between two matches, because a text within it may hold brackets too.
        image = match[0].lower().startswith("src") or text.rfind("![", before, match.start()) >= 0
        before = match.end()
        mark, url = match[1] or match[3], match[2] or match[4]
        if image and mark:
            marks.append(int(mark))
        elif image and is_address(url):
            urls.append(url)
    return tuple(marks), tuple(urls)


def _only_links(text: str) -> tuple[str, ...]:
    """Find the addresses of a text that says nothing else."""
    if len(text) > _LONGEST_LINKS or _LINK.sub("", text).strip(_AROUND):
        return ()
    found = ((match[1] or match[2]).rstrip(_TRAILING) for match in _LINK.finditer(text))
    return tuple(url for url in found if is_address(url))


def _without(sent: SentRequest, seen: FoundImages) -> FoundImages:
    marks = tuple(mark for mark in seen.marks if mark not in sent.marks)
    return FoundImages(marks, tuple(url for url in dict.fromkeys(seen.urls) if not sent.holds(url)))
