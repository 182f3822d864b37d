"""Every shape in which a paid 200 was seen to come: the right image, or an answer that is kept. Nothing is guessed."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web

from batchgen.contracts.tokens import MainPrice
from batchgen.domain.job import Limits
from batchgen.domain.json_place import Place
from batchgen.domain.model import OutcomeKind
from batchgen.domain.wire import Answer, CallEnd, Fetch, Usage
from batchgen.gateway import exchange
from batchgen.gateway.download import Downloader
from batchgen.gateway.echo import NOTHING_SENT, SENT_BACK, SentRequest
from batchgen.gateway.json_body import encode
from batchgen.gateway.rereading import read_again
from batchgen.policy.classify import classify
from batchgen.simulator.faults import CHAT_SHAPES
from tests.support.gateway import a_call, a_piece, ask, contract
from tests.support.rig import rig, simulator, small_plan
from tests.support.sockets import MemorySink, raw_server, served

PNG = b"\x89PNG\r\n\x1a\n"
RIGHT = PNG + b"the image that was bought \xff\xfe\xfb" * 40
WRONG = PNG + b"a preview, a thumbnail or an input" * 40
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) * 4
WEBP = b"RIFF\xff\xfb\xef\x00WEBPVP8 " + bytes(range(256)) * 4
SENT = PNG + b"what went with the request" * 40
B64, OTHER, BACK = (base64.b64encode(each).decode() for each in (RIGHT, WRONG, SENT))
DATA, OTHER_DATA, BACK_DATA = (f"data:image/png;base64,{each}" for each in (B64, OTHER, BACK))
LINK, OTHER_LINK, SENT_LINK = "{base}/files/right.png", "{base}/files/wrong.png", "https://shop.example/input.png"
USAGE = {"input_tokens": 9, "output_tokens": 4175, "total_tokens": 4184}
DELIVERED, UNREAD, EMPTY, CUT = OutcomeKind.DELIVERED, OutcomeKind.UNREAD, OutcomeKind.EMPTY, OutcomeKind.CUT


def events(*each: object, names: bool = True) -> str:
    """A stream of events; text stands as it is."""
    lines = []
    for event in each:
        if isinstance(event, dict) and names and "type" in event:
            lines.append(f"event: {event['type']}")
        lines.append(f"data: {event if isinstance(event, str) else json.dumps(event)}\n")
    return "\n".join(lines) + "\n"


def partial(index: int = 0, kind: str = "image_generation") -> dict[str, object]:
    return {"type": f"{kind}.partial_image", "b64_json": OTHER, "partial_image_index": index}


def completed(kind: str = "image_generation", **more: object) -> dict[str, object]:
    return {"type": f"{kind}.completed", "b64_json": B64, "usage": USAGE, **more}


def drawn(**more: object) -> dict[str, object]:
    return {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": B64, **more}


def chunk(content: str | None = None, finish: str | None = None, **delta: object) -> dict[str, object]:
    message = ({} if content is None else {"content": content}) | delta
    choice = {"index": 0, "delta": message, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice]}


@dataclass(frozen=True)
class Shape:
    """One body under a 200.

    Attributes:
        body: an object for JSON; `{base}` in it is the server.
        kind: what it is taken for; where delivered, the bytes of `image`.
    """

    body: object
    kind: OutcomeKind = DELIVERED
    endpoint: str = "generations"
    image: bytes = RIGHT
    content_type: str = ""
    picture_at: Place = ()
    usage: int | None = None


AT_A_KNOWN_PLACE = {
    "the page's own": Shape({"created": 1, "data": [{"b64_json": B64}], "usage": USAGE}, usage=4175),
    "an address": Shape({"created": 1, "data": [{"url": LINK}]}),
    "base64 and address of one image": Shape({"data": [{"b64_json": B64, "url": OTHER_LINK}]}),
    "two images": Shape({"data": [{"b64_json": B64}, {"b64_json": OTHER}]}),
    "a list without its object": Shape([{"b64_json": B64}]),
    "data without its list": Shape({"data": {"url": LINK}}),
    "an address as data": Shape({"code": 0, "msg": "success", "data": LINK}),
}
ELSEWHERE = {
    "relative to the root": Shape({"data": [{"url": "/v1/files/right.png"}]}),
    "relative to the call": Shape({"data": [{"url": "files/right.png"}]}),
    "a list of one address": Shape({"data": [{"url": [LINK]}]}),
    "images of addresses": Shape({"images": [{"url": LINK}]}),
    "images, plain": Shape({"images": [LINK]}),
    "image": Shape({"image": LINK}),
    "image as base64": Shape({"image": B64}),
    "image_url as an object": Shape({"image_url": {"url": LINK}}),
    "output": Shape({"id": "r1", "status": "succeeded", "output": [LINK], "urls": {"get": OTHER_LINK}}),
    "result": Shape({"code": 200, "message": "ok", "result": {"imageUrl": LINK}}),
    "results": Shape({"status": "succeeded", "progress": 100, "results": [{"url": LINK, "content": ""}]}),
    "sample": Shape({"status": "Ready", "result": {"sample": LINK, "prompt": "a mug", "seed": 42}}),
    "base64 under another key": Shape({"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": B64}]}),
    "binary_data_base64": Shape({"code": 10000, "data": {"binary_data_base64": [B64]}, "message": "Success"}),
    "parts of a candidate": Shape(
        {"candidates": [{"content": {"parts": [{"text": "Here"}, {"inlineData": {"data": B64}}]}}]}
    ),
    "data URL under another key": Shape({"picture": DATA}),
    "JPEG under another key": Shape({"artifacts": [{"base64": base64.b64encode(JPEG).decode()}]}, image=JPEG),
    "WebP under another key": Shape({"file": {"body": base64.b64encode(WEBP).decode()}}, image=WEBP),
    "12 MB under an unknown key": Shape(
        {"whatever": base64.b64encode(PNG + bytes(9_000_000)).decode()}, image=PNG + bytes(9_000_000)
    ),
    "address under b64_json": Shape({"data": [{"b64_json": LINK}]}),
    "base64 under url": Shape({"data": [{"url": B64}]}),
    "more than one address": Shape({"output": {"images": [{"url": LINK}, {"url": OTHER_LINK}]}}),
    "the same address twice": Shape({"url": LINK, "data": {"image_url": LINK, "output": [LINK]}}),
    "beside its thumbnail": Shape({"image": {"url": LINK, "thumbnail_url": OTHER_LINK}, "preview": OTHER_DATA}),
    "beside the input that was sent": Shape({"input_image": BACK, "echo": BACK_DATA, "image": B64}),
    "beside the address that was sent": Shape({"data": [{"url": SENT_LINK}], "image": {"url": LINK}}),
    "beside a message": Shape({"message": "image generated", "url": LINK}),
    "beside words": Shape({"choices": [{"message": {"content": "Here!", "image_url": LINK}}]}, endpoint="chat"),
    "Markdown at the images endpoint": Shape({"choices": [{"message": {"content": f"![mug]({LINK})"}}]}),
    "Markdown with a title": Shape({"choices": [{"message": {"content": f'![mug]({LINK} "A mug")'}}]}, endpoint="chat"),
    "Markdown with a size": Shape({"choices": [{"message": {"content": f"![]({LINK} =30x20)"}}]}, endpoint="chat"),
    "output image of a response": Shape(
        {"output": [{"type": "message", "content": [{"type": "output_image", "image_url": LINK}]}]},
        endpoint="responses",
    ),
    "chat shape of a response": Shape({"images": [{"image_url": {"url": DATA}}]}, endpoint="responses"),
}
BYTES = {
    "PNG as the body": Shape(RIGHT, content_type="image/png"),
    "PNG that is said to be JSON": Shape(RIGHT, content_type="application/json"),
    "JPEG as a download": Shape(JPEG, image=JPEG, content_type="application/octet-stream"),
    "WebP without a type": Shape(WEBP, image=WEBP),
}
STREAMS = {
    "completed after previews": Shape(events(partial(), partial(1), completed()), usage=4175),
    "completed edit": Shape(events(partial(0, "image_edit"), completed("image_edit")), endpoint="edits", usage=4175),
    "a stream that is said to be JSON": Shape(events(completed()), content_type="application/json"),
    "without names of events": Shape(events(partial(), completed(), "[DONE]", names=False)),
    "with comments and CRLF": Shape((": hello\n\n" + events(completed())).replace("\n", "\r\n")),
    "an address completed": Shape(events({"type": "image_generation.completed", "url": LINK})),
    "a plain document": Shape(events({"created": 1, "data": [{"b64_json": B64}], "usage": USAGE}), usage=4175),
    "progress, then a document": Shape(
        events({"status": "running", "progress": 10}, {"status": "succeeded", "results": [{"url": LINK}]}, "[DONE]")
    ),
    "a response": Shape(
        events(
            {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "output": []}},
            {"type": "response.image_generation_call.partial_image", "partial_image_b64": OTHER},
            {"type": "response.output_item.done", "item": drawn()},
            {
                "type": "response.completed",
                "response": {"status": "completed", "output": [], "tool_usage": {"image_gen": USAGE}},
            },
        ),
        endpoint="responses",
        usage=4175,
    ),
    "a response at the images endpoint": Shape(
        events({"type": "response.completed", "response": {"output": [drawn()], "error": None}})
    ),
    "an item that is done, and no end": Shape(
        events({"type": "response.output_item.done", "item": drawn()}), endpoint="responses"
    ),
    "a chat in pieces": Shape(
        events(
            chunk(role="assistant", content=""), chunk("![mug]"), chunk(f"({DATA})"), chunk(finish="stop"), "[DONE]"
        ),
        endpoint="chat",
    ),
    "a chat with an address in pieces": Shape(
        events(chunk("![mug]("), chunk("{base}/files/"), chunk("right.png)"), chunk(finish="stop")), endpoint="chat"
    ),
    "a chat with images beside its words": Shape(
        events(chunk("Done."), chunk(images=[{"image_url": {"url": DATA}}]), "[DONE]"), endpoint="chat"
    ),
    "cut behind its image": Shape(events(completed())[: -len(json.dumps(USAGE)) - 5]),
    "previews alone": Shape(events(partial(), partial(1)), CUT),
    "previews and an end": Shape(events(partial(), "[DONE]"), CUT),
    "a preview of a response alone": Shape(
        events({"type": "response.image_generation_call.partial_image", "partial_image_b64": OTHER}),
        CUT,
        endpoint="responses",
    ),
    "nothing but comments": Shape(": keep-alive\n\n: keep-alive\n\n", CUT),
    "moderation": Shape(
        events(partial(), {"type": "error", "error": {"code": "moderation_blocked", "message": "rejected"}}),
        OutcomeKind.REFUSED_TEXT,
    ),
    "an error without its object": Shape(
        events({"type": "error", "code": "insufficient_quota", "message": "You exceeded your current quota"}),
        OutcomeKind.QUOTA,
        endpoint="responses",
    ),
    "a limit": Shape(events({"error": {"code": "rate_limit_exceeded", "message": "slow down"}}), OutcomeKind.THROTTLED),
    "a response that failed": Shape(
        events({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "sorry"}}}),
        OutcomeKind.SERVER_ERROR,
        endpoint="responses",
    ),
    "words of a chat": Shape(
        events(chunk("I cannot "), chunk("draw that."), chunk(finish="stop"), "[DONE]"),
        OutcomeKind.REFUSED_TEXT,
        endpoint="chat",
    ),
    "a task": Shape(events({"task_id": "t1", "status": "submitted"}, "[DONE]"), OutcomeKind.ACCEPTED),
}
NOT_PLAIN = {
    "two unlike pictures": Shape({"first": B64, "second": OTHER}, UNREAD),
    "two unlike addresses": Shape({"image_url": OTHER_LINK, "url": LINK}, UNREAD),
    "base64 here and an address there": Shape({"image": B64, "result": {"url": OTHER_LINK}}, UNREAD),
    "address under an unknown key": Shape({"where": LINK}, UNREAD),
    "an address beside words": Shape(
        {"choices": [{"message": {"content": "Hm", "url": OTHER_LINK}}]}, OutcomeKind.REFUSED_TEXT, endpoint="chat"
    ),
    "a page": Shape({"url": "https://gateway.example/pricing.html"}, UNREAD),
    "a thumbnail alone": Shape({"thumbnail": OTHER, "preview_url": OTHER_LINK}, UNREAD),
    "the input alone": Shape({"image": BACK, "echo": {"url": SENT_LINK}}, EMPTY),
    "the input as the result": Shape({"data": [{"b64_json": BACK}, {"url": SENT_LINK}]}, EMPTY),
    "a preview of what is in progress": Shape({"status": "processing", "image": OTHER}, UNREAD),
    "where to ask for it": Shape({"id": "t2", "status": "queued", "url": OTHER_LINK}, OutcomeKind.ACCEPTED),
    "words in no JSON": Shape("upstream is busy", UNREAD, content_type="text/plain"),
    "a page in no JSON": Shape("<html>hello</html>", OutcomeKind.EDGE_ERROR, content_type="text/html"),
    "nothing": Shape({"created": 1, "data": []}, EMPTY),
    "success without anything": Shape({"code": 200, "message": "success", "data": None}, EMPTY),
    "success with something": Shape({"code": 200, "message": "success", "data": {"asset": "a-1"}}, UNREAD),
    "a complaint": Shape({"code": 500, "msg": "broken", "data": None}, OutcomeKind.SERVER_ERROR),
    "a complaint beside help": Shape(
        {"code": 403, "message": "upgrade your plan", "url": "https://gateway.example/upgrade"},
        OutcomeKind.SERVER_ERROR,
    ),
    "an error beside an image": Shape({"error": {"message": "broken"}, "image": OTHER}, OutcomeKind.SERVER_ERROR),
}
TOLD = {
    "one of two addresses": Shape({"a": {"url": OTHER_LINK}, "b": [{"url": LINK}]}, picture_at=("b", 0, "url")),
    "under a key that says preview": Shape({"preview": LINK}, picture_at=("preview",)),
    "base64 of no known kind": Shape(
        {"x": base64.b64encode(b"AVIF" * 99).decode()}, image=b"AVIF" * 99, picture_at=("x",)
    ),
    "a name of a file": Shape({"data": {"file": "files/right.png"}}, picture_at=("data", "file")),
    "a list": Shape({"all": [LINK, OTHER_LINK]}, picture_at=("all",)),
    "in a stream": Shape(events({"deep": {"er": LINK}}), picture_at=("deep", "er")),
    "not there": Shape({"data": [{"url": LINK}]}, picture_at=("images", 0)),
}
SHAPES = AT_A_KNOWN_PLACE | ELSEWHERE | BYTES | STREAMS | NOT_PLAIN


def encoded(shape: Shape, base: str) -> bytes:
    if isinstance(shape.body, bytes):
        return shape.body
    text = shape.body if isinstance(shape.body, str) else json.dumps(shape.body)
    return text.replace("{base}", base).encode()


async def played(shape: Shape, tmp_path: Path) -> tuple[Answer, bytes]:
    """What a shape is read as, and its image: inline, or fetched from its address."""

    async def serve(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.Response(body=RIGHT if request.raw_path == "/v1/files/right.png" else WRONG)
        await request.read()
        stream = "text/event-stream" if isinstance(shape.body, str) else "application/json"
        kind = shape.content_type or ("" if isinstance(shape.body, bytes) else stream)
        return web.Response(body=encoded(shape, base), headers={"Content-Type": kind} if kind else {})

    made: dict[int, MemorySink] = {}
    sent = a_piece(tmp_path / "sent", SENT, base64=True)
    async with served(serve) as base, Downloader() as downloader:
        call = a_call(
            base, b'{"prompt":"a mug","image":["', SENT_LINK.encode(), b'","', sent, b'"]}', endpoint=shape.endpoint
        )
        answer = await ask(replace(call, picture_at=shape.picture_at), made)
        if answer.picture is not None:
            return answer, bytes(next(sink.data for sink in made.values() if sink.name == answer.picture.file))
        if answer.urls:
            sink = MemorySink(99)
            assert (await downloader.fetch(answer.urls[0], sink, loopback_base=base)).fetch is Fetch.DONE
            return answer, bytes(sink.data)
    return answer, b""


@pytest.mark.parametrize("name", SHAPES)
async def test_paid_answer_gives_the_right_image_or_is_kept(name: str, tmp_path: Path) -> None:
    shape = SHAPES[name]
    answer, image = await played(shape, tmp_path)
    assert classify(answer, contract("apiyi/gpt-image-2-vip")).kind is shape.kind
    assert image == (shape.image if shape.kind is DELIVERED else b"")
    assert bool(answer.unread) is (shape.kind in {UNREAD, OutcomeKind.ACCEPTED, OutcomeKind.EDGE_ERROR})
    if shape.usage is not None:
        assert answer.usage is not None
        assert answer.usage.output_tokens == shape.usage


@pytest.mark.parametrize("name", TOLD)
async def test_image_is_where_a_contract_says_that_it_is(name: str, tmp_path: Path) -> None:
    _, image = await played(TOLD[name], tmp_path)
    assert image == TOLD[name].image
    without, other = await played(replace(TOLD[name], picture_at=()), tmp_path)
    assert name == "not there" or (without.unread and not other) or name in {"a list", "a name of a file"}


def held_open(body: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(body), 700):
            piece = body[at : at + 700]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        await reader.read()  # until the client leaves

    return serve


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("generations", events(partial(), completed())),
        ("generations", events({"type": "error", "error": {"message": "broken"}})),
        ("chat", events(chunk(f"![mug]({DATA})"), chunk(finish="stop"), "[DONE]")),
        ("responses", events({"type": "response.completed", "response": {"output": [drawn()]}})),
    ],
)
async def test_stream_whose_connection_stays_open_is_not_waited_for(endpoint: str, body: str) -> None:
    async with raw_server(held_open(body.encode())) as base:
        answer = await asyncio.wait_for(ask(a_call(base, b"{}", endpoint=endpoint, timeout=60.0)), 5)
    assert answer.ending is CallEnd.COMPLETE
    assert (answer.picture is not None) or answer.error is not None


async def test_stream_with_its_image_and_no_end_is_waited_for_a_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_LULL", 0.05)
    body = events({"created": 1, "data": [{"b64_json": B64}]})
    async with raw_server(held_open(body.encode())) as base:
        answer = await asyncio.wait_for(ask(a_call(base, b"{}", endpoint="generations", timeout=60.0)), 5)
    assert answer.ending is CallEnd.COMPLETE
    assert answer.picture is not None


@pytest.mark.parametrize("place", range(40, len(events(partial(), completed())), 97))
async def test_stream_that_is_cut_anywhere_never_gives_a_preview(place: int) -> None:
    body = events(partial(), completed()).encode()[:place]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + body)

    made: dict[int, MemorySink] = {}
    async with raw_server(serve) as base:
        answer = await ask(a_call(base, b"{}", endpoint="generations"), made)
    whole = answer.picture
    if whole is not None:
        assert [bytes(sink.data) for sink in made.values() if sink.name == whole.file] == [RIGHT]
    else:
        assert classify(answer, contract("apiyi/gpt-image-2-vip")).kind is CUT


@pytest.mark.parametrize("place", [1, 7, 11, 12, 500, len(RIGHT) - 1])
async def test_picture_as_the_body_that_is_cut_is_no_image(place: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(RIGHT)
        writer.write(head + RIGHT[:place])

    async with raw_server(serve) as base:
        answer = await ask(a_call(base, b"{}", endpoint="generations"))
    assert (answer.ending, answer.picture) == (CallEnd.CUT, None)
    assert "ended inside" in answer.pictures[0].damage


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("/files/right.png?sig=a%2Fb%2fc+d%20e&x=%E6%9D%AF", "/files/right.png?sig=a%2Fb%2fc+d%20e&x=%E6%9D%AF"),
        ("/a b/c.png?disposition=attachment; filename=d e", "/a%20b/c.png?disposition=attachment;%20filename=d%20e"),
        ("/杯/子.png?name=白杯&sig=a%2Fb", "/%E6%9D%AF/%E5%AD%90.png?name=%E7%99%BD%E6%9D%AF&sig=a%2Fb"),
        ("/x.png?a=[1]|{2}&b='c'&d=%zz", "/x.png?a=[1]|{2}&b='c'&d=%zz"),
        ("/x.png?=&&a==b&#part", "/x.png?=&&a==b&"),
    ],
)
async def test_address_is_asked_for_as_it_was_given(given: str, asked: str) -> None:
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).split()[1].decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(RIGHT), RIGHT))

    async with raw_server(serve) as base, Downloader() as downloader:
        sink = MemorySink(0)
        root = base.removesuffix("/v1")
        assert (await downloader.fetch(root + given, sink, loopback_base=base)).fetch is Fetch.DONE
    assert seen == [asked]


@pytest.mark.parametrize(
    "said",
    ["![a]({})", "Here: ![a](<{}>) and [more](https://x.example/docs)", '![a]({} "title")', "![]({})\n\n[load]({})"],
)
async def test_address_in_words_keeps_its_blanks(said: str, tmp_path: Path) -> None:
    url = "https://cdn.example/杯 1.png?sig=a%2Fb&name=a white mug.png"
    body = {"choices": [{"message": {"content": said.replace("{}", url)}}]}

    async def serve(_request: web.Request) -> web.Response:
        return web.json_response(body)

    async with served(serve) as base:
        assert (await ask(a_call(base, b"{}"))).urls == (url,)


async def test_stream_tells_its_usage_and_what_was_made(tmp_path: Path) -> None:
    answer, _ = await played(Shape(events(partial(), completed(size="1024x1024", quality="low"))), tmp_path)
    assert answer.usage == Usage(9, 4175, 4184)
    assert answer.effective == (("size", "1024x1024"), ("quality", "low"))
    assert len(answer.pictures) == 1


@pytest.mark.parametrize("name", ["one of two addresses", "under a key that says preview", "in a stream"])
async def test_kept_answer_gives_its_address_once_a_contract_says_where(name: str, tmp_path: Path) -> None:
    kept, _ = await played(replace(TOLD[name], picture_at=()), tmp_path)
    call = a_call("https://gateway.example/v1", endpoint=TOLD[name].endpoint)
    assert read_again(kept, call, NOTHING_SENT) == kept
    call = replace(call, picture_at=TOLD[name].picture_at)
    (url,) = read_again(kept, call, NOTHING_SENT).urls
    assert url.endswith("/right.png")
    assert url not in read_again(kept, call, SentRequest(encode(["a mug", url]).encode())).urls


async def test_kept_answer_gives_its_picture_and_never_one_that_was_sent(tmp_path: Path) -> None:
    body = {"echo": BACK, "first": OTHER, "second": B64, "files": "files/right.png"}
    kept, _ = await played(Shape(body), tmp_path)
    assert [each.damage for each in kept.spare] == [SENT_BACK, "", ""]
    call = a_call("https://gateway.example/v1", endpoint="generations")
    assert read_again(kept, replace(call, picture_at=("second",)), NOTHING_SENT).pictures == (kept.spare[2],)
    assert read_again(kept, replace(call, picture_at=("echo",)), NOTHING_SENT) == kept
    again = read_again(kept, replace(call, picture_at=("files",)), NOTHING_SENT)
    assert again.urls == ("https://gateway.example/v1/files/right.png",)


@pytest.mark.parametrize(
    ("route", "endpoint", "options"),
    [
        ("apiyi/gpt-image-2-vip", "images", ()),
        ("openai/gpt-image-2", "images", ()),
        ("openai/gpt-image-2", "responses", ()),
        *(("apiyi/gpt-image-2-vip", "chat", (f"chat={shape}",)) for shape in CHAT_SHAPES if shape != "link"),
    ],
)
async def test_run_over_a_gateway_that_streams_unasked_delivers_and_agrees_with_the_bill(
    route: str, endpoint: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    plan = small_plan(tmp_path, ["a mug", "a lamp"], ["1024x1024" if "openai" in route else "1280x1280"], Limits())
    async with simulator(tmp_path, "p_stream=1", *options, route=route) as found:
        contract = replace(found, endpoint_default=endpoint)
        if endpoint == "responses":
            contract = replace(
                contract, main_model="gpt-5.5", main_price=MainPrice(1_250_000, 10_000_000, "2026-11-21")
            )
        async with rig(tmp_path, contract, plan) as run:
            await run.runner.run()
            assert run.states() == {"completed": 2}
            assert run.query("SELECT flags FROM image") == [("",), ("",)], "no preview"
            ((billed, unknown),) = run.query("SELECT billed, unknown FROM job")
            assert unknown == 0
            assert endpoint == "responses" or billed == sum(line.charged for line in run.bill())
            assert {line.fault for line in run.bill()} == {"stream"}
