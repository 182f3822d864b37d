"""A gateway that says the caller's key wherever it says anything: in bodies, headers, addresses, errors, batches, logs."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

_SIM = re.compile(rb"\[\[echo:([a-z0-9-]+)\]\]")
_ID = re.compile(r'"custom_id"\s*:\s*"([^"]+)"')
_TOKEN = re.compile(r'"batchgen"\s*:\s*"([^"]+)"')


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(side: int = 1280, *more: bytes) -> bytes:
    """A whole grey picture, with further chunks."""
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * side) * side)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(more) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def marked(how: str, key: str) -> bytes:
    """A whole picture that says the key in its metadata, or behind its end."""
    match how:
        case "text":
            return png(1280, chunk(b"tEXt", f"request\0Authorization: Bearer {key}".encode()))
        case "packed":
            return png(1280, chunk(b"zTXt", b"request\0\0" + zlib.compress(f"Authorization: Bearer {key}".encode())))
        case "base64":
            return png(1280, chunk(b"tEXt", b"request\0" + base64.b64encode(f"Bearer {key}".encode())))
        case "utf16":
            return png(1280, chunk(b"eXIf", b"II*\0" + key.encode("utf-16-le")))
        case _:
            return png() + key.encode()


PNG = png()
B64 = base64.b64encode(PNG).decode()


@dataclass
class EchoGateway:
    """What was asked of it, and where it listens."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    stray: list[bytes] = field(default_factory=list)  # what reached the port that redirects lead to
    stray_port: int = 0
    token: str = ""
    picture: str = ""  # of a batch's answer, where it is not the plain one
    says: str = ""  # instead of the key
    limited: bool = False
    key: str = ""  # of the last paid call
    ids: list[str] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def answer(self, method: str, path: str, key: str, body: bytes) -> bytes:
        if path.startswith("/api/log"):
            return framed(self.log(path, key))
        if path.startswith(("/v1/files", "/v1/batches")):
            return self.batch(method, path, key, body)
        if path.startswith("/img"):
            return self.download(path, key)
        return self.call(found[1].decode() if (found := _SIM.search(body)) else "fine", key)

    def call(self, case: str, key: str) -> bytes:
        """One paid answer."""
        self.key = key
        kind, _, how = case.partition("-")
        if kind == "picture":
            return framed({"data": [{"b64_json": base64.b64encode(marked(how, key)).decode()}]})
        if case == "two-pictures":
            return framed({"data": [{"b64_json": base64.b64encode(marked("text", key)).decode()}, {"b64_json": B64}]})
        link = f"http://127.0.0.1:{self.port}/img"
        spelled = {
            "plain": key,
            "bearer": f"Authorization: Bearer {key}",
            "percent": quote(key, safe=""),
            "percent-all": "".join(f"%{ord(char):02x}" for char in key),
            "base64": base64.b64encode(f"Bearer {key}".encode()).decode(),
            "base64url": base64.urlsafe_b64encode(f"x{key}".encode()).decode(),
            "hex": key.encode().hex(),
            "split": "\u200b".join(key),
            "controls": "\x07".join(key),
            "at-the-cut": "." * 195 + key,
            "far": "." * 290 + key + "." * 2000,
            "long": "." * 4090 + key,
        }
        if case in spelled:
            said = {"message": f"bad key {spelled[case]}", "type": spelled[case], "code": key, "param": spelled[case]}
            return framed({"error": said}, status=500)
        escaped = "".join(f"\\u{ord(char):04x}" for char in key)
        match case:
            case "escaped":
                return framed(f'{{"error": {{"message": "{escaped}", "code": "{escaped}"}}}}', status=400)
            case "headers":
                more = "".join(f"{name}: {key}\r\n" for name in ("X-Request-Id", "CF-Ray", "Set-Cookie", "X-Key"))
                return framed({"data": [{"b64_json": B64}]}, more=more)
            case "type":
                return framed("sorry", more=f"Content-Type: text/{key}\r\n")
            case "body":
                return framed(f"<html>{key} {escaped}</html>")
            case "html-502":
                return framed(f"<b>{key}</b>", status=502)
            case "refusal":
                return framed({"choices": [{"message": {"content": f"I cannot with {key}", "refusal": escaped}}]})
            case "revised":
                item = {"b64_json": B64, "revised_prompt": f"a mug {key}", "size": key, "quality": key}
                return framed({"data": [item], "size": key, "quality": key, "background": key})
            case "url" | "url-gone" | "url-redirect" | "url-loop" | "url-marked":
                return framed({"data": [{"url": f"{link}/{case}/{key}.png?sig={quote(key, safe='')}"}]})
            case "stall":
                return framed({"data": [{"url": f"{link}/stall/{key}.png"}], "created": key, "note": key})
            case "not-base64":
                return framed({"data": [{"b64_json": key}]})
            case "cut":
                slashed = key.replace("/", "\\/")
                return framed(f'{{"data": [{{"note": "{key} {slashed}", "b6', length=9999)
            case "cut-key":
                return framed(f'{{"error": {{"message": "{key[:-2]}', length=9999)
            case "status-line":
                return f"HTTP/1.1 {key} {key}\r\n\r\n".encode()
            case "not-http":
                return f"{key}\r\n\r\n".encode()
            case "bad-header":
                return f"HTTP/1.1 200 OK\r\n{key}\r\n\r\n".encode()
            case "bad-chunk":
                return f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{key}\r\n".encode()
            case "reason":
                return f"HTTP/1.1 500 {key}\r\nContent-Length: 0\r\n\r\n".encode()
            case "limited" if not self.limited:
                self.limited = True
                return framed(
                    {"error": {"message": f"try again in 10ms {key}"}}, status=429, more="Retry-After-Ms: 5\r\n"
                )
            case "redirect":
                place = f"http://127.0.0.1:{self.stray_port}/v1/images/generations?key={key}"
                return framed("", status=307, more=f"Location: {place}\r\n")
            case "unauthorized":
                return framed({"error": {"message": f"Incorrect API key provided: {key}"}}, status=401)
            case _:
                return framed({"data": [{"b64_json": B64}]})

    def download(self, path: str, key: str) -> bytes:
        """A download; it comes without a key, which is the point."""
        if "/url-gone/" in path:
            return framed("gone", status=404)
        if "/url-redirect/" in path:
            return framed("", status=302, more="Location: /img/there.png\r\nSet-Cookie: a=b\r\n")
        if "/url-loop/" in path:
            return framed("", status=302, more=f"Location: http://127.0.0.1:{self.stray_port}/x\r\n")
        if "/stall/" in path:
            time.sleep(20)
        return framed(marked("text", self.key) if "/url-marked/" in path else PNG)

    def batch(self, method: str, path: str, key: str, body: bytes) -> bytes:
        """The Batch API: half of the answers are errors, and all of it says the key."""
        text = body.decode("utf-8", "replace")
        if method == "POST" and path.endswith("/files"):
            self.ids = _ID.findall(text)
            return framed({"id": "file-1", "note": key})
        if path.endswith("/content"):
            escaped = "".join(f"\\u{ord(char):04x}" for char in key)
            return framed("\n".join(self._line(each, key, escaped) for each in self.ids) + "\n")
        if method == "POST":
            self.token = _TOKEN.findall(text)[0]
        elif path.endswith("/batches?limit=100"):
            return framed({"data": [], "has_more": False})
        said = {"data": [{"line": 1, "message": f"bad {key}"}, {"line": key, "message": key}]}
        ended = {"output_file_id": "file-2", "status": "completed", "errors": said}
        return framed({"id": "batch-1", "metadata": {"batchgen": self.token}, "created_at": time.time(), **ended})

    def _line(self, name: str, key: str, escaped: str) -> str:
        number = self.ids.index(name)
        if number == 0:
            found = {
                "body": {"data": [{"b64_json": self.picture or B64, "revised_prompt": key}]},
                "status_code": 200,
                "request_id": key,
            }
            return json.dumps({"id": key, "custom_id": name, "response": found})
        if number == 1:
            return f'{{"id": "{key}", "custom_id": "{name}", "error": {{"code": "{key}", "message": "{escaped}"}}}}'
        said = {"error": {"message": f"I cannot with {key}", "code": key}}
        return json.dumps(
            {"id": key, "custom_id": name, "response": {"body": said, "status_code": 400, "request_id": key}}
        )

    def log(self, path: str, key: str) -> object:
        """The log of charges, with the token in every text of a row."""
        if "p=1&" not in path:
            return {"success": True, "data": {"items": [], "total": 3}}
        now = int(time.time())
        row = {"created_at": now, "quota": 15_000, "model_name": "gpt-image-2-vip", "token_name": key, "content": key}
        ids = [{"id": f"row {key}"}, {"request_id": key}, {"id": base64.b64encode(key.encode()).decode()}]
        return {"success": True, "message": key, "data": {"items": [{**row, **each} for each in ids], "total": 3}}


