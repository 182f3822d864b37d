"""Finding contracts, overriding them from a manifest, and a user's own files."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from batchgen.contracts.catalog import load_catalog
from batchgen.contracts.contract import LogApi
from batchgen.contracts.pricing import Demand, expected
from batchgen.contracts.tokens import NoPrice, PerCall, TokenPrice
from batchgen.contracts.words import Meaning, Word
from batchgen.domain.errors import ContractError, Exit
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import OutcomeKind
from batchgen.domain.size import Size
from tests.support.pace import no_longer_than

CATALOG = load_catalog()
VIP = "apiyi/gpt-image-2-vip"
MINE = """\
provider: mygate
checked: 2026-11-20
source: their price page
base_url: https://gate.example/v1/
key_env: MYGATE_KEY
contracts:
  gpt-image-2-vip:
    extends: apiyi/gpt-image-2-vip
    price: {per_call: 0.025}
"""


def own(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refusal(option: object) -> str:
    with pytest.raises(ContractError) as caught:
        CATALOG.resolve(option)  # type: ignore[arg-type]
    return str(caught.value)


def file_refusal(folder: Path, text: str, route: str = "mygate/gpt-image-2-vip") -> str:
    path = own(folder, text)
    with pytest.raises(ContractError) as caught:
        load_catalog(path).find(route)
    message = str(caught.value)
    assert str(path) in message
    return message


# finding


def test_find_returns_the_same_contract_again() -> None:
    assert CATALOG.find(VIP) is CATALOG.find(VIP)


def test_find_knows_the_short_name_of_the_enterprise_group() -> None:
    assert CATALOG.find("apiyi/gpt-image-2@enterprise").route == "apiyi/gpt-image-2@image2Enterprise"


def test_the_enterprise_group_is_the_relay_at_a_multiple() -> None:
    relay, enterprise = CATALOG.find("apiyi/gpt-image-2"), CATALOG.find("apiyi/gpt-image-2@image2Enterprise")
    assert (relay.multiplier, enterprise.multiplier) == (Decimal(1), Decimal("1.2"))
    assert (relay.key_env, enterprise.key_env) == ("APIYI_API_KEY", "APIYI_ENTERPRISE_API_KEY")
    assert enterprise.model == "gpt-image-2"
    assert enterprise.group == "image2Enterprise"
    assert (enterprise.sizes, enterprise.price, enterprise.charges) == (relay.sizes, relay.price, relay.charges)


@pytest.mark.parametrize(
    ("route", "near"),
    [
        ("apiyi/gpt-image-2-vpi", "apiyi/gpt-image-2-vip"),
        ("apiy/gpt-image-2-vip", "apiyi/gpt-image-2-vip"),
        ("laozhang/gpt-image-2@Official", "laozhang/gpt-image-2@official"),
        ("gpt-image-2-all", "apiyi/gpt-image-2-all"),
        ("zzz", "openai/gpt-image-2"),
        ("", "openai/gpt-image-2"),
    ],
)
def test_find_names_near_routes_when_there_is_no_such_route(route: str, near: str) -> None:
    with pytest.raises(ContractError, match="there is no route") as caught:
        CATALOG.find(route)
    assert near in str(caught.value)
    assert caught.value.exit_code == Exit.USAGE


def test_loading_the_catalog_is_quick() -> None:
    def everything() -> None:
        catalog = load_catalog()
        for route in catalog.routes():
            catalog.find(route)

    everything()
    with no_longer_than(70):  # 13 seen: five times some 20 ms
        for _ in range(5):
            everything()


# a manifest's overrides


def test_resolve_takes_a_plain_name() -> None:
    assert CATALOG.resolve(VIP) is CATALOG.find(VIP)
    assert CATALOG.resolve({"use": VIP}) is CATALOG.find(VIP)


def test_resolve_changes_what_the_manifest_names_and_nothing_else() -> None:
    before = CATALOG.find(VIP)
    after = CATALOG.resolve(
        {
            "use": VIP,
            "base_url": "http://127.0.0.1:8080/v1",
            "key_env": "OTHER_KEY",
            "endpoint": "images",
            "price": 0.02,
            "concurrency": 4,
        }
    )
    assert (after.base_url, after.key_env, after.concurrency) == ("http://127.0.0.1:8080/v1", "OTHER_KEY", 4)
    assert after.price == PerCall(20_000, "manifest")
    assert after.overridden == ("base_url", "concurrency", "endpoint", "key_env", "price")
    assert after.warnings == ()
    assert after.route == before.route
    assert (after.sizes, after.charges, after.timeouts) == (before.sizes, before.charges, before.timeouts)
    assert after.digest != before.digest


def test_resolve_sets_one_timeout_for_everything_and_warns_when_it_is_short() -> None:
    short = CATALOG.resolve({"use": "apiyi/gpt-image-2", "timeout": 120})
    assert {short.timeout_for(Size(edge, edge), "high") for edge in (1024, 2048, 2880)} == {120.0}
    assert len(short.warnings) == 3
    assert "abandoned call is paid" in short.warnings[0]
    assert CATALOG.resolve({"use": VIP, "timeout": 900}).warnings == ()


def test_resolve_warns_when_a_key_goes_to_another_host() -> None:
    moved = CATALOG.resolve({"use": VIP, "base_url": "https://vip.apiyi.com/v1"})
    assert moved.warnings == (
        "the key in APIYI_API_KEY goes to https://vip.apiyi.com/v1 instead of https://api.apiyi.com/v1",
    )


@pytest.mark.parametrize(
    "url", ["https://vip.apiyi.com/v1", "https://api.apiyi.com:8443/v1", "https://127.0.0.1.example"]
)
def test_resolve_leaves_the_log_and_its_token_behind_at_another_host(url: str) -> None:
    assert CATALOG.find(VIP).log == LogApi("/api/log/self", "APIYI_ACCESS_TOKEN")
    assert CATALOG.resolve({"use": VIP, "base_url": url}).log == LogApi()
    named = {"path": "/log", "token_env": "SHOP_TOKEN"}
    assert CATALOG.resolve({"use": VIP, "base_url": url, "log": named}).log == LogApi("/log", "SHOP_TOKEN")
    assert "log: token_env: must be" in refusal({"use": VIP, "base_url": url, "log": {"path": "/log"}})


@pytest.mark.parametrize("url", ["https://API.apiyi.com:443/v2", "http://127.0.0.1:8080/v1", "http://localhost/v1"])
def test_resolve_keeps_the_log_at_the_same_host_and_on_this_machine(url: str) -> None:
    assert CATALOG.resolve({"use": VIP, "base_url": url}).log == CATALOG.find(VIP).log
    joined = CATALOG.resolve({"use": VIP, "base_url": url, "log": {"path": "/log"}}).log
    assert joined == LogApi("/log", "APIYI_ACCESS_TOKEN")


def test_resolve_warns_when_an_address_does_not_end_as_the_contracts_does(tmp_path: Path) -> None:
    bare = CATALOG.resolve({"use": VIP, "base_url": "http://127.0.0.1:8080"})
    assert [warning.partition(";")[0] for warning in bare.warnings] == [
        "base_url http://127.0.0.1:8080 does not end in /v1"
    ]
    for base in ("http://127.0.0.1:8080/v1/", "http://127.0.0.1:8080/openai/v1"):
        assert CATALOG.resolve({"use": VIP, "base_url": base}).warnings == ()
    own = tmp_path / "own.yaml"
    own.write_text(
        "provider: own\nchecked: 2026-11-21\nsource: made for tests\nbase_url: https://gateway.example/openai\n"
        "key_env: ''\ncontracts: {plain: {}}\n"
    )
    elsewhere = load_catalog(own).resolve({"use": "own/plain", "base_url": "http://127.0.0.1:8080/openai"})
    assert elsewhere.warnings == ()


def test_resolve_changes_single_charges_and_parameters() -> None:
    after = CATALOG.resolve({"use": VIP, "charges": {"empty": "void"}, "parameters": {"quality": "takes"}})
    assert after.charges[OutcomeKind.EMPTY] == Charge.VOID
    assert after.charges[OutcomeKind.DELIVERED] == Charge.BILLED
    assert after.parameters["quality"].stance == "takes"
    assert after.parameters["n"].stance == "rejects"


@pytest.mark.parametrize(
    ("price", "read"),
    [
        ("0.0301", PerCall(30_100, "manifest")),
        (0.03, PerCall(30_000, "manifest")),
        (1, PerCall(1_000_000, "manifest")),
        ({"per_call": Decimal("0.04")}, PerCall(40_000, "manifest")),
        ("unknown", NoPrice()),
    ],
)
def test_resolve_reads_a_price_as_it_is_written(price: object, read: object) -> None:
    assert CATALOG.resolve({"use": VIP, "price": price}).price == read


def test_resolve_reads_a_token_price_of_the_users_own() -> None:
    tokens = {"text_in": 4, "image_in": 6, "image_out": "24.5", "bases": {"low": 16}}
    price = CATALOG.resolve({"use": "openai/gpt-image-2", "price": {"tokens": tokens, "dated": "2026-12"}}).price
    assert isinstance(price, TokenPrice)
    assert (price.text_in, price.image_out, price.bases, price.dated) == (4_000_000, 24_500_000, {"low": 16}, "2026-12")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"base_ulr": "x"}, "route: base_ulr: unknown key; did you mean base_url?"),
        ({"quota_marks": ["no funds"]}, "route: quota_marks: unknown key; did you mean words?"),
        ({"refusals": ["no funds"]}, "route: refusals: unknown key; did you mean words?"),
        ({"checked": "2026-01-01"}, "route: checked: unknown key"),
        ({"base_url": "http://gate.example/v1"}, "route: base_url: must be https"),
        ({"base_url": "http://127.0.0.1.evil.example/v1"}, "must be https"),
        ({"base_url": "ftp://127.0.0.1/v1"}, "must be an address"),
        ({"base_url": "https://me:secret@gate.example/v1"}, "without a query"),
        ({"base_url": "https://gate.example/v1?key=1"}, "without a query"),
        ({"base_url": "https://gate.example:99999/v1"}, "is no address"),
        ({"base_url": "https://gate.example/v1/images/generations"}, "the endpoint is added to it"),
        ({"base_url": 7}, "route: base_url: must be text"),
        ({"key_env": "sk-1234567890"}, "the name of a variable, never the key itself"),
        ({"keys": ["ONE", "sk-1234567890"]}, "route: keys: each must be the name of a variable, never the key itself"),
        ({"keys": ["ONE", "ONE"]}, "route: keys: must name one variable or more, each once"),
        ({"keys": []}, "route: keys: must name one variable or more, each once"),
        ({"keys": "ONE"}, "route: keys: must be a list of words"),
        ({"keys": ["ONE"], "key_env": "TWO"}, "route: keys: stands beside key_env; keep one"),
        ({"limits_per": "token"}, "route: limits_per: must be one of key, account"),
        ({"endpoint": "responses"}, "route: endpoint: must be one of images, chat, not 'responses'"),
        ({"price": "cheap"}, "route: price: 'cheap' is not an amount in dollars"),
        ({"price": -1}, "zero dollars or more"),
        ({"price": "0.0000001"}, "finer than a millionth"),
        ({"price": True}, "must be an amount in dollars"),
        ({"price": {"tokens": "gpt-image-9"}}, "route: price: tokens: must be one of gpt-image-2,"),
        ({"price": {"per_image": 1}}, "unknown key"),
        ({"concurrency": 0}, "route: concurrency: must be a whole number of at least 1, not 0"),
        ({"concurrency": True}, "must be a whole number"),
        ({"timeout": 0}, "must be a number above 0"),
        ({"timeout": "soon"}, "must be a number above 0, not 'soon'"),
        ({"timeout": float("inf")}, "must be a number above 0"),
        ({"charges": {"empty": "free"}}, "route: charges: empty: must be one of billed, void, unknown"),
        ({"charges": {"emtpy": "void"}}, "did you mean empty?"),
        ({"parameters": {"quality": "maybe"}}, "route: parameters: quality: must be takes, rejects, unsure"),
        ({"parameters": {"response_format": "rejects"}}, "route: response_format: is sent although"),
        ({"response_format": "gif"}, "b64_json, url or empty"),
        ({"sizes": {"listed": ["2048"]}}, "is not a size"),
        ({"sizes": {"listed": ["auto"]}}, "must be a size such as"),
        ({"sizes": {"wording": {"wide": {"phrase": "x", "pixels": "1x1"}}}}, "must name ratios"),
        ({"formats": ["bmp"]}, "knows png, jpeg, webp, not bmp"),
        ({"latency": {"1K": [9, 3]}}, "in this order"),
        ({"timeouts": {"8K": 3}}, "unknown key"),
        ({"multiplier": "free"}, "route: multiplier: must be a number above 0"),
        ({"multiplier": 10**17}, "route: multiplier: must be 1,000 at most, not 100000000000000000"),
        ({"batch_multiplier": "1000.1"}, "route: batch_multiplier: must be 1,000 at most, not 1000.1"),
        ({"price": 10_001}, "route: price: must be 10,000 dollars at most"),
        ({"price": 10**14}, "route: price: it is more than 1,000,000,000 dollars"),
        ({"price": {"tokens": {"text_in": 10001}}}, "route: price: tokens: text_in: must be 10,000 dollars at most"),
        ({"endpoint": None}, "route: endpoint: has no value; write one, or remove the key"),
        ({"price": None}, "route: price: has no value"),
        ({"endpont": None}, "route: endpont: unknown key; did you mean endpoint?"),
        ({"parameters": {"qualty": "takes"}}, "route: parameters: qualty: unknown key; did you mean quality?"),
        ({"parameters": {"seed": "takes"}}, "seed: unknown key; it can be background, format, moderation, n, quality,"),
        ({"quality_timeouts": {"hihg": 900}}, "route: quality_timeouts: hihg: unknown key; did you mean high?"),
        ({"quality_timeouts": {"7": 9}}, "7: unknown key; it can be auto, high, low, max, medium, xhigh"),
    ],
)
def test_resolve_names_the_key_when_a_change_cannot_be(change: dict[str, object], said: str) -> None:
    assert said in refusal({"use": VIP, **change})


def test_amounts_at_their_bounds_can_be_booked() -> None:
    dearest = {"use": "openai/gpt-image-2", "endpoint": "batch", "multiplier": 1000, "batch_multiplier": 1000}
    cost = expected(CATALOG.resolve({**dearest, "price": 10_000}), Demand(Size(1024, 1024)))
    assert cost.upper == 10**16


def test_quality_of_a_routes_own_has_a_timeout_once_it_is_listed() -> None:
    own_one = {"parameters": {"quality": {"takes": ["draft", "final"]}}, "quality_timeouts": {"final": 1200}}
    assert CATALOG.resolve({"use": VIP, **own_one}).timeout_for(Size(1024, 1024), "final") == 1200
    inherited = CATALOG.resolve({"use": "openai/gpt-image-2", "parameters": {"quality": "rejects"}})
    assert inherited.quality_timeouts == {"high": 600}


def test_resolve_says_what_is_missing_when_no_route_is_named() -> None:
    assert refusal({"price": 1}).startswith("route: use: must name the route")
    assert "there is no route" in refusal({"use": "apiyi/none"})


@pytest.mark.parametrize(
    "url", ["http://localhost:1/v1", "http://[::1]:8080/v1", "http://127.3.2.1/v1/", "https://gate.example"]
)
def test_resolve_takes_https_and_loopback(url: str) -> None:
    assert CATALOG.resolve({"use": VIP, "base_url": url}).base_url == url.rstrip("/")


# a user's own files


def test_a_contract_of_ten_lines_extends_a_built_in_one(tmp_path: Path) -> None:
    contract = load_catalog(own(tmp_path, MINE)).find("mygate/gpt-image-2-vip")
    built_in = CATALOG.find(VIP)
    assert contract.base_url == "https://gate.example/v1"
    assert contract.key_env == "MYGATE_KEY"
    assert contract.checked == "2026-11-20"
    assert contract.price == PerCall(25_000, "2026-11-20")
    assert (contract.sizes, contract.charges, contract.downgrade) == (built_in.sizes, built_in.charges, True)


def test_a_contract_that_extends_one_of_another_host_has_no_log_but_its_own(tmp_path: Path) -> None:
    assert load_catalog(own(tmp_path, MINE)).find("mygate/gpt-image-2-vip").log == LogApi()
    shared = MINE.replace("contracts:", "log: {path: /log, token_env: MYGATE_TOKEN}\ncontracts:")
    contract = load_catalog(own(tmp_path, shared)).find("mygate/gpt-image-2-vip")
    assert contract.log == LogApi("/log", "MYGATE_TOKEN")
    near = MINE.replace("https://gate.example/v1/", "https://api.apiyi.com/v1")
    assert load_catalog(own(tmp_path, near)).find("mygate/gpt-image-2-vip").log == CATALOG.find(VIP).log


def test_a_bare_contract_has_cautious_defaults(tmp_path: Path) -> None:
    text = MINE.replace("    extends: apiyi/gpt-image-2-vip\n", "").replace(
        "    price: {per_call: 0.025}\n", "    sizes: none\n"
    )
    contract = load_catalog(own(tmp_path, text)).find("mygate/gpt-image-2-vip")
    assert contract.price == NoPrice()
    assert contract.charges[OutcomeKind.SERVER_ERROR] == Charge.UNKNOWN
    assert {rule.stance for rule in contract.parameters.values()} == {"rejects"}
    assert contract.response_format == ""


def test_own_words_are_added_to_the_inherited_ones(tmp_path: Path) -> None:
    words = "    words: [{means: content, text: Not On My Watch}]\n"
    contract = load_catalog(own(tmp_path, MINE + words)).find("mygate/gpt-image-2-vip")
    assert contract.words == (Word(Meaning.CONTENT, text="not on my watch"), *CATALOG.find(VIP).words)


@pytest.mark.parametrize("words", ["quota", "{means: quota}", "[quota]"])
def test_words_that_are_no_rows_are_refused(tmp_path: Path, words: str) -> None:
    with pytest.raises(ContractError, match="words: must be a list of mappings"):
        load_catalog(own(tmp_path, MINE + f"    words: {words}\n")).find("mygate/gpt-image-2-vip")


def test_an_own_contract_wins_over_the_built_in_one_and_may_extend_it(tmp_path: Path) -> None:
    text = MINE.replace("provider: mygate", "provider: apiyi")
    catalog = load_catalog(own(tmp_path, text))
    assert catalog.find(VIP).base_url == "https://gate.example/v1"
    assert catalog.find(VIP).sizes == CATALOG.find(VIP).sizes
    assert catalog.find("apiyi/gpt-image-2-all").base_url == "https://api.apiyi.com/v1"
    assert catalog.routes() == CATALOG.routes()


def test_a_folder_of_own_files_is_read(tmp_path: Path) -> None:
    own(tmp_path, MINE)
    own(tmp_path, MINE.replace("mygate", "other"), "other.yml")
    own(tmp_path, "not: a contract", "notes.txt")
    catalog = load_catalog(tmp_path)
    assert {"mygate/gpt-image-2-vip", "other/gpt-image-2-vip"} < set(catalog.routes())


def test_what_a_file_shares_does_not_undo_what_an_extended_neighbour_says(tmp_path: Path) -> None:
    text = MINE + "    concurrency: 5\n  other:\n    extends: gpt-image-2-vip\n"
    contract = load_catalog(own(tmp_path, text.replace("contracts:", "concurrency: 9\ncontracts:"))).find(
        "mygate/other"
    )
    assert contract.concurrency == 5


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("checked: 2026-11-20", "checked: yesterday", "gpt-image-2-vip: checked: must be a date such as 2026-11-21"),
        ("key_env: MYGATE_KEY", "key_evn: MYGATE_KEY", "key_evn: unknown key; did you mean key_env?"),
        ("provider: mygate", "provider: My Gate", "provider: must be a short name in lower case"),
        ("    price:", "    prize:", "contracts: gpt-image-2-vip: prize: unknown key; did you mean price?"),
        ("extends: apiyi/gpt-image-2-vip", "extends: apiyi/gpt-image-2-vpi", "extends: there is no route"),
        ("extends: apiyi/gpt-image-2-vip", "extends: gpt-image-2-vip", "extends: leads back to itself"),
        ("  gpt-image-2-vip:", "  gpt image:", "contracts: gpt image: must be a model"),
        ("{per_call: 0.025}", "{per_call: 0.025, per_call: 0.02}", "the key per_call stands twice"),
        ("{per_call: 0.025}", "{per_call: [", "mine.yaml:"),
        ("{per_call: 0.025}", "!!python/object:os.system {}", "could not determine a constructor"),
        ("contracts:", "contracts: none\nothers:", "others: unknown key"),
        ("{per_call: 0.025}", "", "contracts: gpt-image-2-vip: price: has no value"),
        ("extends: apiyi/gpt-image-2-vip", "extends:", "contracts: gpt-image-2-vip: extends: has no value"),
        (
            "{per_call: 0.025}",
            "0.025\n    parameters: {qualty: takes}",
            "parameters: qualty: unknown key; did you mean",
        ),
        ("{per_call: 0.025}", "0.025\n    quality_timeouts: {hihg: 9}", "quality_timeouts: hihg: unknown key; did you"),
        ("{per_call: 0.025}", "0.025\n    multiplier: 100000000000000000", "multiplier: must be 1,000 at most, not 1"),
    ],
)
def test_a_file_is_refused_with_its_name_and_key_when_it_is_wrong(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in MINE
    assert said in file_refusal(tmp_path, MINE.replace(old, new))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": must hold keys such as provider"),
        ("[]", ": must hold keys such as provider"),
        ("a: b", ": a: unknown key; it can be base_url"),
        ("1: 2", ": must hold keys such as provider"),
        ("[" * 3000, ":2:1: did not find expected node content"),
        ("\x00", ": not readable as YAML: unacceptable character"),
        ("provider: x\ncontracts: {}\n", ": contracts: must hold at least one contract"),
        ("a: &a [*a]\n", ": a: unknown key; it can be base_url"),
        ("? [1]\n: 2\n", ":1:3: found unhashable key"),
    ],
)
def test_a_file_is_refused_when_it_is_no_contract_file(tmp_path: Path, text: str, said: str) -> None:
    assert f"mine.yaml{said}" in file_refusal(tmp_path, text)


def test_a_file_is_refused_when_it_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"absent\.yaml: cannot be read"):
        load_catalog(tmp_path / "absent.yaml")


def test_a_folder_without_contract_files_is_refused(tmp_path: Path) -> None:
    own(tmp_path, MINE, "mine.yaml.txt")
    with pytest.raises(ContractError, match=r"holds no contract file; put one there") as caught:
        load_catalog(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_file_is_refused_when_it_is_huge(tmp_path: Path) -> None:
    assert "no contract file" in file_refusal(tmp_path, "#" * 1_000_001)


@pytest.mark.parametrize("key", ["checked", "source", "base_url", "key_env"])
def test_a_contract_is_refused_when_it_is_not_dated_or_addressed(tmp_path: Path, key: str) -> None:
    lines = [line for line in MINE.splitlines() if not line.startswith(f"{key}:") and "extends" not in line]
    assert f"{key}: is missing" in file_refusal(tmp_path, "\n".join(lines))


@pytest.mark.parametrize("endpoint", ["images", "chat", "responses", "batch"])
def test_endpoints_are_the_four_that_exist(tmp_path: Path, endpoint: str) -> None:
    text = MINE + f"    endpoints: [{endpoint}]\n"
    assert load_catalog(own(tmp_path, text)).find("mygate/gpt-image-2-vip").endpoint_default == endpoint
    assert "knows images, chat" in file_refusal(tmp_path, MINE + "    endpoints: [video]\n")


def test_ratios_and_dates_are_text_as_yaml_would_not_have_it(tmp_path: Path) -> None:
    text = MINE + "    sizes: {auto: true, wording: {16:9: {phrase: wide, pixels: 1280x720}}}\n"
    contract = load_catalog(own(tmp_path, text)).find("mygate/gpt-image-2-vip")
    assert contract.sizes.wording == {"16:9": "wide"}
    assert contract.prompt_text(" mug", Size(1280, 720)) == "wide mug"


# keys and groups


# several keys


def test_keys_take_the_place_of_the_one_that_the_contract_names() -> None:
    several = CATALOG.resolve({"use": VIP, "keys": ["ONE", "TWO"]})
    assert several.keys == ("ONE", "TWO")
    assert (several.limits_per, several.quotas) == ("key", 2)
    shared = CATALOG.resolve({"use": VIP, "keys": ["ONE", "TWO"], "limits_per": "account"})
    assert shared.quotas == 1
    assert CATALOG.find("openai/gpt-image-2").limits_per == "account"


def test_contract_names_several_keys_and_a_manifest_one_of_its_own(tmp_path: Path) -> None:
    catalog = load_catalog(own(tmp_path, MINE.replace("key_env: MYGATE_KEY", "keys: [ONE, TWO]")))
    assert catalog.find("mygate/gpt-image-2-vip").keys == ("ONE", "TWO")
    assert catalog.resolve({"use": "mygate/gpt-image-2-vip", "key_env": "MINE"}).keys == ("MINE",)


def test_run_begins_at_the_concurrency_that_the_gateway_states_and_at_no_other() -> None:
    assert CATALOG.find(VIP).begins_at_concurrency
    assert not CATALOG.resolve({"use": VIP, "concurrency": 500}).begins_at_concurrency
    assert not CATALOG.resolve({"use": VIP, "base_url": "http://127.0.0.1:8080/v1"}).begins_at_concurrency
    own = {"use": VIP, "base_url": "http://127.0.0.1:8080/v1", "concurrency": 8, "concurrency_stated": True}
    assert CATALOG.resolve(own).begins_at_concurrency
    assert not CATALOG.find("laozhang/gpt-image-2-vip").begins_at_concurrency
