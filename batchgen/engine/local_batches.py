"""The hand's side of a Batch API: files of calls are written and handed in, answers in files are kept one by one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from batchgen.domain.batch_files import AnswerFile, AwaitedAnswer, CallFile
from batchgen.domain.clock import Clock
from batchgen.domain.errors import GatewayError, StoreError
from batchgen.domain.wire import Answer, CallEnd
from batchgen.gateway.batch.api import BatchApi
from batchgen.gateway.batch.lines import BatchAnswer
from batchgen.gateway.scan import Sink
from batchgen.gateway.sending import opened, stream
from batchgen.store.layout import SPOOL
from batchgen.store.spool.sink import SpoolSink
from batchgen.store.spool.spool import Spool


class BatchFiles:
    """Moves the files of one gateway's batches.

    Attributes:
        api: the gateway's Batch API.
    """

    def __init__(self, api: BatchApi, spool: Spool, clock: Clock) -> None:
        self.api = api
        self._spool = spool
        self._clock = clock

    async def upload(self, file: CallFile) -> str:
        """Write a file of calls and hand it in; see `BatchHand.upload_batch`."""
        path = self._spool.output / SPOOL / f"batch-{file.token}.jsonl"
        try:
            async with opened(str(path), "wb") as out:
                for line in file.lines:
                    async with aclosing(stream(line)) as pieces:
                        async for data in pieces:
                            await out.write(data)
            return await self.api.upload(path, path.stat().st_size)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}; free some space and run again") from error
        finally:
            path.unlink(missing_ok=True)

    async def collect(self, file: AnswerFile) -> AsyncGenerator[Answer, None]:
        """Yield the answers of a file as they become durable; see `BatchHand.collect_batch`."""
        awaited, sinks = {each.custom_id: each for each in file.awaited}, list[SpoolSink]()

        def sink(custom_id: str, index: int) -> SpoolSink | None:
            call = awaited.get(custom_id)
            if call is None:
                return None
            sinks.append(self._spool.sink(call.attempt, index))
            return sinks[-1]

        try:
            async with aclosing(self._lines(file.id, sink)) as lines:
                async for line in lines:
                    if (call := awaited.pop(line.custom_id, None)) is not None:
                        yield await self._keep(file, call, line, sinks)
        finally:
            self._spool.discard(sinks)

    async def _lines(self, file: str, sink: Callable[[str, int], Sink | None]) -> AsyncGenerator[BatchAnswer, None]:
        """Yield the lines of a file as they end.

        Raises:
            GatewayError: it is no such file, or ends within a line.
        """
        lines, taken, seen = self.api.lines(sink), 0, 0
        async with aclosing(self.api.content(file)) as content:
            async for data in content:
                taken += len(data)
                for line in await lines.feed(data):
                    seen += 1
                    yield line
        last = await lines.finish()
        if last is None and taken and not seen:
            raise GatewayError("what came in place of the batch's answers is no such file", passing=True)
        if last is not None and last.answer.ending is CallEnd.CUT:  # the rest can be had for nothing
            raise GatewayError("the batch's answers broke off within a line", passing=True)
        if last is not None:
            yield last

    async def _keep(self, file: AnswerFile, call: AwaitedAnswer, line: BatchAnswer, sinks: list[SpoolSink]) -> Answer:
        """Make one answer durable; its sinks are no longer among those to discard."""
        mine = [sink for sink in sinks if sink.attempt == call.attempt]
        sinks[:] = [sink for sink in sinks if sink.attempt != call.attempt]
        answer = replace(
            line.answer,
            attempt=call.attempt,
            sent_at=file.handed_in,
            total=max(0.0, self._clock.now() - file.handed_in),
            request_ids=(("batch", file.batch), *line.answer.request_ids),
            origin=call.origin,
        )
        answer = self.api.clean(answer)
        await self._spool.finish_whatever_comes(answer, mine)
        return answer
