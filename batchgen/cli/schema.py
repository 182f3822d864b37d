"""`batchgen schema`: the JSON Schema of manifests."""

from __future__ import annotations

import click

from batchgen.cli.output import print_json
from batchgen.manifest.document.schema import schema as manifest_schema


@click.command()
def schema() -> None:
    """Print the JSON Schema of manifests, for editors."""
    print_json(manifest_schema())
