"""The question about money, asked and answered at a real terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.shop import Shop

CTRL_C = b"\x03"
PROMPTS = """
prompts: [{from: products.csv, id: "{{ sku }}", text: "Photo of {{ name }}"}]
sizes: ["1:1@1K"]
"""


class Terminal:
    """A process as a person has it in front of them: what it says, and keys to press."""

    def __init__(self, process: subprocess.Popen[bytes], end: int) -> None:
        self._process = process
        self._end = end
        self.said = ""

    def read_until(self, words: str) -> None:
        """Until it has said that."""
        while words not in self.said:
            try:
                chunk = os.read(self._end, 4096)
            except OSError:  # Linux: the other side of the terminal is closed
                chunk = b""
            if not chunk:
                raise AssertionError(f"it never said {words!r}: {self.said}")
            self.said += chunk.decode()

    def read_question(self) -> None:
        """Until it has asked and waits for keys: what is pressed in between is not heard, but no person is so quick."""
        self.read_until("Go on? [y/N]: ")
        while self._state() != "S":
            pass

    def press(self, keys: bytes) -> None:
        os.write(self._end, keys)

    def _state(self) -> str:
        """What the system says of its main thread: `S` while that waits for something."""
        linux = Path(f"/proc/{self._process.pid}/stat")
        if linux.exists():
            return linux.read_text().rpartition(") ")[2][:1]
        told = subprocess.run(["ps", "-o", "state=", "-p", str(self._process.pid)], stdout=subprocess.PIPE, check=False)
        return told.stdout.decode().strip()[:1]

    def code(self) -> int:
        """The exit code, once it has ended by itself."""
        return self._process.wait(30)


@contextmanager
def terminal(shop: Shop, *words: str) -> Iterator[Terminal]:
    """A command on a terminal of its own, where Ctrl-C is a signal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        shop.command(*words),
        cwd=shop.folder,
        env=shop.env(),
        preexec_fn=partial(os.login_tty, theirs),  # noqa: PLW1509 - no thread runs here, and nothing else sends Ctrl-C
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path, base_url="http://127.0.0.1:9/v1")  # nobody is there: nothing is to be called
    shop.catalog(200)
    shop.manifest(PROMPTS)
    return shop


def test_one_ctrl_c_at_the_question_ends_the_run_and_nothing_is_recorded(shop: Shop) -> None:
    with terminal(shop, "run", "job.yaml") as person:
        person.read_question()
        person.press(CTRL_C)
        person.read_until("interrupted")
        person.press(b"y\n")  # too late: nobody asks any more
        assert person.code() == 130, person.said
    assert shop.query("SELECT count(*) FROM job") == [(0,)]


def test_no_is_heard_and_nothing_is_recorded(shop: Shop) -> None:
    with terminal(shop, "run", "job.yaml") as person:
        person.read_question()
        person.press(b"n\n")
        assert person.code() == 2
        person.read_until("nothing was bought")
    assert shop.query("SELECT count(*) FROM job") == [(0,)]
