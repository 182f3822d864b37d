"""A run in words: whether it goes on, how it ended, what it did."""

from __future__ import annotations

import socket

from batchgen.domain.clock import local_text
from batchgen.domain.money import format_usd
from batchgen.domain.text import counted, duration, one_line
from batchgen.ledger.runs import OutageRow, RunRow, Runs, RunState


def run_text(run: RunRow, now: float) -> str:
    """Say whether a run goes on, died or ended, when and why, and what it did.

    Times are local. Of a run that died nobody knows when: what is known is its last call.
    """
    began, host = local_text(run.started_at, now), _elsewhere(run)
    match run.state:
        case RunState.RUNNING:
            told = f"running since {began} (pid {run.pid}{host}, {duration(max(0.0, now - run.started_at))})"
        case RunState.DIED:
            last = local_text(run.seen_at, now)
            told = f"died at {last} or later (pid {run.pid}{host}, running since {began})"
        case RunState.ENDED:
            told = f"ended {local_text(run.ended_at or 0.0, now)}{host}: {end_text(run)}"
    return f"{told}: {_did(run)}"


def end_text(run: RunRow) -> str:
    """Say why a run ended, and its exit code."""
    return f"{one_line(run.reason) or 'nothing was left to buy'}, exit {run.exit_code}"


def runs_lines(runs: Runs, now: float) -> list[str]:
    """List the last runs, newest first, and what those before them come to."""
    lines = [line for run in runs.last for line in (f"  {_span(run, now)}", *outage_lines(run, now))]
    if runs.earlier:
        money = _money(runs.billed, runs.unknown)
        did = f"{counted(runs.calls, 'call')}, {counted(runs.delivered, 'image')}, {money}"
        lines.append(f"  {counted(runs.earlier, 'run')} before: {did}")
    return ["", "runs", *lines] if lines else []


def outage_lines(run: RunRow, now: float) -> list[str]:
    """List the times at which gateways were down that a run waited for; of one that goes on, what is down now."""
    going = run.state is RunState.RUNNING
    return [f"    {_outage_text(each, now, going=going)}" for each in run.outages]


def _outage_text(outage: OutageRow, now: float, *, going: bool) -> str:
    what = f"{one_line(outage.route)} for {outage.tier}" if outage.tier else one_line(outage.route)
    began = local_text(outage.began_at, now)
    why = f"{outage.tasks} tasks failed one after the other ({one_line(outage.reason, 160)})"
    if outage.ended_at is None:
        when = f"is down since {began}" if going else f"was down from {began} to the end of the run"
    else:
        took = duration(max(0.0, outage.ended_at - outage.began_at))
        end = "" if outage.back else ", then waited for no longer"
        when = f"was down from {began} to {local_text(outage.ended_at, now)} ({took}{end})"
    return f"{what} {when}: {why}"


def _span(run: RunRow, now: float) -> str:
    if run.ended_at is None:
        return run_text(run, now)
    took = duration(max(0.0, run.ended_at - run.started_at))
    began, ended = local_text(run.started_at, now), local_text(run.ended_at, now)
    return f"{began} to {ended} ({took}){_elsewhere(run)}: {end_text(run)}: {_did(run)}"


def _elsewhere(run: RunRow) -> str:
    """Say on which machine it was made, where that is another."""
    return "" if run.host == socket.gethostname() else f" on {one_line(run.host)}"


def _did(run: RunRow) -> str:
    held = f" + {format_usd(run.reserved)} under way" if run.reserved else ""
    money = _money(run.billed, run.unknown) + held
    return f"{counted(run.calls, 'call')}, {counted(run.delivered, 'image')}, {money}"


def _money(billed: int, unknown: int) -> str:
    return format_usd(billed) + (f" + maybe {format_usd(unknown)}" if unknown else "")
