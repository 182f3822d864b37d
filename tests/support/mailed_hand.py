"""A hand as if it were on another machine: all that passes goes through a pickle, both ways."""

from __future__ import annotations

import pickle
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, TypeVar, cast

from batchgen.domain.errors import BatchgenError
from batchgen.engine.hand import Hand

T = TypeVar("T")


def mailed(value: T) -> T:
    """The value after its journey; it must be the same."""
    came: T = pickle.loads(pickle.dumps(value))
    if isinstance(value, BaseException):
        assert (type(came), str(came), vars(came)) == (type(value), str(value), vars(value))
    else:
        assert came == value
    return came


class MailedHand:
    """Stands before a hand. Its clock, its folders and its sockets are the other's.

    Attributes:
        asked: the names of all methods that were called.
    """

    def __init__(self, hand: Hand) -> None:
        self.asked: set[str] = set()
        self._hand = hand

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._hand, name)

        def call(*args: Any) -> Any:
            self.asked.add(name)
            made = method(*mailed(args))
            return _stream(made) if hasattr(made, "__aiter__") else _answer(made)

        return call


async def _answer(made: Awaitable[T]) -> T:
    try:
        return mailed(await made)
    except (BatchgenError, ValueError) as error:
        raise mailed(error) from None


async def _stream(made: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    try:
        async for each in made:
            yield mailed(each)
    except (BatchgenError, ValueError) as error:
        raise mailed(error) from None
    finally:
        await made.aclose()


def methods() -> set[str]:
    """The names of all that a hand can be asked for."""
    return {name for each in Hand.__mro__ for name in vars(each) if not name.startswith("_") and name != "mro"}


def posted(hand: Hand, to: list[MailedHand]) -> Hand:
    """Put the mail between a run and its hand, and remember it."""
    to.append(MailedHand(hand))
    return cast("Hand", to[-1])
