"""`batchgen routes`: the routes and their contracts."""

from __future__ import annotations

import click

from batchgen.app.known_routes import known_routes
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.cli.options import json_option, ledger_options
from batchgen.cli.output import echo, print_json, table
from batchgen.contracts.contract import Contract
from batchgen.domain.clock import SystemClock
from batchgen.report.contract_fields import contract_fields, price_text, sizes_text
from batchgen.report.quota_text import learned_lines


@click.command()
@click.argument("route", required=False)
@ledger_options
@json_option
def routes(route: str | None, ledger: LedgerChoice, as_json: bool) -> None:
    """List the routes, or show the contract of ROUTE: what it takes, returns and charges, and as of when."""
    catalog = known_routes()
    if route is not None:
        contract = catalog.find(route)
        fields = contract_fields(contract)
        if learned := learned_lines(ledger.path, contract.model, SystemClock().now()):
            fields["learned"] = learned if as_json else "; ".join(learned)
        if as_json:
            print_json(fields)
        else:
            width = max(map(len, fields))
            echo(*(f"{name.ljust(width)}  {value}" for name, value in fields.items()))
        return
    contracts = [catalog.find(name) for name in catalog.routes()]
    if as_json:
        print_json([contract_fields(contract) for contract in contracts])
    else:
        echo(*table([_row(contract) for contract in contracts]))


def _keys_text(contract: Contract) -> str:
    if not contract.keys:
        return "no key"
    return f"key{'s' if len(contract.keys) > 1 else ''} in {', '.join(contract.keys)}"


def _row(contract: Contract) -> tuple[str, ...]:
    return contract.route, price_text(contract), sizes_text(contract), _keys_text(contract)
