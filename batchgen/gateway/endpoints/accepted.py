"""Replies that bring no image but say that the call was taken in, and under which number it is worked on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from batchgen.gateway.endpoints.reply_fields import Json, objects, string

_HOLDERS = ("data", "task", "output", "result", "response", "job")
_TASK_KEYS = ("task_id", "taskId", "job_id", "jobId")
_ID_KEYS = (*_TASK_KEYS, "id", "request_id", "generation_id", "uuid")
_STATUS_KEYS = ("status", "task_status", "taskStatus", "job_status", "state")
_WAITING = re.compile(
    r"accepted|created|generating|in_progress|in_queue|not_start|pending|processing|queued|queueing|received|"
    r"running|scheduled|started|starting|submitted|waiting"
)


def is_waiting(document: object) -> bool:
    """Tell whether a reply says that its image is not there yet."""
    return any(_waits(_status(holder)) for holder in _holders(document))


def task_of(document: object, *, accepted: bool = False) -> str:
    """Find the number under which a gateway says that it works on a call it took in; "" where it does not say so.

    Args:
        document: a body as JSON.
        accepted: whether its status is 202, which says that it was taken in.

    >>> task_of({"code": 200, "data": [{"status": "submitted", "task_id": "task_7"}]})
    'task_7'
    """
    for holder in _holders(document):
        status = _status(holder)
        keys = _ID_KEYS if _waits(status) or accepted else () if status else _TASK_KEYS
        for key in keys:
            if found := string(holder.get(key), 200):
                return found
    return ""


def _holders(value: object, depth: int = 3) -> Iterator[Json]:
    """Yield the objects that may speak of a task, the inner ones first: what is around them speaks of the request."""
    for each in objects(value)[:1]:
        if depth:
            for key in _HOLDERS:
                yield from _holders(each.get(key), depth - 1)
        yield each


def _status(holder: Json) -> str:
    return next((said for key in _STATUS_KEYS if (said := string(holder.get(key), 40))), "")


def _waits(status: str) -> bool:
    return _WAITING.fullmatch(status.lower().replace("-", "_")) is not None
