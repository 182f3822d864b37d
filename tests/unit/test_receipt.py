from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.contracts.catalog import load_catalog
from batchgen.domain.model import Cost
from batchgen.domain.origin import NO_ORIGIN, Origin
from batchgen.domain.wire import Answer, ApiError, CallEnd, Picture, Usage
from batchgen.engine.bookings import booking
from batchgen.policy.classify import classify
from batchgen.store.spool.receipt import read_receipt, write_receipt
from tests.support.store import ORIGIN
from tests.unit.test_decide import claim

CONTRACT = load_catalog().find("apiyi/gpt-image-2-vip")

text = st.text()
pairs = st.lists(st.tuples(text, text), max_size=3).map(tuple)
numbers = st.integers(0, 2**63 - 1)
seconds = st.floats(0, 1e11)
names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)
hashes = st.integers(0, 2**63 - 1)
sizes = st.sampled_from(["auto", "2048x2048", "3840x2160"])
moments = st.floats(0, 4e9)
origins = st.builds(
    Origin,
    **dict.fromkeys(("job", "key", "provider", "route", "group", "model", "request_hash", "quality"), names),
    path=st.sampled_from(["mug/{size}-{sample}", "{{brace}}", "{ratio}/{tier}"]),
    size=sizes,
    size_sent=sizes,
    sample=st.integers(1, 1000),
    revision=st.integers(1, 1000),
    own=hashes,
    shared=hashes,
    images=st.integers(0, 16),
    reserved=st.integers(0, 2**53),
    reserved_at=moments,
)
FIELDS: dict[str, st.SearchStrategy[object]] = {
    "attempt": st.integers(0, 2**53),
    "ending": st.sampled_from(CallEnd),
    "status": st.integers(0, 999),
    "is_json": st.booleans(),
    "content_type": text,
    "retry_after": st.none() | seconds,
    "spent_for": st.none() | seconds,
    "told_rate": st.none() | seconds,
    "request_ids": pairs,
    "pictures": st.lists(st.builds(Picture, text, numbers, text), max_size=3).map(tuple),
    "urls": st.lists(text, max_size=3).map(tuple),
    "text": text,
    "error": st.none() | st.builds(ApiError, text, text, text, text),
    "usage": st.none() | st.builds(Usage, *[st.none() | numbers] * 7),
    "revised_prompt": text,
    "effective": pairs,
    "excerpt": text,
    "unread": text,
    "spare": st.lists(st.builds(Picture, text, numbers, text), max_size=3).map(tuple),
    "task": text,
    "detail": text,
    "sent_at": seconds,
    "first_byte": seconds,
    "total": seconds,
    "origin": st.just(NO_ORIGIN) | origins,
}
answers = st.builds(Answer, **FIELDS)


@given(answers)
def test_receipt_gives_back_every_field_of_an_answer(answer: Answer) -> None:
    assert read_receipt(write_receipt(answer)) == answer


def test_receipt_is_tried_with_every_field_of_an_answer() -> None:
    never = {"obstacle", "placed"}  # of a request that never left, so nothing is to keep; what became of what came
    assert {field.name for field in fields(Answer)} - never == set(FIELDS)


def test_receipt_is_read_when_a_later_version_wrote_more() -> None:
    record = json.loads(write_receipt(Answer(7, CallEnd.COMPLETE, 200)))
    assert read_receipt(json.dumps(record | {"mood": "good"}).encode()) == Answer(7, CallEnd.COMPLETE, 200)


