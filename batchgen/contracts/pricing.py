"""What a call will cost, and what it did cost. Integers of micro-dollars, rounded up once per call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from batchgen.contracts.contract import Contract
from batchgen.contracts.tokens import (
    MOST_IMAGE_TOKENS,
    PerCall,
    TokenPrice,
    input_image_tokens,
    output_range,
    output_tokens,
)
from batchgen.domain.inputs import NO_INPUTS, Inputs
from batchgen.domain.model import Claim, Cost
from batchgen.domain.money import MICROS_PER_USD
from batchgen.domain.size import Size
from batchgen.domain.wire import Usage

_UNKNOWN = Cost(None, None, "unknown")
_FRAMING = 32  # tokens a gateway may put around the prompt, for the upper bound
_MOST_TOKENS = 1_000_000_000  # a usage above this is no usage
_USUAL_IMAGE_TOKENS = 1521  # of a reference from 2048 pixels upwards
# Tokens of a mainline model's own, beside the prompt: what its instructions and its words around a picture come to.
_MAIN_USUAL = (600, 150)
_MAIN_MOST = (4_096, 8_192)
_NOTHING_DRAWN = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Demand:
    """What one call asks for, as far as its price depends on it.

    Attributes:
        size: the one that is sent, after a downgrade if there was one.
        quality: None leaves it to the gateway.
        text_bytes: of the prompt in UTF-8.
        image_tokens: of the input images, as far as can be told.
        most_image_tokens: what these can come to at most; a mask may or may not count as one.
    """

    size: Size
    quality: str | None = None
    text_bytes: int = 0
    image_tokens: int = 0
    most_image_tokens: int = 0

    @classmethod
    def of(cls, size: Size, quality: str | None, text: str, inputs: Inputs = NO_INPUTS) -> Demand:
        """Make the demand of a call with this prompt and these input images."""
        length = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        likely = sum(
            input_image_tokens(image.width, image.height) if image.width else _USUAL_IMAGE_TOKENS
            for image in inputs.references
        )
        return cls(size, quality, length, likely, inputs.count * MOST_IMAGE_TOKENS)

    @classmethod
    def of_claim(cls, claim: Claim) -> Demand:
        """Make the demand of the next call of a claimed task."""
        return cls.of(claim.send_size, claim.parameters.quality, claim.text, claim.inputs)

    @classmethod
    def counted(cls, size: Size, quality: str | None, text_bytes: int, images: int) -> Demand:
        """Make the demand of a prompt of so many bytes and so many input images of the usual size."""
        return cls(size, quality, text_bytes, images * _USUAL_IMAGE_TOKENS, images * MOST_IMAGE_TOKENS)


@dataclass(frozen=True, slots=True)
class _Output:
    """The output's share of a token price, the same for all prompts. Amounts in micro-dollars times `per`."""

    plain: int | None
    lower: int | None
    upper: int | None
    text: int  # one token of text
    image: int  # one token of an input image
    per: int
    basis: str


