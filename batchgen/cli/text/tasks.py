"""A task in words: a line of a list, or all that is known of it."""

from __future__ import annotations

from batchgen.domain.clock import stamp
from batchgen.domain.money import format_usd
from batchgen.domain.text import one_line
from batchgen.ledger.records import AttemptRow, TaskRow


def task_line(task: TaskRow) -> str:
    """Say which task it is, where it stands, what it has cost, and its image or the reason."""
    what = " · ".join(filter(None, (task.image.path if task.image else "", task.reason[:100])))
    flags = f" [{', '.join(task.flags)}]" if task.flags else ""
    gone = "" if task.wanted else " (removed)"
    return (
        f"{task.key}/{task.size}/{task.sample}  {task.state}{gone}  {format_usd(task.billed)}  {what}{flags}".rstrip()
    )


def task_lines(task: TaskRow) -> list[str]:
    """Say what `show` says of a task, without its attempts."""
    lines = [task_line(task), f"  job {task.job_name}, task {task.id}, revision {task.revision}"]
    lines.append(f"  text: {one_line(task.text)}")
    if task.inputs.references:
        lines.append("  references: " + ", ".join(one_line(each.place) for each in task.inputs.references))
    if task.inputs.mask:
        lines.append(f"  mask: {one_line(task.inputs.mask.place)}")
    if task.reason:
        lines.append(f"  reason: {task.reason}")
    if task.image:
        size = f"{task.image.width}x{task.image.height}"
        lines.append(f"  image: {task.image.path} {size} sha256 {task.image.sha256}")
    return lines


def attempt_lines(call: AttemptRow) -> list[str]:
    """Say what an attempt asked, how it ended and what it cost."""
    money = {"billed": format_usd(call.billed), "void": "free", "unknown": f"maybe {format_usd(call.at_most)}"}
    head = (
        f"  attempt {call.id} ({call.revision}.{call.number}) {stamp(call.reserved_at)}  "
        f"{call.outcome or 'under way'}  {money.get(str(call.charge), 'reserved')}  {call.total:.1f} s"
    )
    lines = [head, f"    {call.route}, {call.endpoint}, asked {call.size_asked}" + _sent(call)]
    if call.request_ids:
        lines.append("    " + ", ".join(f"{name}: {value}" for name, value in call.request_ids))
    if call.detail:
        lines.append(f"    {call.detail}")
    if call.settled_note:
        lines.append(f"    settled by {call.settled_note}")
    return lines


def _sent(call: AttemptRow) -> str:
    return f", sent {call.size_sent}" if call.size_sent != call.size_asked else ""
