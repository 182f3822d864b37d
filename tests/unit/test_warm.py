"""A warm command is a process like a cold one: own streams, folder, environment, exit code and end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.site import Site
from tests.chaos.traced import hooked
from tests.support import warm
from tests.support.shop import Shop, gateway

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="commands start cold elsewhere")

COMMANDS = [
    (("--version",), 0),
    (("schema",), 0),
    (("check", "job.yaml"), 0),
    (("check", "missing.yaml"), 2),
    (("run", "job.yaml"), 2),  # a question that nobody is there to answer
    (("status", "nope"), 2),
]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path, base_url="http://127.0.0.1:9/v1")
    shop.catalog(200)
    shop.manifest('prompts: [{from: products.csv, id: "{{ sku }}", text: "A {{ name }}"}]\nsizes: ["1:1@1K"]\n')
    return shop


def cold(shop: Shop, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        shop.command(*words),
        cwd=shop.folder,
        env=shop.env(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize(
    ("words", "code"), COMMANDS, ids=lambda given: " ".join(given) if given.__class__ is tuple else ""
)
def test_warm_command_says_what_a_cold_one_says(shop: Shop, words: tuple[str, ...], code: int) -> None:
    expected = cold(shop, *words)
    done = shop.run(*words, code=code)
    assert (done.returncode, done.stdout, done.stderr) == (expected.returncode, expected.stdout, expected.stderr)
    assert done.stdout or done.stderr


def test_warm_process_is_a_child_with_nothing_of_its_neighbours(shop: Shop) -> None:
    before = os.umask(0o027)
    try:
        process = shop.popen("simulate", "apiyi/gpt-image-2-vip", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    finally:
        os.umask(before)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"http://127.0.0.1:")
        proc = Path("/proc") / str(process.pid)
        assert f"\nPPid:\t{os.getpid()}\n" in (proc / "status").read_text()
        assert (proc / "cwd").readlink() == shop.folder
        assert "\nUmask:\t0027\n" in (proc / "status").read_text()
        assert (proc / "limits").read_text() == Path("/proc/self/limits").read_text()
        assert not sockets(process.pid) & sockets(os.getpid())
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    finally:
        process.kill()
        process.communicate()


def test_warm_process_heeds_the_signals_and_has_the_cores_of_a_cold_one(shop: Shop) -> None:
    heeded = []
    words = ("simulate", "apiyi/gpt-image-2-vip")
    for start in (
        shop.popen,
        lambda *words, **streams: subprocess.Popen(shop.command(*words), cwd=shop.folder, **streams),
    ):
        process = start(*words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert process.stdout.readline().startswith(b"http://127.0.0.1:")
            status = (Path("/proc") / str(process.pid) / "status").read_text()
            found = re.findall(r"(Sig(?:Blk|Ign|Cgt)):\t[0-9a-f]{8}([0-9a-f]{8})\n", status)  # the rest is glibc's
            heeded.append([*found, ("cores", str(os.sched_getaffinity(process.pid)))])
        finally:
            process.kill()
            process.communicate()
    assert heeded[0] == heeded[1] != []


def sockets(pid: int) -> set[str]:
    held = {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()}
    return {name for name in held if name.startswith("socket:")}


def test_environment_that_is_read_at_the_start_makes_a_cold_start(shop: Shop) -> None:
    assert warm.possible(shop.env())
    for name in ("PYTHONPATH", "PYTHONUTF8", "LC_ALL", "TZ"):
        assert not warm.possible({**shop.env(), name: "1"})


def test_limit_or_ignored_signal_of_the_test_makes_a_cold_start(shop: Shop) -> None:
    import resource  # noqa: PLC0415 - not on Windows, where this file is skipped

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert warm.possible(shop.env())
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert not warm.possible(shop.env())
    finally:
        signal.signal(signal.SIGHUP, before)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    try:
        assert not warm.possible(shop.env())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert warm.possible(shop.env())


def test_what_is_to_be_done_first_is_done_in_the_process_itself(shop: Shop) -> None:
    """As after an `exec`: limits and powers are the command's own, and not those of its neighbours."""
    first = [("tests.chaos.child", "give_up", what) for what in ("nofile=77", "powers")]
    process = warm.popen(
        ["simulate", "apiyi/gpt-image-2-vip"],
        shop.folder,
        shop.env(),
        first=first,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"http://127.0.0.1:")
        proc = Path("/proc") / str(process.pid)
        assert re.search(r"Max open files +77 +77 ", (proc / "limits").read_text())
        assert "\nCapEff:\t0000000000000000\n" in (proc / "status").read_text()
    finally:
        process.kill()
        process.communicate()


def test_hook_is_put_into_a_warm_process_as_into_a_cold_one_and_their_ledgers_are_alike(tmp_path: Path) -> None:
    told, made = [], []
    with gateway(Shop(tmp_path)) as shop:
        for prefix in ([], ["env"]):
            site = Site.of(shop, f"site{len(prefix)}", 1)
            trace = site.folder / "trace"
            site.environment, site.prefix = hooked(f"trace:{trace}"), prefix
            site.run("run", "job.yaml")
            told.append([json.loads(line)["call"] for line in trace.read_text().splitlines()])
            made.append(site.query("SELECT type, name, sql FROM sqlite_master ORDER BY rowid"))
            made[-1] += site.query("SELECT * FROM alembic_version")
    before = [set(calls[: calls.index("send")]) for calls in told]  # how often each is made, threads decide
    assert "commit" in before[0]
    assert before[0] == before[1]
    assert made[0] == made[1]
