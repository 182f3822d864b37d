"""From the keys of a contract to its prices."""

from __future__ import annotations

from collections.abc import Mapping

from batchgen.contracts.keys import Keys
from batchgen.contracts.tokens import MainPrice, NoPrice, PerCall, TokenPrice
from batchgen.domain.size import AUTO


def read_token_tables(keys: Keys) -> dict[str, TokenPrice]:
    """The dated token prices of `common.yaml`, by model family."""
    return {family: _token_price(keys.part(family), family) for family in keys.data}


def read_price(keys: Keys, tables: Mapping[str, TokenPrice]) -> PerCall | TokenPrice | NoPrice:
    """What a call costs by its contract; `tables` are the token prices that it can name by family."""
    value = keys.data.get("price")
    dated = str(keys.data.get("checked"))
    if value in ("unknown", None):
        return NoPrice()
    if not isinstance(value, Mapping):
        return PerCall(keys.usd("price"), dated)
    price = keys.part("price")
    price.known(("per_call", "tokens", "dated"))
    dated = price.text("dated", r".+", "a date") if "dated" in price.data else dated
    if "per_call" in price.data and "tokens" not in price.data:
        return PerCall(price.usd("per_call"), dated)
    if isinstance(price.data.get("tokens"), Mapping):
        return _token_price(Keys({"dated": dated} | dict(price.part("tokens").data), f"{price.place}: tokens"), "")
    return tables[price.choice("tokens", tuple(tables))]


def read_main_price(keys: Keys) -> MainPrice | None:
    """What a mainline model's own tokens cost; None where nobody has said."""
    price = keys.part("main_price")
    price.known(("text_in", "text_out", "dated"))
    if not price.data:
        return None
    dated = price.text("dated", r".+", "a date") if "dated" in price.data else str(keys.data.get("checked"))
    return MainPrice(price.usd("text_in"), price.usd("text_out"), dated)


def _token_price(keys: Keys, family: str) -> TokenPrice:
    keys.known(("dated", "text_in", "image_in", "image_out", "bases", "table", "guess"))
    bases, table, guess = keys.part("bases"), keys.part("table"), keys.part("guess")
    guess.known(("size", "quality"))
    return TokenPrice(
        family=family,
        dated=keys.text("dated", r".+", "a date such as 2026-11-21"),
        text_in=keys.usd("text_in"),
        image_in=keys.usd("image_in"),
        image_out=keys.usd("image_out"),
        bases={quality: bases.whole(quality, 1) for quality in bases.data},
        table={
            quality: {row.as_size(size, size): row.whole(size, 1) for size in row.data}
            for quality, row in ((quality, table.part(quality)) for quality in table.data)
        },
        guess=(guess.size("size"), guess.text("quality")) if guess.data else (AUTO, ""),
    )
