"""What a run would cost, take and need, before it is begun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from batchgen.contracts.contract import Contract
from batchgen.contracts.pricing import Demand, expected
from batchgen.domain.job import Ask, Limits, Texts
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Cost, OutcomeKind
from batchgen.policy.decide import paid_retries

# Bytes per pixel of photographs as gateways send them, measured on 2048 x 2048 images.
_BYTES_PER_PIXEL = {"png": 1.6, "jpeg": 0.25, "webp": 0.2}
_AUTO_PIXELS = 1536 * 1024


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run is expected to cost, take and need.

    Attributes:
        calls: images to buy, one call each when all goes well.
        expected: micro-dollars when all goes well; None without a price.
        least, most: between which that lies where the gateway chooses size or quality; equal to it elsewhere.
        worst: micro-dollars if every answer were lost as often as the limits allow; None without a price.
        dearest: of that, for the dearest image.
        seconds: for the whole run at the usual latency; None where a batch takes as long as it takes, up to a day.
        disk: bytes of the images.
    """

    calls: int
    expected: int | None
    least: int | None
    most: int | None
    worst: int | None
    dearest: int
    seconds: float | None
    disk: float

    def worst_of(self, images: int | None) -> int | None:
        """The worst cost of so many of the images; None for all of them."""
        return self.worst if images is None or self.worst is None else min(self.worst, images * self.dearest)


def forecast(
    buy: Mapping[Ask, int],
    texts: Mapping[Ask, Texts],
    contract: Contract,
    limits: Limits,
    image_format: str,
    others: Sequence[Contract] = (),
    *,
    rescue: Contract | None = None,
) -> Forecast:
    """Add up what is to be bought.

    Args:
        buy: tasks by what decides their price beside their text.
        texts: of these tasks.
        contract: of the job's own route, over which all is expected to come.
        limits: of the job.
        image_format: that is asked for.
        others: routes that a task may go on with; at worst it pays on each.
        rescue: a route that only takes over 4K sizes.
    """
    plain: int | None = 0
    least: int | None = 0
    dearest_calls: int | None = 0
    worst: int | None = 0
    dearest, busy, disk = 0, 0.0, 0.0
    for ask, count in buy.items():
        size = ask.size
        length, longest = _mean(texts[ask], count), texts[ask].longest
        cost = _cost(contract, ask, length)
        plain = _plus(plain, count, cost.micros)
        least = _plus(least, count, cost.lower)
        dearest_calls = _plus(dearest_calls, count, cost.upper)
        rescues = [rescue] if rescue is not None and size.tier == "4K" else []
        routes = (contract, *others, *rescues)
        worst = _plus(worst, count, _worst(ask, length, routes, limits))
        dearest = max(dearest, _worst(ask, longest, routes, limits) or 0)
        low, high = contract.latency[size.tier]
        busy += count * (low + high) / 2
        disk += count * (size.pixels or _AUTO_PIXELS) * _BYTES_PER_PIXEL[image_format]
    calls = sum(buy.values())
    seconds = busy / min(limits.concurrency, max(calls, 1))
    if limits.rate:
        seconds = max(seconds, calls / limits.rate)
    taken = None if contract.endpoint.in_batches else seconds
    return Forecast(calls, plain, least, dearest_calls, worst, dearest, taken, disk)


def _mean(texts: Texts, count: int) -> int:
    """Bytes that stand for each of so many texts. A price is linear in them, so the sum is right, and never too low."""
    return min(texts.longest, texts.total // count + 1)


def _cost(contract: Contract, ask: Ask, length: int) -> Cost:
    return expected(contract, Demand.counted(ask.size, ask.quality or None, length, ask.images))


def _worst(ask: Ask, length: int, routes: Sequence[Contract], limits: Limits) -> int | None:
    """What one image may cost if every route takes its most for nothing; routes that do not take it are left out."""
    total: int | None = 0
    for number, contract in enumerate(routes):
        if number == 0 or contract.check_size(ask.size) is None:
            upper = _cost(contract, ask, length).upper
            total = _plus(total, paid_calls_per_task(contract, limits, upper), upper)
    return total


def _plus(total: int | None, count: int, micros: int | None) -> int | None:
    return None if total is None or micros is None else total + count * micros


def paid_calls_per_task(contract: Contract, limits: Limits, upper: int | None) -> int:
    """How often one task can be paid without anybody being asked, where a call takes so many micro-dollars at most."""
    if contract.charges[OutcomeKind.SERVER_ERROR] is Charge.VOID:
        return min(limits.attempts, 1 + limits.unknown + paid_retries(limits, upper))
    return limits.attempts
