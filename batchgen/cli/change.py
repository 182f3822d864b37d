"""Changing what a job still wants. These commands take the ledger as a runner does."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.cli.common import (
    check_only,
    db_option,
    echo,
    job_name,
    json_option,
    ledger_path,
    next_command,
    only_option,
    print_json,
    rehearse_option,
    run_command,
    say,
)
from batchgen.domain.errors import UsageError
from batchgen.domain.lifecycle import TaskState
from batchgen.domain.money import about_usd, usd_text
from batchgen.domain.text import counted

if TYPE_CHECKING:
    from batchgen.domain.job import Ask
    from batchgen.ledger.reader import Reader
    from batchgen.ledger.records import JobRow, TaskRow


@click.command()
@click.argument("job")
@db_option
@rehearse_option
@json_option
@click.option("--failed", is_flag=True, help="What failed.")
@click.option("--parked", is_flag=True, help="What was parked: lost answers, expired addresses.")
@click.option("--cancelled", is_flag=True, help="What was cancelled.")
@click.option("--gone", is_flag=True, help="What was delivered, and whose file is gone or of another size.")
@only_option
@click.option("--batch", metavar="ID", help="What is in this batch, which is waited for no longer.")
def retry(
    job: str,
    db: Path | None,
    rehearse: bool,
    as_json: bool,
    failed: bool,
    parked: bool,
    cancelled: bool,
    gone: bool,
    only: tuple[str, ...],
    batch: str | None,
) -> None:
    """Make tasks of JOB available again, with fresh allowances, and say what that may cost. `run` then buys them.

    Without --failed, --parked or --cancelled: what failed and what is parked. A batch that is given up may be paid
    already, and is booked so. With --gone the images are bought again as new revisions; a file that is put back before
    that serves instead.
    """
    from batchgen.domain.clock import SystemClock
    from batchgen.ledger.ledger import Ledger
    from batchgen.ledger.reader import Reader

    if gone and (failed or parked or cancelled):
        raise UsageError("--gone is about images that were delivered; give it without --failed, --parked, --cancelled")
    if batch is not None:
        if failed or parked or cancelled or gone or only:
            raise UsageError("--batch stands for all that is in it; give it alone")
        _give_up(job, ledger_path(db, rehearse=rehearse), batch, as_json=as_json)
        return
    states = _states(failed=failed, parked=parked, cancelled=cancelled)
    path, keys = ledger_path(db, rehearse=rehearse), frozenset(only) or None
    with Reader(path) as reader:
        row = reader.job(job_name(job))
        check_only(reader, row, only)
        chosen = _gone(reader, row, keys) if gone else list(reader.tasks(row.id, states=states, keys=keys))
        worst = _worst_cost(row, chosen)
    with Ledger.open(path, SystemClock()) as ledger:
        if gone:
            count = ledger.buy_anew(row.id, (task.id for task in chosen))
        else:
            count = sum(ledger.requeue(row.id, states, keys).values())
    if as_json:
        print_json({"job": row.name, "available_again": count, "worst_usd": None if worst is None else usd_text(worst)})
    elif not count:
        echo(f"{row.name}: nothing to retry")
    else:
        cost = "an unknown amount" if worst is None else f"up to {about_usd(worst)}"
        again, them = ("1 task is", "it") if count == 1 else (f"{count} tasks are", "them")
        echo(f"{row.name}: {again} available again; buying {them} may cost {cost}")
        say("next: " + run_command(row.manifest))


def _gone(reader: Reader, row: JobRow, keys: frozenset[str] | None) -> list[TaskRow]:
    """The delivered tasks whose files are not there as they were bought.

    Raises:
        UsageError: the output folder itself is not there, so its drive may not be, either.
    """
    from batchgen.report.missing_images import absent

    if not row.output.is_dir():
        raise UsageError(
            f"{row.output} is not there; if it is on another drive, mount that, else make the folder first"
        )
    missing = {image.task for image in absent(reader.path, row)}
    return [task for task in reader.tasks(row.id, states={TaskState.COMPLETED}, keys=keys) if task.id in missing]


def _give_up(job: str, path: Path, batch: str, *, as_json: bool) -> None:
    """Wait for a batch no longer."""
    from batchgen.domain.clock import SystemClock
    from batchgen.ledger.ledger import Ledger
    from batchgen.ledger.reader import Reader
    from batchgen.store.spool.leftovers import answered

    with Reader(path) as reader:
        row = reader.job(job_name(job))
    with Ledger.open(path, SystemClock()) as ledger:
        done = ledger.write_off(row.id, batch, answered(row.output))
    if as_json:
        found = {"available_again": done.calls, "unknown_usd": usd_text(done.unknown), "kept": done.kept}
        print_json({"job": row.name, "batch": batch, **found})
        return
    paid = f"maybe paid, {about_usd(done.unknown)} at most" if done.unknown else "free"
    echo(f"{row.name}: batch {batch} is given up; {counted(done.calls, 'call')}: {paid}")
    if done.kept:
        echo(f"{counted(done.kept, 'answer')} of it are on disk, and are not bought again")
    again = "image is" if done.calls == 1 else "images are"
    say(f"the {again} bought again by: " + run_command(row.manifest))


def _states(*, failed: bool, parked: bool, cancelled: bool) -> set[TaskState]:
    wanted = {TaskState.FAILED: failed, TaskState.PARKED: parked, TaskState.CANCELLED: cancelled}
    return {state for state, yes in wanted.items() if yes} or {TaskState.FAILED, TaskState.PARKED}


def _worst_cost(row: JobRow, tasks: list[TaskRow]) -> int | None:
    """What buying these tasks may cost at most over all routes of the manifest, in micro-dollars; None without it.

    Routes and prices are the manifest's own, so nobody can tell where it is gone or has problems.
    """
    from batchgen.app.manifests import manifest_of
    from batchgen.cli.plan_text import forecast_of
    from batchgen.domain.errors import ManifestError
    from batchgen.domain.job import Difference, Texts

    try:
        manifest = manifest_of(row)
    except ManifestError as error:
        say(f"{row.manifest} has problems ({error.problems[0]}), so nobody can tell what its routes cost")
        return None
    if manifest is None:
        return None
    texts: defaultdict[Ask, Texts] = defaultdict(Texts)
    for task in tasks:
        length = len(task.text.encode())
        texts[task.ask] += Texts(length, length)
    buy = Counter(task.ask for task in tasks)  # downgrades start anew
    return forecast_of(manifest, manifest.job, Difference(buy=dict(buy), texts=dict(texts))).worst


@click.command()
@click.argument("job")
@db_option
@rehearse_option
@json_option
@only_option
def cancel(job: str, db: Path | None, rehearse: bool, as_json: bool, only: tuple[str, ...]) -> None:
    """Stop wanting what JOB has not delivered yet. Images, attempts and money stay as they are."""
    from batchgen.domain.clock import SystemClock
    from batchgen.ledger.ledger import Ledger
    from batchgen.ledger.reader import Reader

    path = ledger_path(db, rehearse=rehearse)
    with Reader(path) as reader:
        row = reader.job(job_name(job))
        check_only(reader, row, only)
    with Ledger.open(path, SystemClock()) as ledger:
        count = ledger.cancel(row.id, frozenset(only) or None)
    if as_json:
        print_json({"job": row.name, "cancelled": count})
    else:
        again = next_command(f"retry {row.name} --cancelled")
        echo(f"{row.name}: {counted(count, 'task')} cancelled; to want them again: {again}")
