"""Every wire fault, in one table."""

from __future__ import annotations

from tests.chaos import (
    wire_bodies,
    wire_connections,
    wire_downloads,
    wire_endpoints,
    wire_field,
    wire_images,
    wire_status,
)
from tests.chaos.wire_case import Case

_TABLES = (wire_status, wire_bodies, wire_images, wire_downloads, wire_connections, wire_endpoints, wire_field)
CASES: list[Case] = [case for table in _TABLES for case in table.CASES]
