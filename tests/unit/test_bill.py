"""The simulator's bill: a file that survives, and sums that follow from it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from batchgen.domain.errors import UsageError
from batchgen.simulator.bill import Bill, BillLine

LINE = BillLine(
    time=1_795_000_000.123,
    route="apiyi/gpt-image-2-vip",
    model="gpt-image-2-vip",
    key="0a1b2c3d",
    request="ab" * 32,
    prompt="cd" * 32,
    occurrence=1,
    size="2048x2048",
    quality="",
    n=1,
    status=200,
    kind="delivered",
    fault="",
    charged=30_000,
    request_id="20261121000000",
    usage={"input_tokens": 3},
)


@pytest.fixture
def bill(tmp_path):
    bill = Bill(tmp_path / "deep" / "bill.jsonl")
    yield bill
    bill.close()


def test_line_can_be_read_while_the_bill_is_open(bill):
    bill.append(LINE)
    assert list(Bill.lines(bill.path)) == [LINE]
    assert bill.path.read_text().count("\n") == 1


def test_totals_count_money_kinds_and_repeated_purchases(bill):
    bill.append(LINE)
    bill.append(replace(LINE, occurrence=2))
    bill.append(replace(LINE, request="ef" * 32, route="openai/gpt-image-2", charged=5_930))
    bill.append(replace(LINE, request="01" * 32, status=429, kind="throttled", charged=0))
    bill.append(replace(LINE, request="01" * 32, status=429, kind="throttled", charged=0))
    totals = Bill.read(bill.path)
    assert (totals.calls, totals.paid, totals.charged, totals.repeated) == (5, 3, 65_930, 1)
    assert totals.kinds == {"delivered": 3, "throttled": 2}
    assert totals.statuses == {200: 3, 429: 2}
    assert totals.routes == {"apiyi/gpt-image-2-vip": 60_000, "openai/gpt-image-2": 5_930}
    assert (bill.totals.calls, bill.totals.charged) == (totals.calls, totals.charged)


def test_bill_goes_on_when_it_is_opened_again(tmp_path):
    for _ in range(2):
        bill = Bill(tmp_path / "bill.jsonl")
        bill.append(LINE)
        bill.close()
        bill.close()
    again = Bill(tmp_path / "bill.jsonl")
    again.close()
    assert again.totals.calls == 2
    assert again.totals.charged == 60_000


def test_bill_is_private(bill):
    assert bill.path.stat().st_mode & 0o077 == 0


def test_two_writers_do_not_tear_each_others_lines(tmp_path):
    path = tmp_path / "bill.jsonl"
    bills = [Bill(path), Bill(path)]
    for number in range(200):
        bills[number % 2].append(replace(LINE, request=f"{number:064x}", usage={"pad": "x" * 500}))
    for bill in bills:
        bill.close()
    assert sorted(int(line.request, 16) for line in Bill.lines(path)) == list(range(200))


def test_reading_names_the_line_when_it_is_none_of_a_bill(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text(json.dumps({"time": 1}) + "\n")
    with pytest.raises(UsageError, match=r"notes\.txt:1 is not a line of a simulator's bill"):
        Bill.read(path)


def test_every_line_survives_when_the_process_is_killed(tmp_path):
    path = tmp_path / "bill.jsonl"
    program = (
        "import sys\nfrom pathlib import Path\nfrom batchgen.simulator.bill import Bill, BillLine\n"
        "bill = Bill(Path(sys.argv[1]))\n"
        "line = BillLine(time=1.0, route='r', model='m', key='k', request='q', prompt='p', occurrence=1, size='s',"
        " quality='', n=1, status=200, kind='delivered', fault='', charged=7, request_id='i')\n"
        "for number in range(10_000_000):\n    bill.append(line)\n"
        "    if number == 99:\n        print('ready', flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    totals = Bill.read(path)
    assert totals.calls >= 100
    assert totals.charged == 7 * totals.calls
