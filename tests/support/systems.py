"""The systems that must work: each a row of the table in docs/routes.md, with the routes and endpoints that make it up.

What is in the table was seen to work: `tests/acceptance/test_systems.py` buys over every route and endpoint and compares
with `tests/recorded/systems.json`, from which the table is made. With BATCHGEN_RECORD=1 it writes that file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchgen.contracts.catalog import Catalog, load_catalog

RECORDED = Path(__file__).parent.parent / "recorded"
SEEN = RECORDED / "systems.json"
OWN = Path(__file__).parent.parent / "recorded" / "own-contract.yaml"
OPENAI = ("2", "2.5-flare", "2.5-sunburst", "2.6-flare", "2.6-sunburst", "1.5", "1-mini")


@dataclass(frozen=True)
class System:
    """One row: `routes` are all that are meant, each over those of its endpoints that belong to this row."""

    number: int
    name: str
    routes: tuple[str, ...]
    endpoints: tuple[str, ...] = ("images", "chat")


SYSTEMS = (
    System(1, "LaoZhang, default group", ("laozhang/gpt-image-2",)),
    System(2, "LaoZhang, default group", ("laozhang/gpt-image-2-vip",)),
    System(
        3,
        "LaoZhang, official groups",
        ("laozhang/gpt-image-2@official", "laozhang/gpt-image-2@official-enterprise"),
    ),
    System(4, "APIYI, reverse, web line", ("apiyi/gpt-image-2-all",)),
    System(5, "APIYI, reverse, Codex line", ("apiyi/gpt-image-2-vip",)),
    System(6, "APIYI, official relay", ("apiyi/gpt-image-2",)),
    System(7, "APIYI, enterprise group", ("apiyi/gpt-image-2@image2Enterprise",)),
    System(8, "OpenAI Image API", tuple(f"openai/gpt-image-{name}" for name in OPENAI)),
    System(9, "OpenAI Responses API", tuple(f"openai/gpt-image-{name}" for name in OPENAI), ("responses",)),
    System(10, "OpenAI Batch API", tuple(f"openai/gpt-image-{name}" for name in OPENAI), ("batch",)),
    System(11, "a contract of one's own", ("mine/some-image",)),
    System(12, "a gateway that answers with task ids", ("mine/slow-image",)),
)


def catalog() -> Catalog:
    """All built-in routes, and one of a user's own."""
    return load_catalog(OWN)


def ways() -> list[tuple[str, str]]:
    """Every route with every endpoint it serves, over all systems."""
    known = catalog()
    return [
        (route, endpoint)
        for system in SYSTEMS
        for route in system.routes
        for endpoint in system.endpoints
        if endpoint in known.find(route).endpoints
    ]


def seen() -> dict[str, Any]:
    """What was recorded: `route endpoint` to what was bought there."""
    return dict(json.loads(SEEN.read_text(encoding="utf-8")))
