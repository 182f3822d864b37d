"""What became of kept answers in words."""

from __future__ import annotations

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.recovering import KeptRecovery
from batchgen.domain.text import counted, one_line
from batchgen.engine.recover_kept import KeptFate
from batchgen.store.layout import kept_receipt

_NAMED = 20
_SAID = {
    KeptFate.DELIVERED: "{} of their tasks now",
    KeptFate.FILED: "{} filed as unused: their tasks have another one, or ask something else",
    KeptFate.DAMAGED: "{} not whole",
    KeptFate.UNFETCHED: "{} could not be fetched now; the same again tries on",
    KeptFate.UNREAD: "{} still not read",
}


def recovery_lines(found: KeptRecovery, ledger: LedgerChoice) -> list[str]:
    """Say what was read, what was not and why, and what to type next."""
    name, answers = found.row.name, found.answers
    if not answers:
        return [f"{name}: no answer is kept"]
    head = f"{name}: {counted(len(answers), 'kept answer')}"
    if found.dry_run:
        readable = found.count(KeptFate.DELIVERED)
        lines = [f"{head}; {counted(readable, 'image')} would be recovered"]
    else:
        lines = [f"{head}: " + "; ".join(_counts(found))]
    lines += [
        f"  {one_line(each.task)}: {one_line(each.detail)} ({kept_receipt(each.attempt)})"
        if each.fate not in {KeptFate.DELIVERED, KeptFate.FILED} or found.dry_run
        else f"  {one_line(each.task)}: {one_line(each.detail)}"
        for each in answers[:_NAMED]
    ]
    if len(answers) > _NAMED:
        lines.append(f"  and {len(answers) - _NAMED} more; --json names them all")
    if found.count(KeptFate.UNREAD):
        lines.append(
            "where a picture stands that is not found: `picture_at:` under `route` in the manifest, then the same again"
        )
    if found.dry_run and found.count(KeptFate.DELIVERED):
        lines.append("next: " + ledger.command(f"recover {name}"))
    return lines


def _counts(found: KeptRecovery) -> list[str]:
    return [said.format(counted(many, "image")) for fate, said in _SAID.items() if (many := found.count(fate))]
