"""A proposal in words: what a run would buy, cost and take."""

from __future__ import annotations

from collections.abc import Sequence

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.planning import PlannedRun
from batchgen.cli.text.jobs import spent_text
from batchgen.domain.clock import SystemClock, month_of
from batchgen.domain.job import Ask, Difference, JobSpec
from batchgen.domain.money import about_usd, format_usd
from batchgen.domain.text import byte_size, counted, duration, one_line
from batchgen.domain.walls import Wall
from batchgen.ledger.records import JobRow
from batchgen.manifest.manifest import Manifest
from batchgen.report.forecast import Forecast
from batchgen.report.headroom import Headroom, nearest

EXAMPLES = 5


def plan_lines(proposal: PlannedRun, ledger: LedgerChoice) -> list[str]:
    """Say what a run would buy, cost and take, and what is there already."""
    manifest, spec, before = proposal.manifest, proposal.job, proposal.before
    difference, outlook = proposal.difference, proposal.forecast
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
        lines.append(f"  {difference.waiting} failed or parked, waiting for: {ledger.command(f'retry {spec.name}')}")
    lines += _stands(manifest, difference, before)
    lines.append(_buy_line(spec, outlook))
    lines += [f"  {count} × {_ask_text(ask)}" for ask, count in sorted(difference.buy.items())]
    if outlook.calls:
        lines += _onward(manifest)
        lines.append(_money_line(spec, outlook, before))
        lines += _headroom_lines(proposal.headrooms, outlook)
        lines.append(f"{_time_text(spec, outlook, len(manifest.contract.keys))} · {byte_size(outlook.disk)}")
        lines.append(f"into {spec.output}")
    return lines


def _named(difference: Difference) -> list[tuple[str, list[str]]]:
    """Name the prompts that are meant, where that is news: not for a job that is new as a whole."""
    old = difference.unchanged or difference.changed or difference.adopted
    kinds = ("new", "changed", "adopted", "removed") if old else ("removed",)
    return [(kind, difference.examples[kind]) for kind in kinds if difference.examples.get(kind)]


def _bought_before(difference: Difference) -> list[str]:
    """Say what was paid for already: what serves again, what is to be replaced, what would serve and is gone."""
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
    """Say what is there already and what is under way, so that nobody takes the rest for all."""
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
    """Say over which routes a task may go on: each of them counts into the worst case."""
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
    """Say what the budget means for this run; `spent` is all that counts against it."""
    if budget is None:
        return "no budget"
    left = max(0, budget - spent)
    if forecast.expected is not None and forecast.expected > left:
        return f"budget {format_usd(budget)}: it buys only part of this"
    return f"budget {format_usd(budget)}"


def _headroom_lines(rooms: Sequence[Headroom], forecast: Forecast) -> list[str]:
    """Say what may still be spent, and whether that is too little for all of it."""
    left, text = nearest(rooms), headrooms_text(rooms, SystemClock().now())
    if left is not None and forecast.expected is not None and forecast.expected > left:
        text += f"; {format_usd(left)} buys only part of this"
    return [text] if text else []


def _time_text(spec: JobSpec, forecast: Forecast, keys: int) -> str:
    several = f" over {keys} keys" if keys > 1 else ""
    if forecast.seconds is None:
        return f"by batch: within a day{several}"
    return f"about {duration(forecast.seconds)} at {spec.limits.concurrency} in flight{several}"


def _ask_text(ask: Ask) -> str:
    pixels = f"({ask.size})" if ask.size.name != str(ask.size) else ""
    inputs = f"with {counted(ask.images, 'input image')}" if ask.images else ""
    return " ".join(part for part in (ask.size.name, pixels, ask.quality, inputs) if part)


def _range(forecast: Forecast) -> str:
    """Say between what the cost lies where the gateway chooses; "" where it does not."""
    if forecast.least is None or forecast.most is None or forecast.least == forecast.expected:
        return ""
    return f" (between {about_usd(forecast.least)} and {about_usd(forecast.most)}, the gateway chooses)"


def headrooms_text(rooms: Sequence[Headroom], now: float) -> str:
    """Say what each limit of money leaves; "" where there is none."""
    months = {Wall.MONTH: f" for {month_of(now)}"}
    parts = [
        f"{format_usd(room.left)} of {format_usd(room.most)} by {room.name}{months.get(room.wall, '')}"
        for room in rooms
    ]
    return f"left to spend: {', '.join(parts)}" if parts else ""
