from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.domain.wire import Answer, ApiError, Ending, Picture, Usage
from batchgen.store.receipt import read_receipt, write_receipt

text = st.text()
pairs = st.lists(st.tuples(text, text), max_size=3).map(tuple)
seconds = st.floats(allow_nan=False)
FIELDS: dict[str, st.SearchStrategy[object]] = {
    "attempt": st.integers(0, 2**53),
    "ending": st.sampled_from(Ending),
    "status": st.integers(0, 999),
    "is_json": st.booleans(),
    "content_type": text,
    "retry_after": st.none() | seconds,
    "request_ids": pairs,
    "pictures": st.lists(st.builds(Picture, text, st.integers(0), text), max_size=3).map(tuple),
    "urls": st.lists(text, max_size=3).map(tuple),
    "text": text,
    "error": st.none() | st.builds(ApiError, text, text, text, text),
    "usage": st.none() | st.builds(Usage, *[st.none() | st.integers(0)] * 5),
    "revised_prompt": text,
    "effective": pairs,
    "excerpt": text,
    "detail": text,
    "sent_at": seconds,
    "first_byte": seconds,
    "total": seconds,
}
answers = st.builds(Answer, **FIELDS)


@given(answers)
def test_receipt_gives_back_every_field_of_an_answer(answer: Answer) -> None:
    assert read_receipt(write_receipt(answer)) == answer


def test_receipt_is_tried_with_every_field_of_an_answer() -> None:
    assert {field.name for field in fields(Answer)} == set(FIELDS)


def test_receipt_is_read_when_a_later_version_wrote_more() -> None:
    record = json.loads(write_receipt(Answer(7, Ending.COMPLETE, 200)))
    assert read_receipt(json.dumps(record | {"mood": "good"}).encode()) == Answer(7, Ending.COMPLETE, 200)


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
