"""What a success holds that brought no picture: something that nobody here can read, a task's number, or nothing.

An answer with nothing in it may be asked for again. One that holds anything may hold what was paid for, so its text
stays with it, for a person and for a newer program.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from batchgen.domain.wire import Answer, CallEnd, Picture
from batchgen.gateway.echo import SENT_BACK, SentRequest
from batchgen.gateway.endpoints.accepted import task_of
from batchgen.gateway.scan import MARK, WITHIN_MARK

MOST = 1 << 18  # characters of such a text that are kept
_DEEPEST = 12
_MOST_LEAVES = 10_000
# What every answer says of itself, the words of a model included: nothing under these is a picture. The keys are those
# of OpenAI's specification (images, chat and responses, 2026-08) and of one-api's and new-api's own envelopes.
_ABOUT = re.compile(
    r"action|background|code|created|created_at|encrypted_content|finish_reason|id|incomplete_details|index|"
    r"instructions|message_id|metadata|model|moderation|msg|native_finish_reason|object|output_format|phase|"
    r"prompt|prompt_cache_key|provider|quality|reason|reasoning|reasoning_content|request_id|revised_prompt|role|"
    r"safety_identifier|service_tier|size|status|success|system_fingerprint|text_format|tool_choice|tools|"
    r"trace_id|truncation|type|usage|user"
)


def with_unread(answer: Answer, document: object, text: str, came: tuple[Picture, ...], sent: SentRequest) -> Answer:
    """Add to an answer what it holds and nobody could read: its text, its pictures, the number of its task.

    Args:
        answer: as it was read.
        document: its body as JSON, None where it is none.
        text: its body without its pictures, and without the key.
        came: every picture that came, in the order of their marks.
        sent: the request, of which nothing that comes back counts.
    """
    if not 200 <= answer.status < 300 or answer.ending is not CallEnd.COMPLETE:
        return answer
    if answer.pictures or answer.urls or answer.error is not None:
        return answer
    task = task_of(document, accepted=answer.status == 202)
    strange = any(index not in sent.marks for index in range(len(came)))
    if not (task or strange or (not answer.text and _holds_something(document, text, sent))):
        return answer
    spare = (replace(each, damage=SENT_BACK) if n in sent.marks else each for n, each in enumerate(came))
    return replace(answer, unread=text[:MOST], spare=tuple(spare), task=task)


def _holds_something(document: object, text: str, sent: SentRequest) -> bool:
    """Tell whether there is more than what every answer says of itself, and what was sent."""
    if document is None:
        return bool(text.strip())
    back = {f"{lead}{index}" for index in sent.marks for lead in (MARK, WITHIN_MARK)}
    return any(each.strip() and each not in back and not sent.holds(each) for each in _words(document))


def _words(document: object) -> Iterator[str]:
    """Yield the strings of a document, those left out that say something about it."""
    todo: list[tuple[object, int]] = [(document, 0)]
    seen = 0
    while todo and seen < _MOST_LEAVES:
        value, depth = todo.pop()
        seen += 1
        if isinstance(value, str):
            yield value
        elif depth > _DEEPEST:
            yield "…"
        elif isinstance(value, list):
            todo += ((each, depth + 1) for each in value)
        elif isinstance(value, dict):
            todo += ((each, depth + 1) for key, each in value.items() if not _is_about(key, each))


def _is_about(key: str, value: object) -> bool:
    return _ABOUT.fullmatch(key) is not None or (key == "message" and isinstance(value, str))
