"""Prints what this folder has shown, promise by promise; also when several processes ran it."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from tests.chaos.promises import RECORD, lines
from tests.chaos.site import LONG


def pytest_configure(config: pytest.Config) -> None:
    """The process that prints makes the file; those that only run tests inherit its name."""
    if hasattr(config, "workerinput"):
        return
    descriptor, path = tempfile.mkstemp(prefix="promises-", suffix=".jsonl")
    os.close(descriptor)
    os.environ[RECORD] = path


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    path = Path(os.environ[RECORD])
    if path.stat().st_size:
        terminalreporter.section("promises")
        for line in lines(path):
            terminalreporter.write_line(line)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In a soak, tell of a failure when it happens: hours may pass until the summary."""
    if LONG and report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\nFAILED {report.nodeid}\n{report.longreprtext[-2000:]}", file=sys.stderr, flush=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        Path(os.environ.pop(RECORD)).unlink(missing_ok=True)
