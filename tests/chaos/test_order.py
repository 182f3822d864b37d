"""The order of writes, seen and not believed: each step is on disk before what depends on it.

Under strace, for every attempt: its reservation is written to the ledger's log, the log is synced, only then goes the
first byte of its request to the socket. Every file is synced before it gets its name, and the folder of that name after
it: the receipt's before the ledger books the answer, the image's before the ledger says that it is there. The stand-in
sees the same from inside the process, where the ledger's own sync is taken from its settings.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.promises import promise
from tests.chaos.site import Site
from tests.chaos.traced import hooked, need_strace, tracing
from tests.support.shop import Shop, gateway

TASKS = 8
LIMITS = "concurrency: 3, budget: 10.00"
CALLS = "write,writev,pwrite64,pwritev,fsync,fdatasync,rename,renameat,renameat2,link,linkat,sendto,sendmsg"
SYNCS = {"fsync", "fdatasync"}
NAMING = {"renameat", "renameat2", "linkat"}
_LINE = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$")
_NAMES = re.compile(r'^\d+<([^>]*)>, "([^"]*)", \d+<([^>]*)>, "([^"]*)"')


@dataclass(frozen=True)
class Step:
    """One system call that succeeded: where it began and ended in the trace, and all it said."""

    call: str
    begun: int
    ended: int
    text: str

    @property
    def file(self) -> str:
        """What its first descriptor is."""
        found = re.match(r"\d+<([^>]*)>", self.text)
        return found[1] if found else ""


@dataclass(frozen=True)
class Asked:
    """What the ledger says of an attempt that brought an image."""

    prompt: str
    request_hash: str
    request_id: str
    attempt: int
    sha256: str
    path: str


def read_trace(log: Path) -> list[Step]:
    """The calls of all threads, put together again where another thread came between."""
    steps: list[Step] = []
    waiting: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(log.read_text(encoding="latin-1").splitlines()):
        found = _LINE.match(line)
        if found is None:
            continue
        thread, resumed, name, rest = found.groups()
        begun, text = waiting.pop(thread) if resumed else (number, "")
        text += rest
        if text.endswith("<unfinished ...>"):
            waiting[thread] = begun, text.removesuffix("<unfinished ...>")
        elif not re.search(r"= -1 E\w+ ", text):
            steps.append(Step(resumed or name, begun, number, text))
    return sorted(steps, key=lambda step: step.begun)


def asked_of(site: Site) -> list[Asked]:
    rows = site.query(
        "SELECT prompt.text, request_hash, request_ids, attempt.id, image.sha256, image.path FROM attempt "
        "JOIN task ON task.id = attempt.task_id JOIN prompt ON prompt.id = task.prompt_id "
        "JOIN image ON image.attempt_id = attempt.id"
    )
    return [Asked(text, known, json.loads(ids)[0][1], *rest) for text, known, ids, *rest in rows]


def first(steps: list[Step], calls: set[str], on: str, text: str) -> Step:
    return next(step for step in steps if step.call in calls and on in step.file and text in step.text)


def synced(steps: list[Step], file: str, after: int, before: int) -> bool:
    """Whether a file was synced by a call that began after one moment and ended before another."""
    return any(
        step.call in SYNCS and step.file == file and after < step.begun and step.ended < before for step in steps
    )


def check_reserved_before_sent(steps: list[Step], asked: Asked) -> None:
    written = first(steps, {"pwrite64"}, "db-wal", asked.request_hash)
    sent = first(steps, {"sendto", "sendmsg", "write", "writev"}, "TCP:", asked.prompt + '\\"')
    assert written.ended < sent.begun, f"{asked.prompt}: sent before its reservation was written"
    assert synced(steps, written.file, written.ended, sent.begun), f"{asked.prompt}: sent before the ledger was synced"


def check_named(steps: list[Step], step: Step, dependent: int) -> None:
    """A rename or link: the file synced since its last write, its folder synced before what depends on the name."""
    found = _NAMES.match(step.text)
    assert found is not None, step.text
    source, folder = f"{found[1]}/{found[2]}", found[3]
    writes = [
        other.ended for other in steps if other.file == source and other.call not in SYNCS and other.begun < step.begun
    ]
    assert synced(steps, source, max(writes, default=-1), step.begun), f"{source} was named before it was synced"
    assert synced(steps, folder, step.ended, dependent), f"{folder} was not synced after {found[4]} was put there"


def test_every_step_is_on_disk_before_the_next(tmp_path: Path) -> None:
    need_strace("the order is seen from inside the process only")
    with gateway(Shop(tmp_path), "latency=0.05") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        site.tracer = tracing(site.folder / "trace", CALLS, "-yy", "-s", "100000")
        site.run("run", "job.yaml")
        site.tracer = []
        steps, attempts = read_trace(site.folder / "trace"), asked_of(site)
        assert len(attempts) == TASKS
        checked = set()
        for asked in attempts:
            check_reserved_before_sent(steps, asked)
            receipt = first(steps, NAMING, ".batchgen", f'"{asked.attempt}.json"')
            check_named(steps, receipt, first(steps, {"pwrite64"}, "db-wal", asked.request_id).begun)
            named = first(steps, NAMING, ".batchgen", f'/{Path(asked.path).parent}>, "{Path(asked.path).name}"')
            check_named(steps, named, first(steps, {"pwrite64"}, "db-wal", asked.sha256).begun)
            checked |= {receipt.begun, named.begun}
        others = [step for step in steps if step.call in NAMING and step.begun not in checked]
        for step in others:
            check_named(steps, step, len(steps) * 1000)
        site.check()
    promise(2, f"{TASKS} of {TASKS} reservations synced before the first byte on the socket, by the system calls")
    promise(9, f"{len(checked) + len(others)} files synced before their name, the folder after it, before the ledger")


def test_the_same_order_seen_from_inside(tmp_path: Path) -> None:
    with gateway(Shop(tmp_path), "latency=0.05") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        trace = site.folder / "trace.jsonl"
        site.environment = hooked(f"trace:{trace}")
        site.run("run", "job.yaml")
        site.environment = {}
        steps = [json.loads(line) for line in trace.read_text(encoding="utf-8").splitlines()]
        attempts = asked_of(site)
        for asked in attempts:
            sent = next(
                n for n, step in enumerate(steps) if step["call"] == "send" and f'{asked.prompt}"' in step["data"]
            )
            commits = [
                step for step in steps[:sent] if step["call"] == "commit" and asked.request_hash in step["reserved"]
            ]
            assert commits, f"{asked.prompt} was sent before its reservation was committed"
            assert commits[0]["synchronous"] == 2, "the ledger does not sync its commits"
        named = [n for n, step in enumerate(steps) if step["call"] in {"replace", "rename", "link"}]
        assert len(named) >= 2 * TASKS
        for n in named:
            source = steps[n]["file"]
            assert any(s["call"] == "fsync" and Path(s["file"]).name == source for s in steps[:n]), f"{source} unsynced"
            assert any(s["call"] == "fsync" and not Path(s["file"]).suffix for s in steps[n:]), "no folder synced"
        site.check()
    promise(2, f"{len(attempts)} of {TASKS} reservations committed before the first byte, seen from inside")
