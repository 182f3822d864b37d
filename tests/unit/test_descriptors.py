"""How many calls fit into what a process may open."""

from __future__ import annotations

import resource

import pytest

from batchgen.domain.errors import NoRoom
from batchgen.store.spool import descriptors
from batchgen.store.spool.descriptors import calls_that_fit, raise_limit

OPEN = 40


@pytest.fixture(autouse=True)
def _open_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "_open_now", lambda: OPEN)


def limited(monkeypatch: pytest.MonkeyPatch, limit: int | None) -> None:
    monkeypatch.setattr(descriptors, "_limit", lambda: limit)


@pytest.mark.parametrize(
    ("limit", "routes", "local", "fit"),
    [
        (136, 1, False, 1),
        (256, 1, False, 31),  # the usual limit of macOS, where it could not be raised
        (256, 2, False, 23),
        (256, 1, True, 20),
        (1024, 1, False, 200),
    ],
)
def test_calls_are_capped_by_what_each_may_open(
    monkeypatch: pytest.MonkeyPatch, limit: int, routes: int, fit: int, *, local: bool
) -> None:
    limited(monkeypatch, limit)
    most, notice = calls_that_fit(200, routes=routes, local=local)
    assert most == fit
    assert (notice == "") == (fit == 200)


def test_notice_says_what_fits_and_the_limit_at_which_all_do(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 256)
    _, notice = calls_that_fit(200, routes=1, local=False)
    assert notice == (
        "a process may open 256 files here, so no more than 31 calls are in flight instead of 200; "
        "to have them all, raise it with `ulimit -n 932`"
    )
    limited(monkeypatch, 932)
    assert calls_that_fit(200, routes=1, local=False) == (200, "")


def test_nothing_is_bought_where_not_even_one_call_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 135)
    with pytest.raises(NoRoom, match="may open 135 files here, too few for a single call; raise it with `ulimit -n"):
        calls_that_fit(8, routes=1, local=False)


def test_nothing_is_capped_where_nothing_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, None)
    assert calls_that_fit(500, routes=3, local=True) == (500, "")


@pytest.mark.parametrize(
    ("soft", "hard", "becomes"),
    [
        (256, resource.RLIM_INFINITY, (10_240, resource.RLIM_INFINITY)),
        (256, 4096, (4096, 4096)),
        (1024, 1_048_576, (10_240, 1_048_576)),
        (20_000, 20_000, None),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None),
    ],
)
def test_limit_is_raised_as_far_as_it_may_be(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, becomes: tuple[int, int] | None
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    raise_limit()
    assert asked == ([] if becomes is None else [becomes])


def test_limit_that_may_not_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(_: int, limits: tuple[int, int]) -> None:
        asked.append(limits)
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    raise_limit()
    assert asked == [(4096, 4096)]
