"""Exact amounts: integer micro-dollars. Nothing that is money is ever a float."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

MICROS_PER_USD = 1_000_000
_MOST = 10**9  # dollars; sums of far more micro-dollars are no integer of a database any more
_MICRO = Decimal(1).scaleb(-6)


def parse_usd(text: str | int | Decimal) -> int:
    """Read an amount in dollars, digit by digit as written, into micro-dollars.

    Raises:
        ValueError: not a number, negative, more than a thousand million, or finer than a micro-dollar.

    >>> parse_usd("0.03"), parse_usd(25)
    (30000, 25000000)
    """
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount in dollars") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{text} is not an amount of zero dollars or more")
    if amount > _MOST:
        raise ValueError("it is more than 1,000,000,000 dollars")
    if amount != amount.quantize(_MICRO):
        raise ValueError(f"{text} is finer than a millionth of a dollar")
    return int(amount.quantize(_MICRO) * MICROS_PER_USD)


def format_usd(micros: int) -> str:
    """Write an amount as people read it: at least cents, no digit lost.

    >>> format_usd(30000), format_usd(5930), format_usd(25_000_000)
    ('$0.03', '$0.00593', '$25.00')
    """
    sign = "-" if micros < 0 else ""
    dollars, rest = divmod(abs(micros), MICROS_PER_USD)
    digits = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}${dollars:,}.{digits}"


def about_usd(micros: int) -> str:
    """Write an estimate as people read it, rounded up: to cents from a dollar on, below that to four digits.

    No bill is said so.

    >>> about_usd(5_931), about_usd(1_234_567), about_usd(25_000_000)
    ('$0.006', '$1.24', '$25.00')
    """
    step = 10_000 if abs(micros) >= MICROS_PER_USD else 100
    return format_usd(-(-micros // step) * step)


def usd_text(micros: int) -> str:
    """Write an amount for machines: a plain decimal string.

    >>> usd_text(1_234_500_000)
    '1234.50'
    """
    return format_usd(micros).replace("$", "").replace(",", "")
