"""`batchgen retry`: buying once more what failed, is parked, was cancelled or whose files are gone."""

from __future__ import annotations

import click

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.manifests import manifest_of
from batchgen.app.retrying import chosen_tasks, give_up_batch, make_available, worst_cost
from batchgen.cli.options import cause_option, json_option, ledger_options, only_option
from batchgen.cli.output import echo, print_json, say
from batchgen.domain.errors import ManifestError, UsageError
from batchgen.domain.lifecycle import TaskState
from batchgen.domain.money import about_usd, usd_text
from batchgen.domain.text import counted
from batchgen.ledger.records import JobRow, TaskRow


@click.command()
@click.argument("job")
@ledger_options
@json_option
@click.option("--failed", is_flag=True, help="What failed.")
@click.option("--parked", is_flag=True, help="What was parked: lost answers, expired addresses.")
@click.option("--cancelled", is_flag=True, help="What was cancelled.")
@click.option("--gone", is_flag=True, help="What was delivered, and whose file is gone or of another size.")
@only_option
@cause_option
@click.option("--batch", metavar="ID", help="What is in this batch, which is waited for no longer.")
def retry(
    job: str,
    ledger: LedgerChoice,
    as_json: bool,
    failed: bool,
    parked: bool,
    cancelled: bool,
    gone: bool,
    only: tuple[str, ...],
    cause: str | None,
    batch: str | None,
) -> None:
    """Make tasks of JOB available again, with fresh allowances, and say what that may cost. `run` then buys them.

    Without --failed, --parked or --cancelled: what failed and what is parked. A batch that is given up may be paid
    already, and is booked so. With --gone the images are bought again as new revisions; a file that is put back before
    that serves instead.
    """
    if gone and (failed or parked or cancelled or cause is not None):
        others = "--failed, --parked, --cancelled, --cause"
        raise UsageError(f"--gone is about images that were delivered; give it without {others}")
    if batch is not None:
        if failed or parked or cancelled or gone or only or cause is not None:
            raise UsageError("--batch stands for all that is in it; give it alone")
        _give_up(job, ledger, batch, as_json=as_json)
        return
    states = None if gone else _states(failed=failed, parked=parked, cancelled=cancelled)
    choice = chosen_tasks(job, ledger, frozenset(only), states, cause)
    row = choice.job
    worst = _worst_cost(row, choice.tasks)
    count = make_available(choice, ledger.path, frozenset(only), states, cause)
    skipped = f", {choice.skipped} skipped" if choice.skipped else ""
    if as_json:
        money = None if worst is None else usd_text(worst)
        print_json({"job": row.name, "available_again": count, "skipped": choice.skipped, "worst_usd": money})
    elif not count:
        echo(f"{row.name}: nothing to retry{skipped}")
    else:
        cost = "an unknown amount" if worst is None else f"up to {about_usd(worst)}"
        again, them = ("1 task is", "it") if count == 1 else (f"{count} tasks are", "them")
        echo(f"{row.name}: {again} available again{skipped}; buying {them} may cost {cost}")
        say("next: " + ledger.run_command(row.manifest))


def _give_up(job: str, ledger: LedgerChoice, batch: str, *, as_json: bool) -> None:
    row, done = give_up_batch(job, ledger.path, batch)
    if as_json:
        found = {"available_again": done.calls, "unknown_usd": usd_text(done.unknown), "kept": done.kept}
        print_json({"job": row.name, "batch": batch, **found})
        return
    paid = f"maybe paid, {about_usd(done.unknown)} at most" if done.unknown else "free"
    echo(f"{row.name}: batch {batch} is given up; {counted(done.calls, 'call')}: {paid}")
    if done.kept:
        echo(f"{counted(done.kept, 'answer')} of it are on disk, and are not bought again")
    again = "image is" if done.calls == 1 else "images are"
    say(f"the {again} bought again by: " + ledger.run_command(row.manifest))


def _states(*, failed: bool, parked: bool, cancelled: bool) -> set[TaskState]:
    wanted = {TaskState.FAILED: failed, TaskState.PARKED: parked, TaskState.CANCELLED: cancelled}
    return {state for state, yes in wanted.items() if yes} or {TaskState.FAILED, TaskState.PARKED}


def _worst_cost(row: JobRow, tasks: list[TaskRow]) -> int | None:
    """Give what they may cost at most; None where the manifest, which knows the prices, is gone or has problems."""
    try:
        manifest = manifest_of(row)
    except ManifestError as error:
        say(f"{row.manifest} has problems ({error.problems[0]}), so nobody can tell what its routes cost")
        return None
    return None if manifest is None else worst_cost(manifest, tasks)
