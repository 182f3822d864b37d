"""How a batch goes on by itself: checked, worked on line by line, put together; also after the simulator was killed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from batchgen.domain.clock import sleep_or
from batchgen.simulator.batch.lines import at_batch_price, check, numbered, unfinished, work_on
from batchgen.simulator.batch.store import BatchStore, StoredBatch
from batchgen.simulator.bill import Bill
from batchgen.simulator.state import ServedRoute, SimulatorState

WINDOW = 86_400  # seconds until a batch expires
_CHECKED, _WORKED = 0.02, 0.95  # shares of a batch's time after which it is checked, and its lines are done


class BatchWorker:
    """Works on the batches of one simulator."""

    def __init__(self, state: SimulatorState, routes: Mapping[str, ServedRoute], store: BatchStore) -> None:
        self.store = store
        self._state = state
        self._routes = {name: at_batch_price(route) for name, route in routes.items()}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cancelled: dict[str, asyncio.Event] = {}

    def resume(self) -> None:
        """Go on with what an earlier simulator left."""
        open_ones = [each for each in self.store.newest_first() if not each.over and each.route in self._routes]
        if not open_ones:
            return
        billed = {line.request_id for line in Bill.lines(self._state.bill.path) if line.batch}
        for stored in reversed(open_ones):
            stored.recover(billed)
            self.start(stored)

    def start(self, stored: StoredBatch) -> None:
        """Work on a batch in the background."""
        cancelled = self._cancelled[stored.id] = asyncio.Event()
        if stored.facts["status"] == "cancelling":
            cancelled.set()
        self._tasks[stored.id] = asyncio.create_task(self._run(stored, cancelled))

    def cancel(self, stored: StoredBatch) -> None:
        """Do no further line of a batch."""
        stored.save(status="cancelling", cancelling_at=self._now())
        if stored.id in self._cancelled:
            self._cancelled[stored.id].set()

    async def close(self) -> None:
        """Stop at once; what is not done is done after the next start."""
        for task in self._tasks.values():
            task.cancel()
        for task in self._tasks.values():
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self, stored: StoredBatch, cancelled: asyncio.Event) -> None:
        if stored.facts["status"] == "validating" and not await self._check(stored, cancelled):
            return
        ended = await self._work(stored, cancelled)
        if ended == "completed":
            stored.save(status="finalizing", finalizing_at=self._now())
            await self._until(stored, 1.0, cancelled)
        await asyncio.to_thread(self._put_together, stored, ended)

    async def _check(self, stored: StoredBatch, cancelled: asyncio.Event) -> bool:
        """Read the batch's file; say whether it can be worked on."""
        await self._until(stored, _CHECKED, cancelled)
        path = self._state.files.path(stored.facts["input_file_id"])
        if path is None:
            gone = {"code": "file_not_found", "message": "The input file is gone.", "param": None, "line": None}
            self._fail(stored, [gone])
            return False
        checked = await asyncio.to_thread(check, path, stored.facts["endpoint"])
        if checked.problems:
            self._fail(stored, checked.problems)
            return False
        counts = {"total": checked.total, "completed": 0, "failed": 0}
        status = "cancelling" if cancelled.is_set() else "in_progress"
        stored.save(status=status, in_progress_at=self._now(), request_counts=counts)
        return True

    def _fail(self, stored: StoredBatch, problems: list[dict[str, Any]]) -> None:
        stored.save(status="failed", failed_at=self._now(), errors={"object": "list", "data": problems})

    async def _work(self, stored: StoredBatch, cancelled: asyncio.Event) -> str:
        """Do the lines that are not done, and return the status the batch ends with."""
        route = self._routes[stored.route]
        path = self._state.files.path(stored.facts["input_file_id"])
        done = {finished.custom_id for finished in stored.finished_lines}
        total = stored.facts["request_counts"]["total"]
        lines = numbered(path) if path is not None else iter(())
        for position, (_, line) in enumerate(lines, 1):
            share = _CHECKED + (_WORKED - _CHECKED) * position / total
            if json.loads(line)["custom_id"] in done:
                continue
            if self._state.options.of(stored.route).batch_seconds * share > WINDOW:
                return "expired"
            await self._until(stored, share, cancelled)
            if cancelled.is_set():
                return "cancelled"
            await work_on(self._state, route, stored, line)
        return "cancelled" if cancelled.is_set() else "completed"

    def _put_together(self, stored: StoredBatch, ended: str) -> None:
        """Make the files of good and of failed lines, and end the batch. Blocking."""
        facts: dict[str, Any] = {}
        life = (stored.facts.get("output_expires_after") or {}).get("seconds")
        for failed, name in ((False, "output"), (True, "error")):
            draft = self._state.files.draft()
            with draft.open("wb") as target:
                stored.write_records(target, self._state.options.seed, failed=failed)
                if failed and ended == "expired":
                    target.writelines(self._left(stored))
            if draft.stat().st_size:
                kept = self._state.files.adopt(draft, f"{stored.id}_{name}.jsonl", "batch_output", life)
                facts[f"{name}_file_id"] = kept["id"]
            else:
                draft.unlink()
        taken = sum(finished.taken for finished in stored.finished_lines)
        made = sum(finished.made for finished in stored.finished_lines)
        facts["usage"] = {
            "input_tokens": taken,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": made,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": taken + made,
        }
        stored.save(status=ended, **{f"{ended}_at": self._now()}, **facts)
        stored.clear()

    def _left(self, stored: StoredBatch) -> list[bytes]:
        """Write the lines of the requests that were not done."""
        done = {finished.custom_id for finished in stored.finished_lines}
        path = self._state.files.path(stored.facts["input_file_id"])
        names = [json.loads(line)["custom_id"] for _, line in numbered(path)] if path is not None else []
        return [unfinished(name) for name in names if name not in done]

    async def _until(self, stored: StoredBatch, share: float, cancelled: asyncio.Event) -> None:
        """Wait until a share of the batch's time is over, or it is cancelled."""
        options, clock = self._state.options.of(stored.route), self._state.clock
        length = min(share * options.batch_seconds, WINDOW) / options.speed
        wait = min(stored.facts["created_at"] + length - clock.now(), length)  # whatever became of the clock
        if cancelled.is_set() or wait < 0.0005:
            await asyncio.sleep(0)
            return
        await sleep_or(clock, wait, cancelled)

    def _now(self) -> int:
        return int(self._state.clock.now())
