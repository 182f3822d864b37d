"""Where something stands in a JSON document."""

from __future__ import annotations

from typing import Any

Place = tuple[str | int, ...]
"""Keys, and numbers of items in lists, from the outside in."""


def at(document: object, place: Place) -> Any:
    """Return what stands at a place; None where there is no such place.

    >>> at({"data": [{"task_id": "t1"}]}, ("data", 0, "task_id"))
    't1'
    """
    for step in place:
        if isinstance(step, str) and isinstance(document, dict):
            document = document.get(step)
        elif isinstance(step, int) and isinstance(document, list) and step < len(document):
            document = document[step]
        else:
            return None
    return document
