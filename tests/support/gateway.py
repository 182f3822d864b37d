"""What tests of the wire share: claims, input images, and a reply read as the client reads it."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from batchgen.contracts.catalog import load_catalog
from batchgen.contracts.contract import Contract
from batchgen.domain.clock import SystemClock
from batchgen.domain.job import Parameters
from batchgen.domain.model import Claim
from batchgen.domain.size import Size
from batchgen.domain.wire import Answer, Call, FilePiece, Prepared, PreparedInputs
from batchgen.gateway.client import Client
from batchgen.gateway.echo import NOTHING_SENT, SentRequest
from batchgen.gateway.endpoints import codec_for
from batchgen.gateway.endpoints.codec import Reply
from batchgen.gateway.picture_start import key_pattern
from batchgen.gateway.reading import read_text
from batchgen.gateway.scan import Scanner
from batchgen.store.spool.spool import SPOOL, Spool, SpoolSink
from tests.support.sockets import MemorySink

NO_INPUTS = PreparedInputs()
ATTEMPT = 7
SQUARE = Size(2048, 2048)


def contract(route: str, endpoint: str = "") -> Contract:
    """A contract as shipped, with another endpoint of its own where one is named."""
    found = load_catalog(None).find(route)
    return replace(found, endpoint_default=endpoint) if endpoint else found


def a_claim(size: Size = SQUARE, text: str = 'a "white" 杯\n', **parameters: str) -> Claim:
    """A claim whose last attempt asks for a size."""
    return Claim(
        task=1,
        job=1,
        key="mug",
        text=text,
        size=Size(3840, 2160),
        send_size=size,
        sample=1,
        parameters=Parameters(**parameters),
        path="mug",
        revision=1,
        attempts=0,
        unknowns=0,
        calls=0,
        queued_at=0.0,
    )


def a_file(path: Path, content: bytes, name: str = "cup.png", media: str = "image/png") -> Prepared:
    """A local input image, written and ready to be sent."""
    path.write_bytes(content)
    return Prepared(name, media, file=FilePiece(str(path), len(content), hashlib.sha256(content).hexdigest()))


def an_address(url: str) -> Prepared:
    """An input image that the gateway fetches."""
    return Prepared("", "", url=url)


def inputs(*references: Prepared, mask: Prepared | None = None) -> PreparedInputs:
    """Input images of a call."""
    return PreparedInputs(references, mask)


def whole(pieces: Iterable[bytes | FilePiece]) -> bytes:
    """A request body with its files read in, the plain way."""

    def data(piece: bytes | FilePiece) -> bytes:
        if isinstance(piece, bytes):
            return piece
        content = Path(piece.path).read_bytes()
        return base64.b64encode(content) if piece.base64 else content

    return b"".join(map(data, pieces))


def read_reply(document: object, operation: str = "generations", sent: SentRequest = NOTHING_SENT) -> Reply:
    """What a whole JSON document says as the answer of an operation."""
    return codec_for(operation).read(document, sent)


def salvaged_urls(text: str, operation: str = "generations", sent: SentRequest = NOTHING_SENT) -> tuple[str, ...]:
    """Addresses in a document that was cut off."""
    return codec_for(operation).salvage(text, sent)


@dataclass(frozen=True)
class Read:
    """A reply as the client reads it."""

    reply: Reply
    pictures: tuple[bytes, ...]
    damage: tuple[str, ...]
    text: str


def read(body: bytes, endpoint: str, cuts: Iterable[int] = (), *, sent: SentRequest = NOTHING_SENT) -> Read:
    """Scan a body in pieces and read what is left of it; a body that is no whole document gives an empty reply."""
    scanner = Scanner(key_pattern(codec_for(endpoint).picture_keys))
    decoded: dict[int, bytearray] = {}
    for start, end in itertools.pairwise([0, *sorted(cuts), len(body)]):
        for index, piece in scanner.feed(body[start:end]):
            decoded.setdefault(index, bytearray()).extend(piece)
    scanner.finish()
    back = {n for n, data in decoded.items() if hashlib.sha256(data).hexdigest() in sent.files}
    sent = replace(sent, marks=frozenset(back))
    text = scanner.text
    reading = read_text(text, scanner.pictures, endpoint, sent)
    shown = reading.shown or ((len(scanner.pictures) - 1,) if scanner.inside else ())
    return Read(
        reading.reply,
        tuple(bytes(decoded.get(index, b"")) for index in shown),
        tuple(scanner.pictures[index].damage for index in shown),
        scanner.text,
    )


def a_call(base: str, *pieces: bytes | FilePiece, endpoint: str = "chat", timeout: float = 10.0) -> Call:
    return Call(ATTEMPT, endpoint, f"{base}/x", pieces, "application/json", "", timeout, loopback=True)


def a_piece(path: Path, content: bytes, **changes: bool) -> FilePiece:
    file = a_file(path, content).file
    assert file is not None
    return replace(file, **changes)


async def ask(call: Call, made: dict[int, MemorySink] | None = None) -> Answer:
    made = {} if made is None else made
    async with Client(clock=SystemClock(), key=lambda _name: "") as client:
        return await client.send(call, lambda index: made.setdefault(index, MemorySink(index)))


@contextmanager
def a_spool(folder: Path) -> Iterator[Spool]:
    """A new spool, in which nothing may be left of the attempt of `a_call` once that is cleared."""
    spool = Spool.open(folder / "out", folder / "ledger.db", "id", clock=SystemClock())
    place = spool.output / SPOOL
    known = set(place.iterdir())
    try:
        yield spool
        spool.clear(ATTEMPT)
    finally:
        spool.close()
    assert set(place.iterdir()) == known


async def ask_into(spool: Spool, call: Call) -> tuple[Answer, list[SpoolSink]]:
    """The answer of a call, whole in a spool, and every sink its pictures were given."""
    made: list[SpoolSink] = []
    async with Client(clock=SystemClock(), key=lambda _name: "") as client:
        answer = await client.send(call, lambda index: made.append(spool.sink(ATTEMPT, index)) or made[-1])
    await spool.finish(answer, made)
    return answer, made
