"""batchgen buys images from OpenAI-compatible gateways, overnight and by the thousand, and proves what they cost.

Programs use the names below; docs/python.md shows how. Nothing is loaded before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchgen.app.approval import Question
    from batchgen.app.planning import PlannedRun
    from batchgen.app.public import load_manifest, open_ledger, plan, run
    from batchgen.app.run_host import RunHost, RunUnderWay
    from batchgen.app.run_options import RunOptions
    from batchgen.domain.errors import BatchgenError
    from batchgen.report.event_fields import event_fields
    from batchgen.report.run_result import RunResult

__all__ = [
    "BatchgenError",
    "PlannedRun",
    "Question",
    "RunHost",
    "RunOptions",
    "RunResult",
    "RunUnderWay",
    "event_fields",
    "load_manifest",
    "open_ledger",
    "plan",
    "run",
]
_HOMES = {
    "BatchgenError": "domain.errors",
    "PlannedRun": "app.planning",
    "Question": "app.approval",
    "RunHost": "app.run_host",
    "RunOptions": "app.run_options",
    "RunResult": "report.run_result",
    "RunUnderWay": "app.run_host",
    "event_fields": "report.event_fields",
    "load_manifest": "app.public",
    "open_ledger": "app.public",
    "plan": "app.public",
    "run": "app.public",
}


def __getattr__(name: str) -> object:
    """Load a public name, or `__version__`, when somebody asks for it: all at once would slow every start."""
    if name == "__version__":
        from importlib.metadata import version

        return version("batchgen")
    if name not in _HOMES:
        raise AttributeError(f"module 'batchgen' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"batchgen.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Name what programs use, also to `help`, which shows what it finds here."""
    return [*globals(), *__all__]
