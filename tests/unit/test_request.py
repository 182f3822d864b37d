"""What goes over the wire for one claim under a contract."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from batchgen.domain.inputs import InputImage, Inputs
from batchgen.domain.model import Claim
from batchgen.domain.size import AUTO, Size, parse_size
from batchgen.gateway.request import build_call, request_hash
from tests.support.gateway import NO_INPUTS, a_claim, contract, whole


def body(claim: Claim, route: str) -> dict[str, str]:
    return json.loads(whole(build_call(5, claim, contract(route), NO_INPUTS).body))  # type: ignore[no-any-return]


def test_call_asks_a_listed_size_of_a_reverse_route() -> None:
    call = build_call(5, a_claim(), contract("apiyi/gpt-image-2-vip"), NO_INPUTS)
    sent = whole(call.body)
    assert json.loads(sent) == {
        "model": "gpt-image-2-vip",
        "prompt": 'a "white" 杯\n',
        "size": "2048x2048",
        "response_format": "b64_json",
    }
    assert b", " not in sent
    assert "杯".encode() in sent
    assert call.url == contract("apiyi/gpt-image-2-vip").base_url + "/images/generations"
    assert (call.attempt, call.operation, call.content_type) == (5, "generations", "application/json")
    assert not call.loopback
    assert call.key_env == contract("apiyi/gpt-image-2-vip").key_env
    assert call.timeout >= 300


def test_call_asks_the_size_that_is_sent_not_the_one_the_manifest_wants() -> None:
    assert body(a_claim(Size(2048, 1152)), "apiyi/gpt-image-2-vip")["size"] == "2048x1152"


def test_call_sends_parameters_only_where_the_route_takes_them() -> None:
    claim = a_claim(quality="high", background="opaque", format="webp")
    official = body(claim, "openai/gpt-image-2")
    assert (official["quality"], official["background"], official["output_format"]) == ("high", "opaque", "webp")
    assert "response_format" not in official
    reverse = body(claim, "apiyi/gpt-image-2-vip")
    assert "background" not in reverse
    assert "output_format" not in reverse


def test_call_never_sends_n_nor_what_was_not_asked() -> None:
    assert set(body(a_claim(AUTO), "openai/gpt-image-2")) == {"model", "prompt", "size"}
    assert set(body(a_claim(AUTO, format="png"), "openai/gpt-image-2")) == {"model", "prompt", "size"}


def test_call_is_loopback_when_the_base_url_is() -> None:
    local = replace(contract("apiyi/gpt-image-2-vip"), base_url="http://127.0.0.1:8000/v1")
    call = build_call(1, a_claim(), local, NO_INPUTS)
    assert call.loopback
    assert call.url == "http://127.0.0.1:8000/v1/images/generations"


def test_call_waits_longer_when_the_tier_is_larger() -> None:
    route = contract("apiyi/gpt-image-2-vip")
    small = build_call(1, a_claim(parse_size("1:1@1K")), route, NO_INPUTS)
    large = build_call(1, a_claim(parse_size("16:9@4K")), route, NO_INPUTS)
    assert small.timeout <= large.timeout


def test_call_waits_longer_when_many_images_go_with_it() -> None:
    route = contract("laozhang/gpt-image-2-vip")
    waits = []
    for count in (3, 4):
        images = Inputs(tuple(InputImage(f"{number}.png") for number in range(count)))
        waits.append(build_call(1, replace(a_claim(), inputs=images), route, NO_INPUTS).timeout)
    assert waits == [360, 600]


@pytest.mark.parametrize("change", [{"text": "another"}, {"size": Size(2048, 1152)}])
def test_request_hash_changes_with_what_is_asked(change: dict[str, object]) -> None:
    route = contract("apiyi/gpt-image-2-vip")
    one = request_hash(build_call(1, a_claim(), route, NO_INPUTS))
    assert one == request_hash(build_call(2, a_claim(), route, NO_INPUTS))
    assert one != request_hash(build_call(1, a_claim(**change), route, NO_INPUTS))  # type: ignore[arg-type]
    assert len(one) == 64
