"""What goes over the wire and what comes back, as plain values without the bytes of images."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from batchgen.domain.following import Following, Stage
from batchgen.domain.json_place import Place
from batchgen.domain.origin import NO_ORIGIN, Origin
from batchgen.domain.output_image import Damaged, Image


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the gateway reports them; None where it says nothing.

    Attributes:
        main_input_tokens: of the mainline model that drew through its tool, like `main_output_tokens`; the others are
            then those of the image alone.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_text_tokens: int | None = None
    input_image_tokens: int | None = None
    main_input_tokens: int | None = None
    main_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class FilePiece:
    """A file that is sent within a request body, read while it is sent.

    Attributes:
        path: absolute; the file does not change any more.
        size: its bytes.
        sha256: of its content, hexadecimal.
        base64: whether it is encoded on its way.
    """

    path: str
    size: int
    sha256: str
    base64: bool = False

    @property
    def length(self) -> int:
        """Bytes it takes in the body."""
        return -(-self.size // 3) * 4 if self.base64 else self.size


@dataclass(frozen=True, slots=True)
class Prepared:
    """An input image as it is sent: a checked copy that the gateway takes, or an address that it fetches.

    Attributes:
        name: file name for a form, with the ending of its format.
        media: `image/png`, `image/jpeg` or `image/webp`; "" for an address.
        url: https address, "" for a file.
        file: None for an address.
        width, height: in pixels; 0 for an address.
    """

    name: str
    media: str
    url: str = ""
    file: FilePiece | None = None
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class PreparedInputs:
    """The input images of one call."""

    references: tuple[Prepared, ...] = ()
    mask: Prepared | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One paid request, ready to be sent. The key is not in it: the hand adds it at the last moment.

    Attributes:
        operation: what is asked, as `contracts.endpoints` names it: `generations`, `edits`, `chat`… By it the answer is
            read.
        url: full address of the endpoint; in a batch the path that its line names.
        body: the request body, encoded; files are read while it is sent.
        key_env: the variable that holds the key; "" sends none.
        timeout: seconds for the whole call, from connecting to the last byte.
        loopback: whether the base URL itself is loopback, the only case in which plain http and loopback are allowed.
        picture_at: where the contract says that the answer has its image; () leaves it to the table of places.
        origin: what it is for, known once it is reserved.
        method: `POST`; `GET` for a question how far a call is, which is free.
        following: how it is followed where the gateway takes it in under a number; None where it answers at once.
        path: where in the output folder its picture belongs, without ending or revision; "" where whoever asks sees to
            that.
    """

    attempt: int
    operation: str
    url: str
    body: tuple[bytes | FilePiece, ...]
    content_type: str
    key_env: str
    timeout: float
    loopback: bool
    picture_at: Place = ()
    origin: Origin = NO_ORIGIN
    method: str = "POST"
    following: Following | None = None
    path: str = ""


class CallEnd(StrEnum):
    """How far a call got, by the bytes that were seen and nothing else."""

    NOT_SENT = "not_sent"  # no byte of the request left
    SEND_FAILED = "send_failed"  # broke while the request was being written
    NO_ANSWER = "no_answer"  # sent; reset, closed or garbage before a whole response head
    TIMED_OUT = "timed_out"  # sent; the deadline passed before the body was whole
    CUT = "cut"  # response head seen, body incomplete
    TOO_LARGE = "too_large"  # response head seen, body over the cap and given up
    COMPLETE = "complete"  # response head and the whole body seen


class Obstacle(StrEnum):
    """What kept the first call of a route from leaving, and will until somebody acts."""

    PROXY = "proxy"
    NAME = "name"
    CERTIFICATE = "certificate"

    @property
    def advice(self) -> str:
        """What that is, and what to do."""
        return _ADVICE[self]


