"""A comparison and a forecast as a person reads them, and as a machine does."""

from __future__ import annotations

from batchgen.cli.common import byte_size, counted, duration, next_command
from batchgen.domain.job import Ask, Difference, JobSpec
from batchgen.domain.money import format_usd, usd_text
from batchgen.report.forecast import Forecast


def plan_lines(spec: JobSpec, difference: Difference, forecast: Forecast, spent: int) -> list[str]:
    """The plan of a run, a line each. `spent` is what the job has cost so far, in micro-dollars."""
    lines = [
        f"{spec.name}: {difference.new} new, {difference.changed} changed, {difference.unchanged} unchanged, "
        f"{difference.removed} removed"
    ]
    lines += [f"  {kind}: {', '.join(keys)}{' …' if len(keys) == 5 else ''}" for kind, keys in _named(difference)]
    if difference.rebuy:
        lines.append(
            f"  {difference.rebuy} delivered images were bought with other job-wide settings and are kept; "
            "--rebuy buys them again"
        )
    if difference.waiting:
        lines.append(f"  {difference.waiting} failed or parked tasks wait for: {next_command(f'retry {spec.name}')}")
    lines.append(_buy_line(spec, forecast))
    lines += [f"  {count} × {_ask_text(ask)}" for ask, count in sorted(difference.buy.items())]
    if forecast.calls:
        lines.append(_money_line(spec, forecast, spent))
        lines.append(f"{_time_text(spec, forecast)} · {byte_size(forecast.disk)}")
        lines.append(f"into {spec.output}")
    return lines


def plan_fields(spec: JobSpec, difference: Difference, forecast: Forecast, spent: int) -> dict[str, object]:
    """The same for machines; money in dollars as decimal strings, null without a price."""
    return {
        "job": spec.name,
        "route": spec.route,
        "new": difference.new,
        "changed": difference.changed,
        "unchanged": difference.unchanged,
        "removed": difference.removed,
        "rebuy": difference.rebuy,
        "waiting": difference.waiting,
        "delivered": difference.delivered,
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
        "spent_usd": usd_text(spent),
        "expected_seconds": None if forecast.seconds is None else round(forecast.seconds),
        "disk_bytes": round(forecast.disk),
        "output": str(spec.output),
        "examples": difference.examples,
    }


def _named(difference: Difference) -> list[tuple[str, list[str]]]:
    """Which prompts are meant, where that is news: not for a job that is new as a whole."""
    kinds = ("new", "changed", "removed") if difference.unchanged or difference.changed else ("removed",)
    return [(kind, difference.examples[kind]) for kind in kinds if difference.examples.get(kind)]


def _buy_line(spec: JobSpec, forecast: Forecast) -> str:
    if not forecast.calls:
        return "nothing to buy: 0 calls"
    return f"to buy: {counted(forecast.calls, 'image')} from {spec.route}"


def _money_line(spec: JobSpec, forecast: Forecast, spent: int) -> str:
    if forecast.expected is None and forecast.worst is None:
        cost = "cost unknown: this route has no price"
    elif forecast.expected is None:
        cost = f"cost at most {format_usd(forecast.worst or 0)} (it cannot be told beforehand)"
    else:
        worst = f", at worst {format_usd(forecast.worst)}" if forecast.worst is not None else ""
        cost = f"expected {format_usd(forecast.expected)}{_range(forecast)}{worst}"
    before = f" · spent so far {format_usd(spent)}" if spent else ""
    return f"{cost}{before} · {budget_text(spec.limits.budget, forecast, spent)}"


def budget_text(budget: int | None, forecast: Forecast, spent: int) -> str:
    """What the budget means for this run."""
    if budget is None:
        return "no budget"
    left = max(0, budget - spent)
    if forecast.expected is not None and forecast.expected > left:
        return f"budget {format_usd(budget)}: it buys only part of this"
    return f"budget {format_usd(budget)}"


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
    return f" (between {format_usd(forecast.least)} and {format_usd(forecast.most)}, the gateway chooses)"


def _usd(micros: int | None) -> str | None:
    return None if micros is None else usd_text(micros)
