"""A comparison and a forecast as a person reads them, and as a machine does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from batchgen.cli.common import next_command
from batchgen.cli.look import spent_text
from batchgen.cli.walls import Room, nearest, room_fields, rooms_text
from batchgen.domain.clock import SystemClock
from batchgen.domain.job import Ask, Difference, JobSpec
from batchgen.domain.money import about_usd, format_usd, usd_text
from batchgen.domain.text import byte_size, counted, duration, one_line
from batchgen.ledger.records import JobRow
from batchgen.manifest.manifest import Manifest
from batchgen.report.forecast import Forecast, forecast

EXAMPLES = 5


def forecast_of(manifest: Manifest, spec: JobSpec, difference: Difference) -> Forecast:
    """What a run would cost and take that buys what is missing now, over all routes of the manifest."""
    others = [other.contract for other in manifest.fallbacks if not other.rescue]
    rescue = next((other.contract for other in manifest.fallbacks if other.rescue), None)
    limits, form = spec.limits, spec.parameters.format
    return forecast(difference.buy, difference.texts, manifest.contract, limits, form, others, rescue=rescue)


def forecast_again(manifest: Manifest, spec: JobSpec, difference: Difference) -> Forecast:
    """The same of those that have an image already."""
    return forecast_of(manifest, spec, replace(difference, buy=difference.again))


def plan_lines(
    manifest: Manifest,
    spec: JobSpec,
    difference: Difference,
    outlook: Forecast,
    before: JobRow | None,
    rooms: Sequence[Room] = (),
) -> list[str]:
    """The plan of a run, a line each.

    `before` is the job as it is recorded, None for a new one; `rooms` are what limits of money leave.
    """
    lines = [
        f"{spec.name}: {difference.new} new, {difference.changed} changed, {difference.unchanged} unchanged, "
        f"{difference.removed} removed" + (f", {difference.adopted} adopted" if difference.adopted else "")
    ]
    lines += [f"  {kind}: {', '.join(keys)}{' …' if len(keys) == 5 else ''}" for kind, keys in _named(difference)]
    lines += _bought_before(difference)
    if difference.rebuy:
        lines.append(
            f"  {difference.rebuy} delivered images were bought with other job-wide settings and are kept; "
            "--rebuy buys them again"
        )
    if difference.waiting:
        lines.append(f"  {difference.waiting} failed or parked, waiting for: {next_command(f'retry {spec.name}')}")
    lines += _stands(manifest, difference, before)
    lines.append(_buy_line(spec, outlook))
    lines += [f"  {count} × {_ask_text(ask)}" for ask, count in sorted(difference.buy.items())]
    if outlook.calls:
        lines += _onward(manifest)
        lines.append(_money_line(spec, outlook, before))
        lines += _rooms_lines(rooms, outlook)
        lines.append(f"{_time_text(spec, outlook)} · {byte_size(outlook.disk)}")
        lines.append(f"into {spec.output}")
    return lines


def plan_fields(
    spec: JobSpec, difference: Difference, forecast: Forecast, before: JobRow | None, rooms: Sequence[Room]
) -> dict[str, object]:
    """The same for machines; money in dollars as decimal strings, null without a price."""
    spent = (before.billed, before.unknown, before.reserved) if before else (0, 0, 0)
    return {
        "job": spec.name,
        "route": spec.route,
        "new": difference.new,
        "changed": difference.changed,
        "unchanged": difference.unchanged,
        "removed": difference.removed,
        "adopted": difference.adopted,
        "rebuy": difference.rebuy,
        "again": sum(difference.again.values()),
        "again_paid_usd": usd_text(difference.paid),
        "lost_images": list(difference.lost),
        "waiting": difference.waiting,
        "delivered": difference.delivered,
        "under_way": difference.under_way,
        "calls": forecast.calls,
        "buy": [
            {"size": str(ask.size), "quality": ask.quality or None, "images": ask.images, "calls": count}
            for ask, count in sorted(difference.buy.items())
        ],
        "expected_usd": _usd(forecast.expected),
        "least_usd": _usd(forecast.least),
        "most_usd": _usd(forecast.most),
        "worst_usd": _usd(forecast.worst),
        "budget_usd": _usd(spec.limits.budget),
        "walls": [room_fields(room) for room in rooms],
        "spent_usd": usd_text(spent[0]),
        "maybe_usd": usd_text(spent[1]),
        "reserved_usd": usd_text(spent[2]),
        "expected_seconds": None if forecast.seconds is None else round(forecast.seconds),
        "disk_bytes": round(forecast.disk),
        "output": str(spec.output),
        "examples": difference.examples,
    }


def _named(difference: Difference) -> list[tuple[str, list[str]]]:
    """Which prompts are meant, where that is news: not for a job that is new as a whole."""
    old = difference.unchanged or difference.changed or difference.adopted
    kinds = ("new", "changed", "adopted", "removed") if old else ("removed",)
    return [(kind, difference.examples[kind]) for kind in kinds if difference.examples.get(kind)]


def _bought_before(difference: Difference) -> list[str]:
    """What was paid for already: what serves again, what is to be replaced, what would serve and is gone."""
    lines = []
    if difference.adopted:
        lines.append(f"  {difference.adopted} served by images that were bought for the same before: 0 calls")
    if difference.lost:
        first = ", ".join(one_line(path) for path in difference.lost[:EXAMPLES])
        more = " …" if len(difference.lost) > EXAMPLES else ""
        are = "is" if len(difference.lost) == 1 else "are"
        count = counted(len(difference.lost), "earlier image")
        lines.append(f"  {count} would serve, but {are} gone or damaged: {first}{more}")
    if again := sum(difference.again.values()):
        which = (
            "1 of those to buy has an image already" if again == 1 else f"{again} of those to buy have an image already"
        )
        lines.append(f"  {which} ({format_usd(difference.paid)} paid); it stays until its successor is there")
    return lines


def _stands(manifest: Manifest, difference: Difference, before: JobRow | None) -> list[str]:
    """What is there already and what is under way, so that nobody takes the rest for all."""
    parts = [f"{difference.delivered} delivered"] if difference.delivered else []
    if difference.under_way:
        batch = manifest.contract.endpoint.in_batches
        parts.append(f"{difference.under_way} under way, {'to be collected' if batch else 'to be settled first'}")
    if difference.calls and parts:
        parts.append(f"{difference.calls} still to buy")
    if before and not difference.calls and before.reserved:
        parts.append(f"spent so far {spent_text(before)}")
    return [f"  {', '.join(parts)}"] if parts else []


def _onward(manifest: Manifest) -> list[str]:
    """Over which routes a task may go on: each of them counts into the worst case."""
    names = [other.contract.route for other in manifest.fallbacks if not other.rescue]
    rescue = [other.contract.route for other in manifest.fallbacks if other.rescue]
    parts = [f"what fails goes on over {', then '.join(names)}"] if names else []
    parts += [f"4K that fails is rescued over {name}" for name in rescue]
    return [f"  {'; '.join(parts)} (each counts into the worst case)"] if parts else []


def _buy_line(spec: JobSpec, forecast: Forecast) -> str:
    if not forecast.calls:
        return "nothing to buy: 0 calls"
    return f"to buy: {counted(forecast.calls, 'image')} from {spec.route}"


def _money_line(spec: JobSpec, forecast: Forecast, before: JobRow | None) -> str:
    if forecast.expected is None and forecast.worst is None:
        cost = "cost unknown: this route has no price"
    elif forecast.expected is None:
        cost = f"cost at most {about_usd(forecast.worst or 0)} (it cannot be told beforehand)"
    else:
        worst = f", at worst {about_usd(forecast.worst)}" if forecast.worst is not None else ""
        cost = f"expected {about_usd(forecast.expected)}{_range(forecast)}{worst}"
    spent = before.billed + before.unknown + before.reserved if before else 0
    told = f" · spent so far {spent_text(before)}" if before and (spent or before.unpriced) else ""
    return f"{cost}{told} · {_budget_text(spec.limits.budget, forecast, spent)}"


def _budget_text(budget: int | None, forecast: Forecast, spent: int) -> str:
    """What the budget means for this run; `spent` is all that counts against it."""
    if budget is None:
        return "no budget"
    left = max(0, budget - spent)
    if forecast.expected is not None and forecast.expected > left:
        return f"budget {format_usd(budget)}: it buys only part of this"
    return f"budget {format_usd(budget)}"


def _rooms_lines(rooms: Sequence[Room], forecast: Forecast) -> list[str]:
    """What may still be spent, and whether that is too little for all of it."""
    left, text = nearest(rooms), rooms_text(rooms, SystemClock().now())
    if left is not None and forecast.expected is not None and forecast.expected > left:
        text += f"; {format_usd(left)} buys only part of this"
    return [text] if text else []


def _time_text(spec: JobSpec, forecast: Forecast) -> str:
    if forecast.seconds is None:
        return "by batch: within a day"
    return f"about {duration(forecast.seconds)} at {spec.limits.concurrency} in flight"


def _ask_text(ask: Ask) -> str:
    pixels = f"({ask.size})" if ask.size.name != str(ask.size) else ""
    inputs = f"with {counted(ask.images, 'input image')}" if ask.images else ""
    return " ".join(part for part in (ask.size.name, pixels, ask.quality, inputs) if part)


def _range(forecast: Forecast) -> str:
    """Between what the cost lies where the gateway chooses; "" where it does not."""
    if forecast.least is None or forecast.most is None or forecast.least == forecast.expected:
        return ""
    return f" (between {about_usd(forecast.least)} and {about_usd(forecast.most)}, the gateway chooses)"


def _usd(micros: int | None) -> str | None:
    return None if micros is None else usd_text(micros)