_ADVICE = {
    Obstacle.PROXY: "nothing gets out through the proxy: put `proxy:` under `route` right, or the variable that names "
    "the proxy (`batchgen doctor` shows which), then run again",
    Obstacle.NAME: "the name of the gateway is not found: check base_url and this machine's network, or name a proxy "
    "with `proxy:` under `route`, then run again",
    Obstacle.CERTIFICATE: "the gateway cannot prove who it is, so nothing is sent: where a filter of your company "
    "stands in between, name its certificate in SSL_CERT_FILE; check base_url and the clock; then run again",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """One image that came inline, decoded into the spool.

    Attributes:
        file: name below the spool folder.
        damage: why the base64 could not be decoded whole, "" when it could.
    """

    file: str
    size: int
    damage: str = ""


@dataclass(frozen=True, slots=True)
class ApiError:
    """The gateway's own error object; fields it leaves out are ""."""

    message: str = ""
    type: str = ""
    code: str = ""
    param: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """All that came back from one call, without the bytes of its images.

    Attributes:
        status: HTTP status, 0 when no response head was parsed.
        is_json: whether the body is one whole JSON document.
        retry_after: seconds the gateway asks to wait, from headers or the error body; None when it does not say.
        spent_for: seconds for which the gateway has no call left, by its headers; None when it does not say.
        told_rate: calls per second that it takes, by its headers; None when it does not say.
        request_ids: header name and value, every header known to carry a request id.
        pictures: images that came inline, in order.
        urls: images that came as addresses, in order.
        text: what the reply says in words where an image should be (a refusal), "" else.
        error: the error object of the body, whatever the status.
        revised_prompt: as the gateway reports it, "" else.
        effective: size, quality, background and format as the gateway reports them, only those present.
        excerpt: the first 4 KB of a body that is not JSON, control characters escaped.
        unread: the text, without its pictures, of a success that holds something and no image that was recognised; ""
            where there is an image, an error, mere words, or nothing at all.
        spare: the pictures of such an answer, in the order of the marks in its text.
        task: under which a gateway that took the call in says that it works on it, "" where it says no such thing.
        detail: one sentence about what happened on the wire.
        obstacle: what stood in the way, where nothing has got out over the route so far.
        sent_at: seconds since the epoch at which the first byte left; 0.0 when none did.
        first_byte: seconds from sending to the response head; 0.0 when there was none.
        total: seconds from sending to the end.
        origin: what its call was for; `NO_ORIGIN` where that was not told.
        placed: its picture in the output folder, or why it is not there; None where nobody has tried yet.
    """

    attempt: int
    ending: CallEnd
    status: int = 0
    is_json: bool = False
    content_type: str = ""
    retry_after: float | None = None
    spent_for: float | None = None
    told_rate: float | None = None
    request_ids: tuple[tuple[str, str], ...] = ()
    pictures: tuple[Picture, ...] = ()
    urls: tuple[str, ...] = ()
    text: str = ""
    error: ApiError | None = None
    usage: Usage | None = None
    revised_prompt: str = ""
    effective: tuple[tuple[str, str], ...] = ()
    excerpt: str = ""
    unread: str = ""
    spare: tuple[Picture, ...] = ()
    task: str = ""
    detail: str = ""
    obstacle: Obstacle | None = None
    sent_at: float = 0.0
    first_byte: float = 0.0
    total: float = 0.0
    origin: Origin = NO_ORIGIN
    placed: Image | Damaged | None = None

    @property
    def kept(self) -> tuple[Picture, ...]:
        """Every picture whose bytes are to be kept."""
        return (*self.pictures, *self.spare)

    @property
    def picture(self) -> Picture | None:
        """The first image that came inline and whole."""
        return next((picture for picture in self.pictures if not picture.damage), None)


@dataclass(frozen=True, slots=True)
class NotKept:
    """A paid answer that came whole and could not be written. What it said is still known.

    Attributes:
        answer: without the bytes of its images.
        why: they could not be kept: a sentence without its full stop.
    """

    answer: Answer
    why: str


@dataclass(frozen=True, slots=True)
class Look:
    """What a gateway says of a call that it works on.

    Attributes:
        stage: how far it is; `WAITING` too where nobody can tell.
        answer: its answer, once it is done or has failed; before, what came instead.
    """

    stage: Stage
    answer: Answer | NotKept


class Fetch(StrEnum):
    """How a download of a paid address ended."""

    DONE = "done"
    AGAIN = "again"  # a passing fault
    GONE = "gone"  # 403, 404 or 410: expired
    REFUSED = "refused"  # a rule of our own: the address is not one we go to
    UNUSABLE = "unusable"  # what is there cannot be had: too large, or redirects without end


@dataclass(frozen=True, slots=True)
class Download:
    """The end of one download.

    Attributes:
        allow: of one that was refused, the entry of `images_from` that would let it pass, "" where none does.
    """

    fetch: Fetch
    picture: Picture | None = None
    detail: str = ""
    allow: str = ""
