"""What the contracts say of each route, and how a contract answers."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.contracts.catalog import DATA, load_catalog
from batchgen.contracts.contract import Contract, Objection, ParameterRule, is_loopback
from batchgen.contracts.endpoints import ENDPOINTS
from batchgen.contracts.sizes import SizeRule
from batchgen.contracts.tokens import PerCall, TokenPrice
from batchgen.contracts.words import Meaning
from batchgen.domain.errors import ContractError
from batchgen.domain.job import Parameters
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import OutcomeKind
from batchgen.domain.size import AUTO, TABLE, THIRTY, Size, parse_size
from batchgen.domain.wire import ApiError
from batchgen.policy.weigh import known_words, means

CATALOG = load_catalog()
ROUTES = CATALOG.routes()
REVERSE = ("apiyi/gpt-image-2-all", "apiyi/gpt-image-2-vip", "laozhang/gpt-image-2", "laozhang/gpt-image-2-vip")
OFFICIAL = (
    "apiyi/gpt-image-2",
    "apiyi/gpt-image-2@image2Enterprise",
    "laozhang/gpt-image-2@official",
    "laozhang/gpt-image-2@official-enterprise",
    "openai/gpt-image-1-mini",
    "openai/gpt-image-1.5",
    "openai/gpt-image-2",
    "openai/gpt-image-2.5-flare",
    "openai/gpt-image-2.5-sunburst",
    "openai/gpt-image-2.6-flare",
    "openai/gpt-image-2.6-sunburst",
)
VIP = CATALOG.find("apiyi/gpt-image-2-vip")
ALL = CATALOG.find("apiyi/gpt-image-2-all")
RELAY = CATALOG.find("apiyi/gpt-image-2")
WEB = CATALOG.find("laozhang/gpt-image-2")


# what is known of the routes


def test_routes_are_those_of_the_vendors_pages() -> None:
    assert set(ROUTES) == {*REVERSE, *OFFICIAL}


@pytest.mark.parametrize("route", ROUTES)
def test_every_contract_is_dated_sourced_and_whole(route: str) -> None:
    contract = CATALOG.find(route)
    assert contract.route == route
    assert contract.checked == "2026-11-21"
    assert contract.source
    assert contract.endpoints[0] == "images"
    assert set(contract.endpoints) <= set(ENDPOINTS)
    assert contract.endpoint_default == "images"
    assert contract.base_url.startswith("https://")
    assert contract.base_url.endswith("/v1")
    assert set(contract.charges) == set(OutcomeKind)
    assert Charge.RESERVED not in contract.charges.values()


@pytest.mark.parametrize("route", ROUTES)
def test_n_is_sent_nowhere(route: str) -> None:
    assert CATALOG.find(route).parameters["n"] == ParameterRule("rejects")


@pytest.mark.parametrize("route", REVERSE)
def test_reverse_routes_reject_all_but_text_and_deliver_png(route: str) -> None:
    contract = CATALOG.find(route)
    assert contract.channel == "reverse"
    assert {contract.parameters[name].stance for name in ("quality", "background", "format", "n")} == {"rejects"}
    assert contract.formats == ("png",)
    assert contract.price == PerCall(30_000, "2026-11-21")
    assert contract.wire_parameters(Parameters("high", "transparent", "webp")) == (("response_format", "b64_json"),)


@pytest.mark.parametrize("route", OFFICIAL)
def test_official_routes_take_what_openai_takes_and_no_response_format(route: str) -> None:
    contract = CATALOG.find(route)
    assert contract.channel == "official"
    assert contract.key_type == "usage"
    assert contract.response_format == ""
    assert contract.formats == ("png", "jpeg", "webp")
    assert isinstance(contract.price, TokenPrice)
    sent = contract.wire_parameters(Parameters("high", "transparent", "webp"))
    assert sent == (("quality", "high"), ("background", "transparent"), ("output_format", "webp"))
    assert contract.wire_parameters(Parameters()) == (("output_format", "png"),)


def test_each_token_group_has_its_own_key() -> None:
    keys = {(each.provider, each.group): each.key_env for each in map(CATALOG.find, ROUTES)}
    assert len(set(keys.values())) == len(keys) == 6


@pytest.mark.parametrize(
    ("size", "quality", "apiyi", "laozhang", "official"),
    [
        (Size(1280, 1280), None, 300, 360, 360),
        (Size(2048, 2048), None, 300, 360, 360),
        (Size(2048, 2048), "low", 300, 360, 360),
        (Size(2048, 2048), "high", 300, 360, 600),
        (Size(3840, 2160), None, 600, 600, 600),
        (AUTO, None, 300, 360, 360),
    ],
)
def test_timeouts_are_as_long_as_the_vendors_advise(
    size: Size, quality: str | None, apiyi: float, laozhang: float, official: float
) -> None:
    for provider, seconds in (("apiyi", apiyi), ("laozhang", laozhang)):
        reverse = [CATALOG.find(route) for route in REVERSE if route.startswith(f"{provider}/")]
        assert {route.timeout_for(size, quality) for route in reverse} == {seconds}
    assert {CATALOG.find(route).timeout_for(size, quality) for route in OFFICIAL} == {official}


def test_call_with_many_references_is_waited_for_as_long_as_the_vendors_advise() -> None:
    size = Size(1280, 1280)
    for name in REVERSE:
        route = CATALOG.find(name)
        assert route.timeout_for(size, None, 3) == route.timeout_for(size, None)
        assert route.timeout_for(size, None, 4) == route.timeout_for(size, None, 16) == 600
    mine = CATALOG.resolve({"use": REVERSE[0], "timeout": 450})
    assert mine.timeout_for(size, None, 16) == 450, "what a manifest says holds for every call"


def test_concurrency_is_what_the_vendors_state() -> None:
    stated = {"apiyi": 30, "laozhang": 32, "openai": 32}
    assert {route: CATALOG.find(route).concurrency for route in ROUTES} == {
        route: stated[route.split("/")[0]] for route in ROUTES
    }


BILLED = ("delivered", "damaged", "cut", "oversized", "expired")
VOID = ("not_sent", "throttled", "quota", "unauthorized", "rejected", "refused")
UNKNOWN = ("send_broken", "lost", "timed_out", "edge_error")


@pytest.mark.parametrize("route", ROUTES)
def test_charges_agree_on_what_both_vendors_say(route: str) -> None:
    charges = CATALOG.find(route).charges
    assert {charges[OutcomeKind(kind)] for kind in BILLED} == {Charge.BILLED}
    assert {charges[OutcomeKind(kind)] for kind in VOID} == {Charge.VOID}
    assert {charges[OutcomeKind(kind)] for kind in UNKNOWN} == {Charge.UNKNOWN}


@pytest.mark.parametrize("route", ROUTES)
def test_charges_differ_where_the_vendors_do(route: str) -> None:
    charges = CATALOG.find(route).charges
    without_image = Charge.VOID if route.startswith("laozhang/") else Charge.BILLED
    assert {charges[OutcomeKind.EMPTY], charges[OutcomeKind.REFUSED_TEXT]} == {without_image}
    assert charges[OutcomeKind.SERVER_ERROR] == (Charge.VOID if route in REVERSE else Charge.UNKNOWN)


@pytest.mark.parametrize(
    "text",
    [
        "Your request was rejected by the safety system. safety_violations=[sexual].",
        "没有按照预期生成图片，请重新调整提示词后重试（traceid: 0672821c）",
        "未接收到上游响应内容",
        "抱歉，这个请求涉及受版权保护的角色",
        "I'm sorry, but I can't help with that.",
        "moderation_blocked",
    ],
)
def test_refusals_are_recognised_in_both_languages(text: str) -> None:
    assert means(ApiError(message=text), known_words(VIP)) is Meaning.CONTENT


@pytest.mark.parametrize(
    "text",
    [
        "Invalid value: '1024x768'. Supported sizes are listed in the documentation. invalid_request_error",
        "OpenAI upstream compute fluctuation, status_code: 500",
        "Rate limit reached for gpt-image-2 on input-images per min: Limit 5, Used 5. Please try again in 12s.",
        "Unknown error",
        "当前分组上游负载已饱和，请稍后再试",
        "user [12345] quota [50000000] preConsumedQuota [150000000] is not enough",
        "write_response_body_failed",
    ],
)
def test_ordinary_errors_are_not_taken_for_refusals(text: str) -> None:
    for route in ROUTES:
        assert means(ApiError(message=text), known_words(CATALOG.find(route))) is not Meaning.CONTENT


def test_an_empty_balance_is_recognised_by_code_and_by_words() -> None:
    words = known_words(VIP)
    for code in ("insufficient_user_quota", "insufficient_quota", "billing_hard_limit_reached"):
        assert means(ApiError(code=code), words) is Meaning.QUOTA
    said = "user [12345] quota [50000000] preConsumedQuota [150000000] is not enough"
    assert means(ApiError(message=said), words) is Meaning.QUOTA
    assert means(ApiError(message="rate limit reached for gpt-image-2: limit 5"), words) is Meaning.THROTTLED


def test_the_routes_own_request_id_header_comes_first() -> None:
    assert VIP.request_id_headers[0] == "request-id"
    assert CATALOG.find("openai/gpt-image-2").request_id_headers[0] == "x-request-id"
    assert {"x-request-id", "cf-ray", "x-oneapi-request-id"} <= set(VIP.request_id_headers)


def test_only_the_codex_lines_are_downgraded_to_2k() -> None:
    assert {route for route in ROUTES if CATALOG.find(route).downgrade} == {
        "apiyi/gpt-image-2-vip",
        "laozhang/gpt-image-2-vip",
    }


# sizes


@pytest.mark.parametrize("route", ["apiyi/gpt-image-2-vip", "laozhang/gpt-image-2-vip"])
def test_vip_takes_the_thirty_and_nothing_else(route: str) -> None:
    contract = CATALOG.find(route)
    assert [contract.check_size(size) for size in THIRTY] == [None] * 30
    said = contract.check_size(Size(1024, 768))
    assert said == (
        f"{route} does not take the size 1024x768: it takes 30 sizes, not this one; "
        "the nearest it takes is 4:3@1K (1280x960)"
    )
    said = contract.check_size(AUTO)
    assert said is not None
    assert said.endswith("leaves no size to the gateway; name one, for instance 1:1@2K (2048x2048)")
    assert contract.wire_size(Size(2048, 1152)) == "2048x1152"


def test_the_web_line_of_laozhang_takes_no_size_at_all() -> None:
    assert WEB.check_size(AUTO) is None
    assert WEB.wire_size(AUTO) is None
    said = WEB.check_size(Size(1280, 1280))
    assert said == "laozhang/gpt-image-2 does not take the size 1280x1280: it takes no size; write auto"


@pytest.mark.parametrize("text", ["auto", "1024x1024", "3840x2160", "2160x3840", "2048x1152", "1024x640", "2880x2880"])
def test_official_routes_take_sizes_that_keep_the_limits(text: str) -> None:
    for route in OFFICIAL:
        if route not in {"openai/gpt-image-1.5", "openai/gpt-image-1-mini"}:
            assert CATALOG.find(route).check_size(parse_size(text)) is None
            assert CATALOG.find(route).wire_size(parse_size(text)) == text


@pytest.mark.parametrize("route", ["openai/gpt-image-1.5", "openai/gpt-image-1-mini"])
def test_older_models_take_three_sizes_and_say_when_they_end(route: str) -> None:
    contract = CATALOG.find(route)
    assert [contract.check_size(Size(*px)) for px in ((1024, 1024), (1536, 1024), (1024, 1536))] == [None] * 3
    assert contract.check_size(AUTO) is None
    assert "1024x1024" in (contract.check_size(Size(2048, 2048)) or "")
    assert contract.retires_on == "2026-12-01"


@pytest.mark.parametrize(
    ("text", "why", "near"),
    [
        ("1000x1000", "multiples of 16", "992x992"),
        ("4096x2304", "edges of at most 3840", "16:9@4K (3840x2160)"),
        ("3840x1024", "at most 3:1", "3072x1024"),
        ("512x512", "at least 655,360 pixels", "816x816"),
        ("3840x3840", "at most 8,294,400 pixels", "1:1@4K (2880x2880)"),
    ],
)
def test_official_routes_name_the_broken_limit_and_a_size_that_keeps_it(text: str, why: str, near: str) -> None:
    said = RELAY.check_size(parse_size(text))
    assert said is not None
    assert why in said
    assert said.endswith(f"the nearest it takes is {near}")


@given(st.integers(1, 99999), st.integers(1, 99999))
def test_the_nearest_size_is_one_the_route_takes(width: int, height: int) -> None:
    for contract in (VIP, ALL, RELAY):
        near = contract.sizes.nearest(Size(width, height))
        assert near is not None
        assert contract.check_size(near) is None


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("16:9@1K", "横版 16:9，"),
        ("9:16@1K", "竖屏 9:16，"),
        ("4:3@1K", "4:3，"),
        ("3:4@1K", "3:4，"),
        ("3:2@1K", "3:2 尺寸，"),
        ("2:3@1K", "2:3 尺寸，"),
        ("1:1@1K", "1:1 方形构图，"),
        ("1536x1024", "3:2 尺寸，"),
        ("1672x941", "横版 16:9，"),
        ("1983x793", "5:2 横屏，"),
        ("600x1500", "2:5 竖屏，"),
    ],
)
def test_all_is_told_the_size_in_words_at_the_start_of_the_prompt(text: str, phrase: str) -> None:
    size = parse_size(text)
    assert ALL.check_size(size) is None
    assert ALL.prompt_text("a mug", size) == f"{phrase}a mug"
    assert ALL.wire_size(size) is None


def test_all_leaves_the_prompt_alone_when_the_size_is_auto() -> None:
    assert ALL.check_size(AUTO) is None
    assert ALL.prompt_text("a mug", AUTO) == "a mug"
    assert ALL.wire_size(AUTO) is None


def test_other_routes_leave_the_prompt_alone() -> None:
    assert VIP.prompt_text("a mug", Size(1280, 720)) == "a mug"


@pytest.mark.parametrize(
    ("text", "why", "near"),
    [
        ("4:5@1K", "takes the ratios", "3:4@1K (960x1280)"),
        ("21:9@1K", "takes the ratios", "1983x793"),
        ("16:9@2K", "at most 1536", "16:9@1K (1280x720)"),
        ("256x256", "at least 512", "1:1@1K (1280x1280)"),
    ],
)
def test_all_refuses_what_no_phrase_stands_for(text: str, why: str, near: str) -> None:
    said = ALL.check_size(parse_size(text))
    assert said is not None
    assert why in said
    assert said.endswith(near)


def test_all_knows_what_it_will_answer() -> None:
    assert ALL.sizes.answer(Size(1280, 720)) == Size(1672, 941)
    assert ALL.sizes.answer(AUTO) is None
    assert VIP.sizes.answer(Size(1280, 720)) == Size(1280, 720)
    assert WEB.sizes.answer(AUTO) is None


def test_no_two_ratios_of_the_table_could_share_a_phrase() -> None:
    rule = SizeRule(kind="free", by="wording", wording={ratio: ratio for ratio in TABLE})
    assert [rule.ratio(Size(*pixels)) for row in TABLE.values() for pixels in row] == [
        ratio for ratio in TABLE for _ in range(3)
    ]


# parameters


@pytest.mark.parametrize("route", REVERSE)
def test_quality_and_background_are_errors_when_the_route_rejects_them(route: str) -> None:
    assert CATALOG.find(route).check_parameters(Parameters("high", "opaque", "webp")) == (
        Objection("quality", "rejects", f"{route} rejects `quality`; leave it out"),
        Objection("background", "rejects", f"{route} rejects `background`; leave it out"),
        Objection("format", "takes others", f"{route} delivers png, not webp"),
    )
    assert CATALOG.find(route).check_parameters(Parameters()) == ()


def test_a_value_the_route_does_not_know_is_named_with_those_it_takes() -> None:
    text = "apiyi/gpt-image-2 takes auto, low, medium, high as `quality`, not ultra"
    assert RELAY.check_parameters(Parameters(quality="ultra")) == (Objection("quality", "takes others", text),)
    assert RELAY.check_parameters(Parameters("high", "opaque", "jpeg")) == ()


@pytest.mark.parametrize(("form", "fine"), [("png", True), ("webp", True), ("jpeg", False)])
def test_a_transparent_background_needs_a_format_that_keeps_it(form: str, fine: bool) -> None:
    objections = RELAY.check_parameters(Parameters(background="transparent", format=form))
    assert [each.parameter for each in objections] == ([] if fine else ["format"])


def test_an_unsure_parameter_is_sent_with_a_warning() -> None:
    mine = CATALOG.resolve(
        {"use": "apiyi/gpt-image-2-vip", "parameters": {"quality": {"unsure": ["low", "medium", "high"]}}}
    )
    (doubt,) = mine.check_parameters(Parameters(quality="high"))
    assert doubt.is_doubt
    assert re.search("may reject `quality`.*2026-11-21", doubt.text)
    assert ("quality", "high") in mine.wire_parameters(Parameters(quality="high"))
    assert [each.is_doubt for each in mine.check_parameters(Parameters(quality="ultra"))] == [False]


@given(st.builds(Parameters, st.sampled_from([None, "low", "x"]), st.sampled_from([None, "opaque"]), st.just("webp")))
def test_what_is_rejected_never_reaches_the_wire(asked: Parameters) -> None:
    for route in ROUTES:
        contract = CATALOG.find(route)
        for name, _ in contract.wire_parameters(asked):
            assert contract.parameters["format" if name == "output_format" else name].stance != "rejects"


# the value itself


def test_a_contract_survives_a_pickle_with_what_it_has_worked_out() -> None:
    ALL.prompt_text("a mug", Size(1280, 720))
    again = pickle.loads(pickle.dumps(ALL))
    assert again == ALL
    assert hash(again) == hash(ALL)
    assert again.prompt_text("a cup", Size(1280, 720)) == "横版 16:9，a cup"


def test_the_digest_notices_what_matters_and_only_that() -> None:
    assert VIP.digest == load_catalog().find(VIP.route).digest
    assert re.fullmatch("[0-9a-f]{16}", VIP.digest)
    assert len({CATALOG.find(route).digest for route in ROUTES}) == len(ROUTES)
    same = replace(VIP, checked="2027-01-01", source="elsewhere", latency={"1K": (1.0, 2.0)})
    assert same.digest == VIP.digest
    changes: list[Contract] = [
        replace(VIP, base_url="https://elsewhere.example/v1"),
        replace(VIP, price=PerCall(40_000, "2026-11-21")),
        replace(VIP, charges={**VIP.charges, OutcomeKind.EMPTY: Charge.VOID}),
        replace(VIP, parameters={**VIP.parameters, "quality": ParameterRule("takes", ("low",))}),
        replace(VIP, sizes=SizeRule(kind="listed", listed=THIRTY[1:])),
        replace(VIP, concurrency=3),
    ]
    assert len({VIP.digest, *(each.digest for each in changes)}) == len(changes) + 1


def test_place_of_the_image_is_keys_and_numbers_of_items() -> None:
    assert VIP.picture_at == ()
    found = CATALOG.resolve({"use": VIP.route, "picture_at": ["images", 0, "url"]})
    assert found.picture_at == ("images", 0, "url")
    assert found.digest != VIP.digest


@pytest.mark.parametrize(
    "place", ["images.0.url", ["images", -1], ["images", True], [""], [["x"]], [1.5], ["x"] * 17, ["x" * 65], {"x": 1}]
)
def test_place_of_the_image_that_is_none_is_refused(place: object) -> None:
    with pytest.raises(
        ContractError, match=r"picture_at: must be keys and numbers of items .* such as \[images, 0, url]"
    ):
        CATALOG.resolve({"use": VIP.route, "picture_at": place})


def test_no_memory_is_shared_when_a_contract_is_replaced() -> None:
    assert VIP.loopback is False
    near = replace(VIP, base_url="http://127.0.0.1:8080/v1")
    assert near.loopback is True
    assert near.digest != VIP.digest


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.10", "::1"])
def test_loopback_is_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "10.0.0.1", "localhost.example", "127.0.0.1.example", "2130706433", "::"]
)
def test_other_hosts_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_data_files_bear_the_name_of_their_provider() -> None:
    for path in DATA.glob("*.yaml"):
        if path.stem not in {"common", "words"}:
            assert f"provider: {path.stem}\n" in path.read_text(encoding="utf-8")
