"""`batchgen plan`: what a run would buy, cost and take, found without writing anything."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click

from batchgen.app.manifests import known_routes
from batchgen.cli.common import (
    REBUY_ALL,
    RebuyCommand,
    db_option,
    echo,
    json_option,
    ledger_choice,
    ledger_path,
    print_json,
    rebuy_option,
    rehearse_option,
    say,
    told_now_and_then,
)


@click.command(cls=RebuyCommand)
@click.argument("manifest", type=click.Path(path_type=Path))
@db_option
@rehearse_option
@json_option
@rebuy_option
def plan(manifest: Path, db: Path | None, rehearse: bool, as_json: bool, rebuy: str | None) -> None:
    """Compare MANIFEST with the ledger: new, changed, unchanged, removed; calls, cost, time, disk. Writes nothing."""
    from batchgen.app.input_check import look_where_changed
    from batchgen.app.lazy_plan import LazyPlan
    from batchgen.app.ledger_check import check_ledger
    from batchgen.app.looking import intact_below
    from batchgen.app.rehearsal import output_folder
    from batchgen.cli.absent import absent_fields, absent_lines, absent_of
    from batchgen.cli.plan_text import forecast_of, plan_fields, plan_lines
    from batchgen.cli.session import recorded
    from batchgen.cli.walls import monthly_by_environment, rooms_of, walls_of
    from batchgen.domain.clock import SystemClock
    from batchgen.ledger.diff import compare
    from batchgen.manifest.load import load_manifest
    from batchgen.store.inputs.input_store import InputStore

    monthly_by_environment()  # what is wrong with it is said before anything
    loaded = load_manifest(manifest, known_routes())
    for warning in loaded.warnings:
        say(f"{warning} (warning)")
    spec = replace(loaded.job, output=output_folder(loaded.job.name)) if rehearse else loaded.job
    path = ledger_path(db, rehearse=rehearse)
    check_ledger(ledger_choice(), spec)
    wanted, again = LazyPlan(loaded, spec), rebuy == REBUY_ALL
    with closing(InputStore.of(spec)) as store:
        asyncio.run(look_where_changed(wanted, path, store, None, rebuy=again, looking=told_now_and_then))
    difference = compare(path, wanted, intact_below(spec.output, told_now_and_then), rebuy=again)
    for warning in wanted.warnings:
        say(f"{warning} (warning)")
    outlook = forecast_of(loaded, spec, difference)
    before = recorded(path, spec.name)
    rooms = rooms_of(path, spec.name, walls_of(path, spec.limits), SystemClock().now())
    gone = absent_of(path, before, spec.output)
    if as_json:
        print_json(plan_fields(spec, difference, outlook, before, rooms) | absent_fields(gone))
        return
    echo(*plan_lines(loaded, spec, difference, outlook, before, rooms), *absent_lines(gone, spec.name, spec.output))
