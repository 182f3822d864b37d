"""What a call will cost, and what it did cost. Integers of micro-dollars, rounded up once per call."""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.contracts.contract import Contract
from batchgen.contracts.tokens import PerCall, TokenPrice, most_output_tokens, output_tokens
from batchgen.domain.job import Parameters
from batchgen.domain.model import Cost
from batchgen.domain.money import MICROS_PER_USD
from batchgen.domain.size import Size
from batchgen.domain.wire import Usage

_UNKNOWN = Cost(None, None, "unknown")
_FRAMING = 32  # tokens a gateway may put around the prompt, for the upper bound
_MOST_TOKENS = 1_000_000_000  # a usage above this is no usage


@dataclass(frozen=True, slots=True)
class _Output:
    """The output's share of a token price, the same for all prompts. Amounts in micro-dollars times `per`."""

    plain: int | None
    upper: int | None
    text: int  # one token of text
    per: int
    basis: str


def expected(contract: Contract, size: Size, parameters: Parameters, prompt: str | int) -> Cost:
    """What one call is expected to cost, and the most it can cost.

    Tokens of the prompt are estimated: four bytes each for the figure expected; for the upper bound one per byte of
    UTF-8, which no byte-level tokenizer exceeds, and a few for framing. `auto` size or quality cannot be predicted: the
    figure is then the table's guess, the basis says `estimate`, and the upper bound is the dearest the route allows.

    `size` is the one that is sent, after a downgrade if there was one. `prompt` is the text, or its length in
    characters, for each of which four bytes are then assumed.
    """
    price = contract.price
    if isinstance(price, PerCall):
        return _per_call(contract, price)
    if not isinstance(price, TokenPrice):
        return _UNKNOWN
    key = (size, parameters.quality)
    output: _Output | None = contract.memo.get(key)
    if output is None:
        output = contract.memo[key] = _output(contract, price, size, parameters.quality)
    plain_tokens, most_tokens = _text_tokens(prompt)
    per = output.per
    micros = None if output.plain is None else -(-(output.plain + plain_tokens * output.text) // per)
    upper = None if output.upper is None else -(-(output.upper + most_tokens * output.text) // per)
    return Cost(micros, upper, output.basis)


def billed(
    contract: Contract,
    size_sent: Size,
    parameters: Parameters,
    usage: Usage | None,
    outputs: int,
    prompt: str | int = "",
) -> Cost:
    """What a call that is billed has cost.

    Per-call routes charge the call, whatever came of it. On token routes the usage decides; input without details
    counts as text. Where usage is missing or cannot be true (no output tokens although `outputs` images came), the most
    the call can have cost is taken, so that the books never understate, and the basis says `estimate`; `prompt`, as for
    `expected`, is needed for that alone.
    """
    price = contract.price
    if not isinstance(price, TokenPrice):
        return expected(contract, size_sent, parameters, prompt)
    tokens = _read(usage, outputs) if usage is not None else None
    if tokens is not None:
        micros = _charged(contract, price, tokens)
        return Cost(micros, micros, f"tokens {price.dated}")
    most = expected(contract, size_sent, parameters, prompt).upper
    return Cost(most, most, f"estimate {price.dated}") if most is not None else _UNKNOWN


def _per_call(contract: Contract, price: PerCall) -> Cost:
    cost: Cost | None = contract.memo.get("per_call")
    if cost is None:
        over, under = contract.multiplier.as_integer_ratio()
        micros = -(-price.micros * over // under)
        cost = contract.memo["per_call"] = Cost(micros, micros, f"per_call {price.dated}")
    return cost


def _output(contract: Contract, price: TokenPrice, size: Size, quality: str | None) -> _Output:
    over, under = contract.multiplier.as_integer_ratio()
    asked = None if quality == "auto" else quality
    plain = upper = output_tokens(price, size, asked)
    basis = "tokens"
    if plain is None:
        basis = "estimate"
        guess_size, guess_quality = price.guess
        plain = output_tokens(price, guess_size if size.is_auto else size, asked or guess_quality)
        rule = contract.parameters.get("quality")
        qualities = (asked,) if asked else rule.values if rule else ()
        upper = most_output_tokens(price, contract.sizes, size, qualities)
    return _Output(
        plain=None if plain is None else plain * price.image_out * over,
        upper=None if upper is None else upper * price.image_out * over,
        text=price.text_in * over,
        per=under * MICROS_PER_USD,  # prices are per million tokens
        basis=f"{basis} {price.dated}" if plain is not None or upper is not None else _UNKNOWN.basis,
    )


def _text_tokens(prompt: str | int) -> tuple[int, int]:
    """The likely and the largest number of text tokens."""
    if isinstance(prompt, int):
        return -(-prompt // 4), prompt * 4 + _FRAMING
    size = len(prompt) if prompt.isascii() else len(prompt.encode("utf-8", "surrogatepass"))
    return -(-size // 4), size + _FRAMING


def _read(usage: Usage, outputs: int) -> tuple[int, int, int] | None:
    """Text, image and output tokens; None where the usage does not say enough or cannot be true."""
    image = usage.input_image_tokens or 0
    taken, made, total = usage.input_tokens, usage.output_tokens, usage.total_tokens
    if taken is None and usage.input_text_tokens is not None:
        taken = usage.input_text_tokens + image
    if taken is None and made is not None and total is not None:
        taken = total - made
    if made is None and taken is not None and total is not None:
        made = total - taken
    if taken is None or made is None or (made == 0 and outputs > 0):
        return None
    if not all(0 <= count <= _MOST_TOKENS for count in (taken, image, made)):
        return None
    return max(usage.input_text_tokens or 0, taken - image), image, made


def _charged(contract: Contract, price: TokenPrice, tokens: tuple[int, int, int]) -> int:
    text, image, made = tokens
    over, under = contract.multiplier.as_integer_ratio()
    amount = (text * price.text_in + image * price.image_in + made * price.image_out) * over
    return -(-amount // (under * MICROS_PER_USD))
