"""What was learned of quotas, as the ledger keeps it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from batchgen.domain.learned import STALE_AFTER, Learned, LimitKind
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.reader import Reader
from batchgen.report.quota_text import learned_lines, quota_text
from tests.conftest import ManualClock

NOW = 1_800_000_000.0
CAP = Learned("api.example.com", "0badcafe", "gpt-image-2", LimitKind.IN_FLIGHT, 30, 0.0, 1, 30, NOW)
PACE = replace(CAP, key_fingerprint="deadbeef", kind=LimitKind.PACE, calls=0, pace=49.98, burst=47)


def known(path: Path) -> list[Learned]:
    with Reader(path) as reader:
        return reader.quotas()


async def test_quota_is_kept_replaced_and_forgotten_by_whose_it_is(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(path, clock) as ledger:
        await ledger.keep_quotas([CAP, PACE])
        assert known(path) == [CAP, PACE]
        wider = replace(CAP, calls=60)
        await ledger.keep_quotas([wider])
        assert known(path) == [wider, PACE]
        await ledger.forget_quotas([CAP.whose])
        assert known(path) == [PACE]


async def test_what_is_too_old_to_begin_with_goes_when_something_new_is_learned(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(path, clock) as ledger:
        await ledger.keep_quotas([CAP])
        await clock.advance(STALE_AFTER + 1)
        await ledger.keep_quotas([replace(PACE, learned_at=clock.now())])
        assert [each.key_fingerprint for each in known(path)] == ["deadbeef"]


def test_quota_is_said_in_plain_words(tmp_path: Path) -> None:
    assert "gpt-image-2 at api.example.com, key 0badcafe: takes 30 calls in flight (learned " in quota_text(CAP, NOW)
    assert "takes 50 calls a second, and 47 at once after a rest" in quota_text(PACE, NOW)
    slow = replace(PACE, pace=1 / 3, burst=1)
    assert "takes 20 calls a minute (learned " in quota_text(slow, NOW)
    free = replace(CAP, kind=LimitKind.NOTHING, calls=0, proven=500)
    assert "refused nothing with up to 500 in flight" in quota_text(free, NOW)
    assert "too long ago to begin with" in quota_text(CAP, NOW + STALE_AFTER)
    assert learned_lines(tmp_path / "none.db", None, NOW) == []
