"""Replies of every known gateway family, and of none: each field is read where it is, and nothing raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.domain.wire import ApiError, Usage
from batchgen.gateway.endpoints.codec import Reply
from batchgen.gateway.json_body import Shape, parse
from tests.support.gateway import read_reply, salvaged_urls

URL = "https://cdn.example.com/a.png?sig=x%2By"


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ('{"a":1}', Shape.WHOLE),
        (' \r\n\t {"a":1} \n', Shape.WHOLE),
        ('\ufeff{"a":1}', Shape.WHOLE),
        ("[]", Shape.WHOLE),
        ('{"a":1}<html>', Shape.WHOLE),
        ('{"a":1', Shape.SHORT),
        ('{"a":', Shape.SHORT),
        ('{"a', Shape.SHORT),
        ('{"a":"b', Shape.SHORT),
        ('{"a":"b\\', Shape.SHORT),
        ('{"a":tru', Shape.SHORT),
        ('{"a":-', Shape.SHORT),
        ("{", Shape.SHORT),
        ('{"a":1,', Shape.SHORT),
        ('[{"a":1},', Shape.SHORT),
        ("{broken} and a long text after it", Shape.OTHER),
        ('{"a" 1, "b": "and a long text after it"}', Shape.OTHER),
        ("<html>", Shape.OTHER),
        ("", Shape.OTHER),
        ("null", Shape.OTHER),
        ('"text"', Shape.OTHER),
        ("[" * 100_000, Shape.OTHER),
        ('{"a":' + "9" * 5000 + "}", Shape.OTHER),
    ],
)
def test_parse_tells_a_whole_document_from_its_beginning_and_from_none(text: str, shape: Shape) -> None:
    assert parse(text)[0] is shape


def test_parse_never_takes_a_cut_document_for_a_whole_one() -> None:
    text = json.dumps({"created": 1, "data": [{"url": URL, "n": [1.5, None, True, {}]}], "usage": {"total_tokens": 12}})
    for cut in range(1, len(text)):
        assert parse(text[:cut])[0] is Shape.SHORT, text[:cut]
    assert parse(text)[0] is Shape.WHOLE


@pytest.mark.parametrize(
    ("document", "urls"),
    [
        ({"data": [{"url": URL}]}, (URL,)),
        ({"data": [{"url": URL, "b64_json": None}, {"url": URL + "2"}]}, (URL, URL + "2")),
        ({"data": {"url": URL}}, (URL,)),
        ({"data": [URL]}, (URL,)),
        ({"url": URL}, (URL,)),
        ({"data": [{"url": URL, "b64_json": "#0"}]}, ()),
        ({"data": [{"url": "#0"}]}, ()),
        ({"data": [{"url": "#0"}, {"url": URL}]}, (URL,)),
        ({"data": [{"url": None}]}, ()),
        ({"data": [{"url": 5}]}, ()),
        ({"data": [{"url": "file:///etc/passwd"}]}, ()),
        ({"data": [{"url": "javascript:alert(1)"}]}, ()),
        ({"data": [{"url": "https://x/\r\nHost: y"}]}, ()),
        ({"data": [{"url": "https://x/" + "y" * 9000}]}, ()),
        ({"data": [{}]}, ()),
        ({"data": []}, ()),
        ({"data": None}, ()),
        ([], ()),
    ],
)
def test_reply_gives_addresses_of_images_without_an_inline_picture(document: Any, urls: tuple[str, ...]) -> None:
    assert read_reply(document).urls == urls


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (
            {"error": {"message": "Invalid size", "type": "invalid_request_error", "param": "size", "code": None}},
            ApiError("Invalid size", "invalid_request_error", "", "size"),
        ),
        ({"error": {"message": "x", "code": 400}}, ApiError("x", code="400")),
        ({"error": "Unauthorized"}, ApiError("Unauthorized")),
        ({"error": "bad", "code": "e1", "type": "t"}, ApiError("bad", "t", "e1")),
        ({"message": "no such route", "code": 404}, ApiError("no such route", code="404")),
        ({"msg": "令牌无效"}, ApiError("令牌无效")),
        ({"detail": "Not Found"}, ApiError("Not Found")),
        ({"detail": [{"loc": ["body"], "msg": "field required"}]}, ApiError("field required")),
        ({"errors": [{"message": "quota"}]}, ApiError("quota")),
        ({"error": True, "message": "broken"}, ApiError("broken")),
        (
            {"error": {"message": "", "type": "shell_api_error", "param": "502", "code": "bad_response_status_code"}},
            ApiError("", "shell_api_error", "bad_response_status_code", "502"),
        ),
        (
            {"error": {"message": "no image as expected", "localized_message": "Unknown error", "code": None}},
            ApiError("no image as expected (Unknown error)"),
        ),
        ({"error": {"message": "", "localized_message": "额度不足"}}, ApiError("额度不足")),
        ({"error": {"message": "a\nb\x1b[31m\u202e"}}, ApiError("a b[31m")),
        ({"error": {"message": "x" * 9000}}, ApiError("x" * 4096)),
        ({"error": {"message": {"a": 1}, "code": ["x"]}}, ApiError()),
        ({"data": [], "error": {"message": "boom"}}, ApiError("boom")),
        ({"data": [{"url": URL}], "error": {"message": "boom"}}, ApiError("boom")),
        ({"data": [{"url": URL}], "message": "success", "code": 0}, None),
        ({"data": [{"b64_json": "#0"}], "message": "success"}, None),
        ({"data": [{"url": URL}], "error": None}, None),
        ({"error": None}, None),
        ({"error": {}}, None),
        ({"error": ""}, None),
        ({"data": []}, None),
    ],
)
def test_reply_finds_the_error_in_every_family(document: Any, error: ApiError | None) -> None:
    assert read_reply(document).error == error


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"choices": [{"message": {"content": "I can't create\nthat."}}]}, "I can't create that."),
        ({"data": [], "choices": [{"message": {"content": None, "refusal": "No."}}]}, "No."),
        ({"choices": [{"message": {"content": [{"type": "text", "text": "Sorry"}, {"text": "no"}]}}]}, "Sorry no"),
        ({"choices": [{"text": "No."}]}, "No."),
        ({"output_text": "No."}, "No."),
        ({"data": [{"text": "I can't help with that"}]}, "I can't help with that"),
        ({"data": "很抱歉，无法生成"}, "很抱歉，无法生成"),
        ({"data": [{"url": URL}], "choices": [{"message": {"content": "Here it is"}}]}, ""),
        ({"data": [{"b64_json": "#0"}], "text": "Here it is"}, ""),
        ({"choices": []}, ""),
        ({"choices": [None]}, ""),
        ({"choices": "x"}, ""),
        ({"choices": [{"message": "x"}]}, ""),
        ({}, ""),
    ],
)
def test_reply_finds_words_where_an_image_should_be(document: Any, text: str) -> None:
    assert read_reply(document).text == text


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (
            {
                "input_tokens": 10,
                "output_tokens": 196,
                "total_tokens": 206,
                "input_tokens_details": {"text_tokens": 4, "image_tokens": 6},
            },
            Usage(10, 196, 206, 4, 6),
        ),
        ({"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}, Usage(1, 2, 3)),
        (
            {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"text_tokens": 1}},
            Usage(1, 2, None, 1),
        ),
        ({"input_tokens": 0, "output_tokens": 0}, Usage(0, 0)),
        ({"input_tokens": 5.0}, Usage(5)),
        ({"input_tokens": 7, "input_tokens_details": "x"}, Usage(7)),
        ({"input_tokens": -1, "output_tokens": True, "total_tokens": "9"}, Usage(-1)),
        ({"input_tokens": 10**30}, Usage(10**12)),
        ({"input_tokens": -(10**30)}, Usage(-(10**12))),
        ({"input_tokens": 1.5}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_reply_reads_usage_in_every_spelling_and_refuses_nonsense(usage: Any, tokens: Usage | None) -> None:
    assert read_reply({"data": [], "usage": usage}).usage == tokens


def test_reply_reads_what_was_really_made() -> None:
    document = {"data": [{"revised_prompt": "a\nmug", "size": "1x1"}], "size": "2048x2048", "quality": "high"}
    reply = read_reply(document | {"output_format": "webp", "background": None})
    assert reply.effective == (("size", "2048x2048"), ("quality", "high"), ("format", "webp"))
    assert reply.revised_prompt == "a mug"
    assert read_reply({"data": [{"size": "1x1"}]}).effective == (("size", "1x1"),)


@pytest.mark.parametrize(
    ("document", "seconds"),
    [
        ({"error": {"message": "Please try again in 12s"}}, 12.0),
        ({"error": {"message": "x", "retry_after": 30}}, 30.0),
        ({"error": {"message": "Please try again in 12s", "retry_after": "20"}}, 20.0),
        ({"error": {"message": "x"}, "retry_after": "5s"}, 5.0),
        ({"message": "try again in 3s"}, 3.0),
        ({"error": {"message": "x", "retry_after": -1}}, None),
        ({"error": {"message": "x", "retry_after": True}}, None),
        ({"error": {"message": "x", "retry_after": 10**400}}, None),
        ({"error": {"message": "x", "retry_after": "soon"}}, None),
        ({"data": [{"url": URL}], "text": "try again in 3s"}, None),
    ],
)
def test_reply_finds_the_wait_an_error_asks_for(document: Any, seconds: float | None) -> None:
    assert read_reply(document).retry_after == seconds


def test_salvage_takes_only_addresses_that_are_whole() -> None:
    assert salvaged_urls('{"data":[{"url":"https://x/a.png","revised') == ("https://x/a.png",)
    assert salvaged_urls('{"data":[{"url" : "https:\\/\\/x\\/a.png?b\\u0026c"') == ("https://x/a.png?b&c",)
    assert salvaged_urls('{"data":[{"url":"https://x/a.p') == ()
    assert salvaged_urls('{"data":[{"url":"https://x/\\u12"') == ()
    assert salvaged_urls('{"url":"file:///x"}') == ()
    assert salvaged_urls('{"url":"' * 10_000) == ()


_FIELDS = ["data", "url", "b64_json", "error", "errors", "message", "code", "type", "param", "detail", "usage", "text"]
_FIELDS += ["input_tokens", "input_tokens_details", "choices", "content", "refusal", "size", "quality", "retry_after"]
_FIELDS += ["localized_message", "revised_prompt"]
_JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.just("\x1b\u202e\n"),
        st.just(URL),
        st.just("#0"),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(_FIELDS),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=20,
)


@given(_JSON)
def test_reply_never_raises_and_gives_only_clean_words(document: Any) -> None:
    reply = read_reply(document)
    assert isinstance(reply, Reply)
    error = reply.error or ApiError()
    for words in (reply.text, reply.revised_prompt, error.message, error.type, error.code, error.param):
        assert words == words.strip()
        words.encode()
        assert not set(words) & {"\n", "\x1b", "\u202e"}
    for url in reply.urls:
        assert url.startswith(("https://", "http://"))
