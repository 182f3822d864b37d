"""What `pip install batchgen` gives: a wheel that makes and upgrades its ledger with no repository around."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_wheel_brings_its_migrations_and_makes_a_ledger_by_itself(tmp_path: Path) -> None:
    build = "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("batchgen-*.whl")
    place = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "import batchgen; assert batchgen.__path__[0].startswith(sys.argv[1]), batchgen.__path__;"
        "from pathlib import Path; from batchgen.cli.main import cli;"
        "from batchgen.domain.clock import SystemClock; from batchgen.ledger.ledger import Ledger;"
        "from batchgen.ledger.connect import writing_engine; from batchgen.ledger import migrate;"
        "Ledger.open(Path('new/ledger.db'), SystemClock()).close();"
        "migrate.to_head(writing_engine(Path('new/migrated.db'), 5.0).connect());"
        "cli.main(['init', 'shop'], standalone_mode=False);"
        "cli.main(['check', 'shop/first.yaml'], standalone_mode=False);"
        "cli.main(['status', '--db', 'new/ledger.db'], standalone_mode=False);"
        "cli.main(['status', '--db', 'new/migrated.db'], standalone_mode=False)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(place)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("no jobs yet") == 2
    assert "shop/first.yaml: ok" in done.stdout
