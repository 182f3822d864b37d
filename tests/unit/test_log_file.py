"""An exported log in the forms that consoles and spreadsheets give it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta, timezone
from pathlib import Path

import pytest

from batchgen.domain.errors import ManifestError, UsageError
from batchgen.domain.log_row import LogRow
from batchgen.report.log_file import read_log_file, read_zone

T = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC


def read(folder: Path, text: str, zone: timezone = UTC) -> list[LogRow]:
    path = folder / "log.csv"
    path.write_text(text, encoding="utf-8")
    return read_log(path, zone)


def read_log(path: Path, zone: timezone, step: Callable[[], None] = lambda: None) -> list[LogRow]:
    found = read_log_file(path, zone, step)
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    "text",
    [
        "created_at,model_name,quota\n1800000000,m,15000\n",
        "Created At;Model Name;Cost ($)\n2027-01-15 08:00:00;m;$0.03\n",
        "time\tmodel\tamount\n2027-01-15T08:00:00Z\tm\t0.030000\n",
        "\ufeff时间,模型,费用\n2027/01/15 08:00:00,m,0.03\n",
        "timestamp,model,price (USD)\n1800000000000,m,0.03\n",
        "date,model,cost\n2027-01-15T09:30:00+01:30,m,0.03\n",
        "id,type,time,model,quota\n,2,1800000000,m,15000\n,1,1800000000,topup,9\n",
        'time,model,quota\n1800000000,m,"15,000"\n',
        "时间,模型,额度\n1800000000,m,$0.030000\n",
        "time,model,quota,cost\n1800000000,m,$0.03,9\n",
        "time,model,Quota ($)\n1800000000,m,0.03\n",
    ],
)
def test_every_usual_form_is_read(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == [LogRow("line 2", T, "m", 30_000)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gbk", "gb18030"])
def test_encoding_of_a_console_is_found_by_itself(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "log.csv"
    text = "时间,模型名称,令牌名称,费用\n2027-01-15 08:00:00,m,春季目录,0.03\n"
    path.write_bytes(text.encode(encoding))
    told: list[None] = []
    (row,) = read_log(path, UTC, lambda: told.append(None))
    assert (row.time, row.token, row.amount, len(told)) == (T, "春季目录", 30_000, 1)


def test_what_is_in_no_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b"time,model,cost\n1800000000,\xff\xff\xff,0.03\n")
    with pytest.raises(UsageError, match=r"log\.csv:2: not UTF-8"):
        read_log_file(path, UTC)


def test_ids_tokens_and_names_of_rows_are_kept(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "id,time,model,cost,request_id,token_name\n7,1800000000,m,1,req-1,shop\n")
    assert (found.name, found.request_id, found.token, found.amount) == ("7", "req-1", "shop", 1_000_000)


@pytest.mark.parametrize(
    ("text", "micros"),
    [("0.0059305", 5_930), ("0.00593051", 5_931), ("1,234.50", 1_234_500_000), ("1e-2", 10_000), ("0", 0)],
)
def test_amount_is_rounded_to_the_micro_dollar(tmp_path: Path, text: str, micros: int) -> None:
    assert read(tmp_path, f'time,model,cost\n1800000000,m,"{text}"\n')[0].amount == micros


def test_whole_dollars_are_no_units(tmp_path: Path) -> None:
    text = 'time,model,quota\n1800000000,m,$1\n1800000000,m,"$1,200"\n'
    assert [row.amount for row in read(tmp_path, text)] == [1_000_000, 1_200_000_000]


def test_time_without_a_zone_is_in_the_zone_that_is_given(tmp_path: Path) -> None:
    text = "time,model,cost\n2027-01-15 16:00:00,m,1\n"
    assert read(tmp_path, text, read_zone("+08:00"))[0].time == T


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("when,model,cost\n1,m,1\n", "no column time; it has when, model, cost"),
        ("time,model,tokens\n1,m,1\n", "500,000 a dollar"),
        ("time,model,cost\nyesterday,m,1\n", "log.csv:2: 'yesterday' is not a time"),
        ("time,model,cost\n1e3000,m,1\n", "log.csv:2: '1e3000' is not a time"),
        ("time,model,cost\n99999999999999999999,m,1\n", "is not a time"),
        ("time,model,cost\n0001-01-01T00:00:00+14:00,m,1\n", "is not a time"),
        ("time,model,cost\n1800000000,m,1e999999999\n", "1e999999999 is no charge"),
        (f"time,model,quota\n1800000000,m,{'9' * 5000}\n", "is no charge"),
        ("time,model,cost\n1800000000,m,¥0.2\n", "not an amount in dollars"),
        ('time,model,cost\n1800000000,m,"0,03"\n', "not an amount"),
        ("time,model,cost\n1800000000,m,-1\n", "no charge"),
        ("time,model,cost\n1800000000,m,\n", "not an amount"),
        ("time,model,quota\n1800000000,m,NaN\n", "no charge"),
        ("time,model,quota\n1800000000,m,0.030000\n", "log.csv:2: '0.030000' is no whole number of quota units"),
        ("time,model,quota\n1800000000,m,15000\n1800000000,m,1.0\n", "log.csv:3: '1.0' is no whole number"),
        ("time,model,quota\n1800000000,m,3e-2\n", "name the column cost"),
        ('time,model,额度\n1800000000,m,"1,234.5"\n', "no whole number"),
        ("time,model,额度\n1800000000,m,¥0.2\n", "log.csv:2: '¥0.2' is not an amount in quota units"),
        ("time,model,额度\n1800000000,m,€2\n", "not an amount"),
        ("time,model,额度\n1800000000,m,$cheap\n", "not an amount in dollars"),
        ('time,model,cost\n1800000000,m,"1\n', "quotes"),
        ("", "is empty"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=r".*") as failed:
        read(tmp_path, text)
    assert sentence in str(failed.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"none\.csv: cannot be read"):
        read_log_file(tmp_path / "none.csv", UTC)


@pytest.mark.parametrize(
    ("text", "offset"), [("UTC", 0), ("z", 0), ("+08:00", 8), ("-3", -3), ("+0530", 5.5), ("+05:30", 5.5)]
)
def test_zones(text: str, offset: float) -> None:
    assert read_zone(text).utcoffset(None) == timedelta(hours=offset)


@pytest.mark.parametrize("text", ["Berlin", "8", "+25:00", ""])
def test_no_zones(text: str) -> None:
    with pytest.raises(UsageError, match=r"\+08:00"):
        read_zone(text)
