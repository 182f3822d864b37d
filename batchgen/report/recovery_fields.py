"""What a machine is told of kept answers that were read again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from batchgen.engine.recover_kept import KeptFate, Reread
from batchgen.store.layout import kept_receipt


def recovery_fields(job: str, answers: Sequence[Reread], *, dry_run: bool) -> dict[str, object]:
    """Give what became of each, or would, and how many of each kind there are."""
    fates = Counter(answer.fate for answer in answers)
    return {
        "job": job,
        "dry_run": dry_run,
        "delivered": fates[KeptFate.DELIVERED],
        "filed": fates[KeptFate.FILED],
        "unread": fates[KeptFate.UNREAD],
        "damaged": fates[KeptFate.DAMAGED],
        "unfetched": fates[KeptFate.UNFETCHED],
        "answers": [
            {
                "attempt": answer.attempt,
                "task": answer.task,
                "fate": str(answer.fate),
                "detail": answer.detail,
                "kept": kept_receipt(answer.attempt),
            }
            for answer in answers
        ],
    }
