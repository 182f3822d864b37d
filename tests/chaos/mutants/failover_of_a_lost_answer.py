"""An answer that was lost, and may be paid, is bought over the next route at once."""

from __future__ import annotations

from batchgen.domain.model import Claim, Outcome
from batchgen.policy import decide as policy
from batchgen.policy.backoff import Uniform
from batchgen.policy.classify import LOST_KINDS

CHECKS = ("tests/chaos/test_policy_histories.py", "tests/unit/test_decide.py")

_real = policy.decide


def _decide(
    outcome: Outcome,
    claim: Claim,
    rules: policy.Rules,
    uniform: Uniform,
    routes: policy.NextRoutes = policy.NOWHERE,
    *,
    proven: bool = False,
) -> policy.Decision:
    if outcome.kind in LOST_KINDS and routes.fallback:
        return policy.Failover(routes.fallback, outcome.detail)
    return _real(outcome, claim, rules, uniform, routes, proven=proven)


def apply() -> None:
    """Break the build."""
    policy.decide = _decide
