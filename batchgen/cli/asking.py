"""Asking a person, where one is there to be asked."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from batchgen.domain.errors import UsageError
from batchgen.domain.text import plain


def confirm(question: str, refusal: str, *, as_json: bool) -> None:
    """Have a person agree before anything is bought.

    Args:
        question: as it is asked.
        refusal: what is said where nobody is here to be asked.
        as_json: whether a machine reads the output, so that nobody is.

    Raises:
        UsageError: nobody is here, or the answer was no.
    """
    if as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(refusal)
    with _ctrl_c_ends_the_question():
        yes = click.confirm(plain(question), err=True)
    if not yes:
        raise UsageError("nothing was bought")


@contextmanager
def _ctrl_c_ends_the_question() -> Iterator[None]:
    """Have Ctrl-C raise where it is pressed.

    An event loop only marks its main task as cancelled, which shows at the next await: after the answer was recorded.
    """
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)