@pytest.mark.parametrize("strange", [{"job": 3}, {"path": "{size.__class__}"}, {"own": "f" * 16}, {"reserved_at": "x"}])
def test_receipt_is_whole_without_an_origin_that_cannot_be_used(strange: dict[str, object]) -> None:
    record = json.loads(write_receipt(Answer(7, CallEnd.COMPLETE, 200, origin=ORIGIN)))
    record["origin"] |= strange
    assert read_receipt(json.dumps(record).encode()) == Answer(7, CallEnd.COMPLETE, 200)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"attempt": 7}',
        b'{"attempt": "7", "ending": "complete"}',
        b'{"attempt": 7, "ending": "fine"}',
        b'{"attempt": 7, "ending": "complete", "pictures": [["x"]]}',
        b'{"attempt": 7, "ending": "complete", "pictures": 3}',
        b'{"attempt": 7, "ending": "complete", "usage": {"coins": 3}}',
        b'{"attempt": 7, "ending": "complete", "request_ids": [1]}',
        b'{"attempt": 7, "ending": "complete", "attempt": 8}',
        b'{"attempt": 7, "ending": ["complete"]}',
        b'{"attempt": -7, "ending": "complete"}',
        b'{"attempt": 1e400, "ending": "complete"}',
        b'{"attempt": 7, "ending": "complete", "total": 1e400}',
        b'{"attempt": 7, "ending": "complete", "total": NaN}',
        b'{"attempt": 7, "ending": "complete", "total": true}',
        b'{"attempt": 7, "ending": "complete", "status": "200"}',
        b'{"attempt": 7, "ending": "complete", "status": 1%s}' % (b"0" * 30),
        b'{"attempt": 7, "ending": "complete", "status": 1%s}' % (b"0" * 5000),
        b'{"attempt": 7, "ending": "complete", "is_json": 1}',
        b'{"attempt": 7, "ending": "complete", "text": null}',
        b'{"attempt": 7, "ending": "complete", "text": "\\ud800"}',
        b'{"attempt": 7, "ending": "complete", "urls": "https://a"}',
        b'{"attempt": 7, "ending": "complete", "urls": [["https://a"]]}',
        b'{"attempt": 7, "ending": "complete", "urls": %s}' % (b"[" * 100_000),
        b'{"attempt": 7, "ending": "complete", "error": {"message": 3}}',
        b'{"attempt": 7, "ending": "complete", "error": []}',
        b'{"attempt": 7, "ending": "complete", "usage": {"input_tokens": 1.5}}',
        b'{"attempt": 7, "ending": "complete", "usage": {"input_tokens": -1}}',
        b'{"attempt": 7, "ending": "complete", "pictures": [{"0": 1, "1": 2, "2": 3}]}',
        b"\xff\xfe",
        b"\0" * 300,
    ],
)
def test_receipt_is_refused_when_damaged(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a receipt"):
        read_receipt(data)


@given(answers, st.data())
def test_receipt_is_refused_when_cut(answer: Answer, data: st.DataObject) -> None:
    whole = write_receipt(answer)
    with pytest.raises(ValueError, match="not a receipt"):
        read_receipt(whole[: data.draw(st.integers(0, len(whole) - 1))])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from([2**63, 10**30, -1, "complete"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.fixed_dictionaries(
    {"attempt": st.integers(0, 99) | JSON, "ending": st.sampled_from(list(CallEnd)) | JSON},
    optional={name: values | JSON for name, values in FIELDS.items() if name not in {"attempt", "ending"}},
)


def written(record: dict[str, object]) -> bytes:
    return json.dumps(record, default=asdict).encode()


@given(RECORDS.map(written) | st.binary())
def test_what_is_read_is_an_answer_that_can_be_judged_and_written_again(data: bytes) -> None:
    try:
        answer = read_receipt(data)
    except ValueError:
        return
    outcome = classify(answer, CONTRACT)
    entry = booking(claim(), answer, outcome, Cost(30_000, 30_000, ""), CONTRACT, 1.0)
    database = sqlite3.connect(":memory:")
    values = [value for value in asdict(entry).values() if isinstance(value, int | float | str)]
    database.execute(f"SELECT {','.join('?' * len(values))}", values)
    database.close()
    assert read_receipt(write_receipt(answer)) == answer
