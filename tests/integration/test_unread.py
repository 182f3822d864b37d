"""What a paid answer without an image leaves to be read later: told apart from one that holds nothing."""

from __future__ import annotations

import base64
import pickle
from pathlib import Path

import pytest
from aiohttp import web

from batchgen.domain.wire import Answer
from batchgen.gateway.unread import MOST
from batchgen.store.spool.spool import SPOOL
from tests.support.gateway import ATTEMPT, a_call, a_piece, a_spool, ask, ask_into
from tests.support.sockets import served

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
DATA = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
CHAT = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-image-2"}


async def answered(body: object, *, status: int = 200, endpoint: str = "generations", sent: bytes = b"{}") -> Answer:
    async def serve(_request: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    async with served(serve) as base:
        return await ask(a_call(base, sent, endpoint=endpoint))


@pytest.mark.parametrize(
    "body",
    [
        {"drawn": [{"where": "somewhere else"}]},
        [{"where": "somewhere else"}],
        {"data": {"assets": ["asset-1"]}},
        {**CHAT, "choices": [{"index": 0, "message": {"role": "assistant", "content": "", "files": ["file-1"]}}]},
    ],
)
async def test_answer_with_something_in_it_keeps_its_text(body: object) -> None:
    answer = await answered(body)
    assert (answer.pictures, answer.urls) == ((), ())
    assert "somewhere else" in answer.unread or "asset-1" in answer.unread or "file-1" in answer.unread


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("generations", {"created": 1, "data": []}),
        ("generations", {"created": 1, "data": [{"b64_json": "", "url": None, "revised_prompt": "a mug"}]}),
        ("generations", {"data": [{}], "size": "1024x1024", "usage": {"service": "fast", "input_tokens": 1}}),
        ("generations", {"request": {"prompt": "a white mug"}, "data": []}),
        ("chat", {**CHAT, "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}}]}),
        ("chat", {**CHAT, "choices": [{"message": {"content": "I cannot draw that", "note": "x"}}]}),
        ("responses", {"id": "resp_1", "status": "completed", "output": [{"type": "image_generation_call"}]}),
        ("generations", {"error": {"message": "rate limited"}, "where": "somewhere"}),
    ],
)
async def test_answer_with_nothing_in_it_or_mere_words_or_an_error_leaves_nothing(endpoint: str, body: object) -> None:
    answer = await answered(body, endpoint=endpoint, sent=b'{"prompt":"a white mug"}')
    assert (answer.unread, answer.spare, answer.task) == ("", (), "")


async def test_text_of_an_error_status_is_not_kept() -> None:
    assert (await answered({"where": "somewhere"}, status=400)).unread == ""


async def test_long_text_is_kept_up_to_a_bound() -> None:
    answer = await answered({"where": "x" * MOST})
    assert len(answer.unread) == MOST


@pytest.mark.parametrize(
    ("body", "status", "task"),
    [
        ({"code": 200, "data": [{"status": "submitted", "task_id": "task_7"}]}, 200, "task_7"),
        ({"id": "img-1", "object": "image.task", "status": "queued", "progress": 0}, 202, "img-1"),
        ({"id": "img-2", "status": "IN_PROGRESS"}, 200, "img-2"),
        ({"output": {"task_id": "0385", "task_status": "PENDING"}, "request_id": "r-1"}, 200, "0385"),
        ({"request_id": "r-2", "data": {"taskId": 17}}, 200, "17"),
        ({"id": "img-3"}, 202, "img-3"),
        ({"id": "img-4", "status": "in-progress", "urls": {"get": "poll"}}, 200, "img-4"),
        ({"id": "img-5", "status": "succeeded", "where": "x"}, 200, ""),
        ({"task_id": "task_8", "status": "failed", "where": "x"}, 200, ""),
        ({"id": "img-6", "where": "x"}, 200, ""),
    ],
)
async def test_number_of_a_task_is_told(body: object, status: int, task: str) -> None:
    answer = await answered(body, status=status)
    assert answer.task == task
    assert answer.unread


async def test_task_of_an_answer_with_its_image_is_nothing_to_wait_for() -> None:
    answer = await answered({"task_id": "task_9", "data": [{"b64_json": DATA}]})
    assert (answer.task, answer.unread, len(answer.pictures)) == ("", "", 1)


async def test_picture_at_a_place_nobody_knows_stays_with_the_words_that_came_with_it(tmp_path: Path) -> None:
    sent = a_piece(tmp_path / "ref", PNG + b"other", base64=True)
    echo = f"data:image/png;base64,{base64.b64encode(PNG + b'other').decode()}"
    body = {"choices": [{"message": {"content": "Here it is"}}], "request": echo, "one": {"where": DATA}, "two": DATA}

    async def serve(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response(body)

    with a_spool(tmp_path) as spool:
        async with served(serve) as base:
            answer, _ = await ask_into(spool, a_call(base, b'{"', sent, b'"}'))
        assert answer.text == "Here it is"
        assert '"data:#1"' in answer.unread
        assert (spool.output / SPOOL / answer.spare[1].file).read_bytes() == PNG
        assert spool.read_receipt(ATTEMPT) == answer == pickle.loads(pickle.dumps(answer))
