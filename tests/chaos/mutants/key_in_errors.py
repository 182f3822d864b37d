"""What the gateway says is kept as it came, and it said the key."""

from __future__ import annotations

from batchgen.domain import text

CHECKS = ("tests/integration/test_client.py::test_client_never_repeats_a_key_when_the_gateway_echoes_it",)


def apply() -> None:
    """Break the build."""
    text.without = lambda secret, text: text