def framed(body: object, *, status: int = 200, more: str = "", length: int | None = None) -> bytes:
    """An HTTP answer that ends its connection."""
    data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    size = len(data) if length is None else length
    head = f"HTTP/1.1 {status} Said\r\nContent-Length: {size}\r\nConnection: close\r\n{more}\r\n"
    return head.encode() + data


def _read(connection: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (piece := connection.recv(1 << 16)):
            return data, b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    while found and len(body) < int(found[1]) and (piece := connection.recv(1 << 16)):
        body += piece
    return head, body


@contextlib.contextmanager
def echoing() -> Iterator[EchoGateway]:
    """A gateway that echoes, and a second port that nobody may come to."""
    made = EchoGateway()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server, socket.create_server(("127.0.0.1", 0)) as stray:
        made.port, made.stray_port = server.getsockname()[1], stray.getsockname()[1]

        def serve(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                head, body = _read(connection)
                if not head:
                    return
                made.heads.append(head)
                line, key = head.split(b"\r\n")[0].decode().split(" "), ""
                if found := re.search(rb"authorization: (?:Bearer )?(\S+)", head, re.IGNORECASE):
                    key = found[1].decode()
                connection.sendall(made.answer(line[0], line[1], made.says or key, body))

        def accept(listening: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    if listening is stray:
                        made.stray.append(connection.recv(1 << 16))
                        connection.close()
                    else:
                        threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threads = [threading.Thread(target=accept, args=(each,), daemon=True) for each in (server, stray)]
        for thread in threads:
            thread.start()
        try:
            yield made
        finally:
            for each in (server, stray):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(5)
