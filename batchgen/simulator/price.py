"""What the gateway charges, worked out on its own: the other side of the comparison must not share this code."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil
from typing import Any

from batchgen.contracts.contract import Contract
from batchgen.contracts.tokens import PerCall, TokenPrice

_MILLION = 1_000_000


def price_of(contract: Contract, usage: Mapping[str, Any] | None, n: int) -> int:
    """Price one call in micro-dollars, rounded up once: by the tokens of `usage`, else `n` times the price of a call.

    `main_input_tokens` and `main_output_tokens` of a usage are the mainline model's.
    """
    times = Fraction(contract.multiplier)
    if isinstance(contract.price, PerCall):
        return ceil(contract.price.micros * times) * n
    if not isinstance(contract.price, TokenPrice) or usage is None:
        return 0
    price, details = contract.price, usage["input_tokens_details"]
    amount: int = details["text_tokens"] * price.text_in + details["image_tokens"] * price.image_in
    amount += usage["output_tokens"] * price.image_out
    if contract.main_price is not None:
        amount += usage.get("main_input_tokens", 0) * contract.main_price.text_in
        amount += usage.get("main_output_tokens", 0) * contract.main_price.text_out
    return ceil(amount * times / _MILLION)
