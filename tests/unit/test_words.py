"""The table of words: what gateways say, weighed by one rule."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from batchgen.contracts.catalog import DATA
from batchgen.contracts.strict_yaml import Section, read_yaml
from batchgen.contracts.words import Meaning, Word, common_words, read_words
from batchgen.domain.errors import ContractError
from batchgen.domain.wire import ApiError
from batchgen.policy.weigh import means, weigh

_RAW = read_yaml(DATA / "words.yaml")
WORDS = common_words()
RECORDED = yaml.safe_load((Path(__file__).parent.parent / "recorded" / "errors.yaml").read_text(encoding="utf-8"))


def _error(row: dict[str, str]) -> ApiError:
    return ApiError(message=row["message"], type=row["type"], code=row["code"])


@pytest.mark.parametrize("row", RECORDED, ids=lambda row: row["code"] or row["type"] or row["message"][:40])
def test_recorded_error_is_taken_for_what_it_says(row: dict[str, str]) -> None:
    assert means(_error(row), WORDS) == row["means"]


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.cause)
def test_every_row_is_needed_by_an_error_that_was_seen(word: Word) -> None:
    """Without the row, some recorded error is taken for something else."""
    others = tuple(other for other in WORDS if other is not word)
    assert any(means(_error(row), others) != row["means"] for row in RECORDED)


def test_table_is_large_dated_by_source_and_speaks_both_languages() -> None:
    sources = _RAW["sources"]
    assert isinstance(sources, dict)
    assert len(WORDS) >= 120
    assert len([word for word in WORDS if word.source.split()[0] in {"one-api", "new-api", "sub2api"}]) >= 40
    assert {word.source.split()[0] for word in WORDS} == set(sources)
    assert all("20" in str(source) for source in sources.values())
    assert Counter(word.language for word in WORDS if word.text).keys() == {"en", "zh"}
    assert {word.means for word in WORDS} == set(Meaning)
    assert len({(word.code, word.text) for word in WORDS}) == len(WORDS)


@pytest.mark.parametrize(
    ("code", "type_", "message", "meant"),
    [
        ("insufficient_user_quota", "insufficient_quota", "当前分组上游负载已饱和，请稍后再试", Meaning.QUOTA),
        ("rate_limit_exceeded", "", "Your account is not active, please check your billing details.", Meaning.QUOTA),
        ("insufficient_quota", "rate_limit_error", "Slow down.", Meaning.QUOTA),
        ("model_not_found", "", "分组 default 下模型 gpt-image-2 无可用渠道（distributor）", Meaning.NO_CHANNEL),
        ("server_error", "", "Rate limit reached for gpt-image-2 on images per min.", Meaning.THROTTLED),
        ("", "packy_server_error", "", Meaning.SERVER),
        ("moderation_blocked", "packy_image_generation_user_error", "Bad request.", Meaning.CONTENT),
        ("", "", "  RATE   limit\n reached FOR gpt ", Meaning.THROTTLED),
        ("invalid_request_error", "invalid_request_error", "Something else.", None),
    ],
)
def test_what_can_be_said_of_fewer_errors_wins(code: str, type_: str, message: str, meant: Meaning | None) -> None:
    assert means(ApiError(message=message, type=type_, code=code), WORDS) == meant


@pytest.mark.parametrize(
    "prompt",
    [
        "a poster that says insufficient balance",
        "A bank's letter: Your credit balance is too low",
        "a sign with the words “rate limit exceeded”",
        "海报上写着“余额不足”",
        "一张写着额度已用尽的卡片",
        "a robot that says: I can't help with that",
        "a comic about a content policy meeting",
        "敏感词 written in neon",
        "a terminal with the words: the model is overloaded",
        "a memo on usage policies",
    ],
)
@pytest.mark.parametrize("frame", ["Invalid prompt: {}", "The value '{}' is too long.", "{}"])
def test_words_of_the_person_are_no_words_of_the_gateway(prompt: str, frame: str) -> None:
    error = ApiError(message=frame.format(prompt), code="invalid_value")
    assert means(error, WORDS, sent=prompt) is Meaning.PARAMETER
    assert means(ApiError(message=frame.format(prompt)), WORDS, sent=prompt) is None


@pytest.mark.parametrize(
    "message",
    [
        "The image could not be generated, please try again.",
        "Unexpected end of stream",
        "upstream request timeout",
        "Your balance of colours is fine",
        "The quota of 4 images per request is a maximum",
        "invalid image: token stream ended",
        "image is too large: limit 50 MB",
        "The group photo has too many people",
        "context deadline exceeded",
        "connection reset by peer",
        "unexpected EOF",
        "Bad Gateway",
        "Internal error (traceid 12)",
        "this model does not take `mask`",
        "the key `seed` is not known",
        "no image was generated",
        "model output was empty",
        "渠道返回了错误的图片",
        "模型暂时没有返回图片",
        "请求超时",
        "图片生成失败，请重试",
        "a policy of caching is in force",
        "user cancelled",
        "channel closed",
        "the account manager service restarted",
        "busy drawing",
        "server says hello",
        "Image 3 of 5 exceeded 20 MB",
        "limit must be at most 10",
        "permission to read the file was refused by the disk",
    ],
)
def test_ordinary_errors_hold_no_word_of_the_table(message: str) -> None:
    assert weigh(ApiError(message=message), WORDS) is None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"means": "quota"}, "must have a `code` or a `text`"),
        ({"means": "quota", "code": "a", "text": "b"}, "must have a `code` or a `text`"),
        ({"means": "money", "code": "a"}, "must be one of quota, content"),
        ({"means": "quota", "code": "two words"}, "a code without blanks"),
        ({"means": "quota", "text": "  "}, "some words"),
        ({"means": "quota", "txt": "b"}, "did you mean text"),
    ],
)
def test_row_that_cannot_be_meant_is_refused(row: dict[str, object], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        read_words([Section(row, "own.yaml: words")])


def test_own_row_is_compared_in_lower_case_and_names_its_cause() -> None:
    own = read_words([Section({"means": "quota", "text": " Kein  Guthaben "}, "own.yaml: words")])
    found = weigh(ApiError(message="KEIN GUTHABEN mehr"), own)
    assert found is not None
    assert found.cause == "quota:kein guthaben"
