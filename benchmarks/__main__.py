"""Measures, and writes what it found into `docs/performance.md`.

    python -m benchmarks [FIGURE ...] [--rounds 5] [--share 0.1] [--scratch FOLDER] [--write]

Rounds are interleaved and each run is a fresh process. `--share` takes so much of the images, to try it out; `--write`
puts the tables into the page. Figures about many small files want `--scratch` on a memory file system such as /dev/shm.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

from benchmarks.figures import FIGURES, Bench
from benchmarks.running import Table, gateway

_PAGE = Path(__file__).parent.parent / "docs" / "performance.md"


def write(table: Table) -> None:
    """Put a table where the page has its place."""
    text = _PAGE.read_text(encoding="utf-8")
    mark = f"<!-- figure: {table.name} -->"
    new, count = re.subn(
        rf"{mark}\n.*?<!-- end -->", lambda _found: f"{mark}\n{table.text()}<!-- end -->", text, flags=re.DOTALL
    )
    if count != 1:
        raise SystemExit(f"{_PAGE} has no place for the figure {table.name}")
    _PAGE.write_text(new, encoding="utf-8")


def main() -> None:
    """Take the figures that are asked for, and print them."""
    names = [figure.__name__ for figure in FIGURES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", choices=[*names, []], metavar="FIGURE", help=", ".join(names))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    with gateway() as served:
        bench = Bench(served, asked.rounds, asked.share, asked.scratch.absolute())
        for figure in FIGURES:
            if not asked.figures or figure.__name__ in asked.figures:
                print(f"{figure.__name__}: {figure.__doc__}", flush=True)
                table = figure(bench)
                print(f"\n{table.text()}", flush=True)
                if asked.write:
                    write(table)


if __name__ == "__main__":
    main()
