"""What signals do to a command: whichever would end the process ends the command in order, with its books closed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


def _known(*names: str) -> tuple[signal.Signals, ...]:
    """Give those signals that this system has."""
    return tuple(signal.Signals[name] for name in names if name in signal.Signals.__members__)


LEAVING = _known("SIGINT", "SIGTERM", "SIGQUIT", "SIGBREAK")
"""A person's or a manager's; a second one of these leaves at once."""

# A closing terminal sends SIGHUP twice, its shell's and its own; service managers send it right after SIGTERM; the
# limit of processor time sends SIGXCPU every second. So these end a run, and are never the second that leaves it.
_ENDING = (*LEAVING, *_known("SIGHUP", "SIGALRM", "SIGXCPU"))
_WITHOUT_MEANING = _known("SIGUSR1", "SIGUSR2")


def act_as_ctrl_c() -> None:
    """Have them all do what Ctrl-C does, for the time before a run takes them over. What `nohup` ignores stays so."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for each in _ENDING[1:]:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, lambda *_: signal.raise_signal(signal.SIGINT))
    for each in _WITHOUT_MEANING:
        signal.signal(each, signal.SIG_IGN)


def ignore() -> None:
    """Have none of them do anything any more: there is nothing left to do but to say so."""
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)


@contextmanager
def heard(handler: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Have each that is not ignored call the handler, in the event loop, for as long as the block lasts."""
    import asyncio  # noqa: PLC0415 - slow to load, and nobody without a loop comes here

    loop = asyncio.get_running_loop()
    earlier = {each: signal.getsignal(each) for each in _ENDING}
    listening = [each for each in _ENDING if earlier[each] is not signal.SIG_IGN]
    for each in listening:
        try:
            loop.add_signal_handler(each, handler, each)
        except NotImplementedError:  # Windows: through the interpreter's own handlers
            signal.signal(each, lambda number, _: loop.call_soon_threadsafe(handler, signal.Signals(number)))
    try:
        yield
    finally:
        for each in listening:
            with suppress(NotImplementedError):
                loop.remove_signal_handler(each)
            signal.signal(each, earlier[each])
