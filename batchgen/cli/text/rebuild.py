"""What a rebuild entered in words."""

from __future__ import annotations

import shlex

from batchgen.app.rebuild import RebuildTarget
from batchgen.domain.text import counted, one_line
from batchgen.engine.salvage import Salvaged

_NAMED = 20  # of what cannot be entered


def rebuild_lines(target: RebuildTarget, found: Salvaged, *, dry_run: bool) -> list[str]:
    """Say what was entered, what was not, and what to type next."""
    would = "would be entered" if dry_run else "entered"
    known = f", {found.known} the ledger has already" if found.known else ""
    lines = [f"{target.name}: {counted(found.images, 'image')} {would}{known}"]
    if found.answers:
        lines.append(f"{counted(found.answers, 'whole answer')}: the next run finishes them without a call")
    if found.doubtful:
        lines.append(f"{counted(found.doubtful, 'answer')} of tasks that went on: booked as maybe paid")
    if found.halves:
        lines.append(f"{counted(found.halves, 'call')} without a whole answer, of which nobody can tell the task")
    for name, count in sorted(found.others.items()):
        again = target.ledger.command(f"rebuild {shlex.quote(one_line(name))} --from {shlex.quote(str(target.output))}")
        lines.append(f"{count} of another job, {one_line(name)}: {again}")
    if found.faults:
        many = len(found.faults) + found.unnamed
        lines.append(f"{many} cannot be entered:")
        lines += [f"  {one_line(what)}: {one_line(why)}" for what, why in list(found.faults.items())[:_NAMED]]
        if many > _NAMED:
            lines.append(f"  and {many - _NAMED} more; --json names the first {len(found.faults)}")
    lines.append("calls that brought no image are not told by a folder: `batchgen reconcile` finds what they cost")
    return lines
