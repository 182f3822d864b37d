"""What a run would cost, take and need, before it is begun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from batchgen.contracts.contract import Contract
from batchgen.contracts.pricing import expected
from batchgen.domain.job import Limits, Parameters
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Kind
from batchgen.domain.size import Size

# A prompt of usual length, in characters; its share of a token price is small.
_PROMPT = 400
# Bytes per pixel of photographs as gateways send them, measured on 2048 x 2048 images.
_BYTES_PER_PIXEL = {"png": 1.6, "jpeg": 0.25, "webp": 0.2}
_AUTO_PIXELS = 1536 * 1024


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run may bring.

    Attributes:
        calls: images to buy, one call each when all goes well.
        expected: micro-dollars when all goes well; None without a price.
        worst: micro-dollars if every answer were lost as often as the limits allow; None without a price.
        dearest: of that, for the dearest image.
        seconds: for the whole run at the usual latency.
        disk: bytes of the images.
    """

    calls: int
    expected: int | None
    worst: int | None
    dearest: int
    seconds: float
    disk: float

    def worst_of(self, images: int | None) -> int | None:
        """The worst cost of so many of the images; None for all of them."""
        return self.worst if images is None or self.worst is None else min(self.worst, images * self.dearest)


def forecast(buy: Mapping[tuple[Size, str], int], contract: Contract, limits: Limits, image_format: str) -> Forecast:
    """Add up what is to be bought."""
    plain: int | None = 0
    most: int | None = 0
    dearest, busy, disk = 0, 0.0, 0.0
    for (size, quality), count in buy.items():
        cost = expected(contract, size, Parameters(quality=quality or None), _PROMPT)
        plain = None if plain is None or cost.micros is None else plain + count * cost.micros
        most = None if most is None or cost.upper is None else most + count * cost.upper
        dearest = max(dearest, cost.upper or 0)
        low, high = contract.latency[size.tier]
        busy += count * (low + high) / 2
        disk += count * (size.pixels or _AUTO_PIXELS) * _BYTES_PER_PIXEL[image_format]
    calls = sum(buy.values())
    seconds = busy / min(limits.concurrency, max(calls, 1))
    if limits.rate:
        seconds = max(seconds, calls / limits.rate)
    times = paid_calls_per_task(contract, limits)
    worst = None if most is None else most * times
    return Forecast(calls, plain, worst, dearest * times, seconds, disk)


def paid_calls_per_task(contract: Contract, limits: Limits) -> int:
    """How often one task can be paid without anybody being asked."""
    if contract.charges[Kind.SERVER_ERROR] is Charge.VOID:
        return min(limits.attempts, 1 + limits.unknown)
    return limits.attempts