def expected(contract: Contract, demand: Demand) -> Cost:
    """Work out what one call is expected to cost, and the most it can cost.

    Tokens of the prompt are estimated: four bytes each for the figure expected; for the upper bound one per byte of
    UTF-8, which no byte-level tokenizer exceeds, and a few for framing. `auto` size or quality cannot be predicted: the
    figure is then the table's guess, the basis says `estimate`, and the upper bound is the dearest the route allows.
    Input images count by their pixels. The own tokens of a mainline model are added where it draws through its tool;
    without its price the whole cost is unknown.
    """
    price = contract.price
    if isinstance(price, PerCall):
        return _per_call(contract, price)
    output = _output(contract, demand.size, demand.quality)
    if output is None:
        return _UNKNOWN
    plain_text, most_text = -(-demand.text_bytes // 4), demand.text_bytes + _FRAMING
    plain_main, most_main = _main(contract, plain_text + demand.image_tokens, most_text + demand.most_image_tokens)
    if plain_main is None or most_main is None:
        return _UNKNOWN
    plain_in = plain_text * output.text + demand.image_tokens * output.image + plain_main
    most_in = most_text * output.text + demand.most_image_tokens * output.image + most_main
    micros, lower, upper = (
        None if made is None else -(-(made + taken) // output.per)
        for made, taken in ((output.plain, plain_in), (output.lower, plain_in), (output.upper, most_in))
    )
    return Cost(micros, upper, output.basis, micros if lower is None else lower)


def billed(contract: Contract, demand: Demand, usage: Usage | None, outputs: int) -> Cost:
    """Work out what a call that is billed has cost.

    Per-call routes charge the call, whatever came of it. On token routes the usage decides; input without details
    counts as text. Where usage is missing or cannot be true (no output tokens although `outputs` images came), the most
    the call can have cost is taken, so that the books never understate, and the basis says `estimate`.
    """
    price = contract.price
    if not isinstance(price, TokenPrice):
        return expected(contract, demand)
    tokens = _read(usage, outputs) if usage is not None else None
    if tokens is None and contract.endpoint.by_main_model and not outputs:
        tokens = _NOTHING_DRAWN  # the mainline model answered in words, and its own tokens are all there is
    main = _main_charged(contract, usage)
    if tokens is not None and main is not None:
        micros = _charged(contract, price, tokens, main)
        return Cost(micros, micros, f"tokens {price.dated}", micros)
    most = expected(contract, demand).upper
    return Cost(most, most, f"estimate {price.dated}") if most is not None else _UNKNOWN


def _per_call(contract: Contract, price: PerCall) -> Cost:
    over, under = contract.price_factor.as_integer_ratio()
    micros = -(-price.micros * over // under)
    return Cost(micros, micros, f"per_call {price.dated}", micros)


@lru_cache(maxsize=4096)
def _output(contract: Contract, size: Size, quality: str | None) -> _Output | None:
    """Work out what an image of this size and quality takes; None on a route that has no price by tokens."""
    price = contract.price
    if not isinstance(price, TokenPrice):
        return None
    over, under = contract.price_factor.as_integer_ratio()
    rule = contract.parameters.get("quality")
    sent = rule is not None and rule.stance != "rejects"  # a route that is not told the quality chooses it itself
    asked = quality if sent and quality != "auto" else None
    plain = lower = upper = output_tokens(price, size, asked)
    basis = "tokens"
    if plain is None:
        basis = "estimate"
        guess_size, guess_quality = price.guess
        plain = output_tokens(price, guess_size if size.is_auto else size, asked or guess_quality)
        qualities = (asked,) if asked else rule.values if rule else ()
        lower, upper = output_range(price, contract.sizes, size, qualities)
    amount = price.image_out * over
    return _Output(
        plain=None if plain is None else plain * amount,
        lower=None if lower is None else lower * amount,
        upper=None if upper is None else upper * amount,
        text=price.text_in * over,
        image=price.image_in * over,
        per=under * MICROS_PER_USD,  # prices are per million tokens
        basis=f"{basis} {price.dated}" if plain is not None or upper is not None else _UNKNOWN.basis,
    )


def _main(contract: Contract, likely: int, most: int) -> tuple[int | None, int | None]:
    """Work out a mainline model's share for so many input tokens, in the unit of `_Output`; None without its price."""
    if not contract.endpoint.by_main_model:
        return 0, 0
    price, over = contract.main_price, contract.price_factor.as_integer_ratio()[0]
    if price is None:
        return None, None
    usual = (likely + _MAIN_USUAL[0]) * price.text_in + _MAIN_USUAL[1] * price.text_out
    return usual * over, ((most + _MAIN_MOST[0]) * price.text_in + _MAIN_MOST[1] * price.text_out) * over


def _main_charged(contract: Contract, usage: Usage | None) -> int | None:
    """Work out its share from the tokens it reports; None when that cannot be told."""
    if not contract.endpoint.by_main_model:
        return 0
    price = contract.main_price
    if price is None or usage is None or usage.main_input_tokens is None or usage.main_output_tokens is None:
        return None
    amount = usage.main_input_tokens * price.text_in + usage.main_output_tokens * price.text_out
    return amount * contract.price_factor.as_integer_ratio()[0]


def _read(usage: Usage, outputs: int) -> tuple[int, int, int] | None:
    """Read text, image and output tokens; None where the usage does not say enough or cannot be true."""
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


def _charged(contract: Contract, price: TokenPrice, tokens: tuple[int, int, int], main: int) -> int:
    text, image, made = tokens
    over, under = contract.price_factor.as_integer_ratio()
    amount = (text * price.text_in + image * price.image_in + made * price.image_out) * over + main
    return -(-amount // (under * MICROS_PER_USD))
