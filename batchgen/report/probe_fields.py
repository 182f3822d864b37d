"""What a probe has learnt, as a production checklist records it of a route."""

from __future__ import annotations

from dataclasses import asdict

from batchgen.contracts.tokens import NoPrice
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import OutcomeKind
from batchgen.domain.money import usd_text
from batchgen.ledger.records import AttemptRow
from batchgen.report.contract_fields import price_text
from batchgen.report.probes import Probe

_FAILURES = (
    OutcomeKind.REJECTED,
    OutcomeKind.REFUSED,
    OutcomeKind.REFUSED_TEXT,
    OutcomeKind.SERVER_ERROR,
    OutcomeKind.TIMED_OUT,
)


def probe_fields(probe: Probe) -> dict[str, object]:
    """Give all that a production checklist records of a route, by name; null for what nobody said."""
    contract, attempt = probe.contract, probe.attempt
    image = probe.task.image if probe.task is not None else None
    said = dict(attempt.effective) if attempt is not None else {}
    price = contract.price
    return {
        "route": contract.route,
        "model": contract.model,
        "endpoint": attempt.endpoint if attempt is not None else contract.endpoint.name,
        "base_url": contract.base_url,
        "key": contract.key_env,
        "key_fingerprint": probe.fingerprint,
        "contract_checked": contract.checked,
        "price": price_text(contract),
        "price_dated": None if isinstance(price, NoPrice) else price.dated,
        "billing_unit": attempt.billing_unit if attempt is not None else None,
        "price_basis": attempt.price_basis if attempt is not None else None,
        "failures_by_contract": {str(kind): str(contract.charges[kind]) for kind in _FAILURES},
        "delivered": image is not None,
        "outcome": attempt.outcome if attempt is not None else None,
        "status": attempt.status or None if attempt is not None else None,
        "detail": attempt.detail if attempt is not None else "no call was made",
        "charge": None if attempt is None else str(attempt.charge),
        "billed_usd": _billed(attempt),
        "at_most_usd": None if attempt is None else usd_text(attempt.at_most),
        "request_ids": dict(attempt.request_ids) if attempt is not None else {},
        "support": _support(probe),
        "log": contract.log.path or None,
        "size_asked": str(probe.size),
        "size_said": said.get("size"),
        "size_measured": f"{image.width}x{image.height}" if image is not None else None,
        "quality_asked": probe.spec.parameters.quality,
        "quality_said": said.get("quality"),
        "format": image.format if image is not None else None,
        "outputs": attempt.outputs if attempt is not None else 0,
        "reply": _reply(attempt),
        "first_byte_seconds": round(attempt.first_byte, 2) if attempt is not None else None,
        "total_seconds": round(attempt.total, 2) if attempt is not None else None,
        "usage": _usage(attempt),
        "file": str(probe.spec.output / image.path) if image is not None else None,
        "bytes": image.bytes if image is not None else None,
        "sha256": image.sha256 if image is not None else None,
        "job": probe.spec.name,
        "id": probe.key,
    }


def _billed(attempt: AttemptRow | None) -> str | None:
    if attempt is None or attempt.charge is not Charge.BILLED:
        return None if attempt is None or attempt.charge is not Charge.VOID else usd_text(0)
    return usd_text(attempt.billed)


def _support(probe: Probe) -> str:
    """Whom to ask about the call, and by what."""
    ids = probe.attempt.request_ids if probe.attempt is not None else ()
    by = f"{ids[0][0]}: {ids[0][1]}" if ids else "time, model and amount; no request id came"
    return f"{probe.contract.provider}, by {by}"


def _reply(attempt: AttemptRow | None) -> str | None:
    if attempt is None or not attempt.outputs:
        return None
    return "address" if attempt.url else "inline"


def _usage(attempt: AttemptRow | None) -> dict[str, int] | None:
    if attempt is None or attempt.usage is None:
        return None
    return {name: count for name, count in asdict(attempt.usage).items() if count is not None}
