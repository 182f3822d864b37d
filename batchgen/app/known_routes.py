"""The routes that this process knows."""

from __future__ import annotations

import os
from pathlib import Path

from batchgen.contracts.catalog import Catalog, load_catalog


def known_routes() -> Catalog:
    """Read the built-in contracts, and a user's own in the file or folder that BATCHGEN_CONTRACTS names.

    Raises:
        ContractError: one of them is wrong.
    """
    own = os.environ.get("BATCHGEN_CONTRACTS", "").strip()
    return load_catalog(Path(own) if own else None)
