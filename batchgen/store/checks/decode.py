"""Full decoding of JPEG and WebP by Pillow, in worker processes with limits: the bytes come from strangers.

Workers are spawned, so they hold no descriptor of ours; they end when their parent is gone; one that takes too much
time or memory dies alone. What a worker died of is told by how it died: a system that ends one for want of memory says
nothing about the image, which is tried again by itself and in the end left as it is.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection, wait
from threading import Lock, Thread
from typing import TYPE_CHECKING

from batchgen.domain.errors import StoreError
from batchgen.store.affinity import ALL, use_all
from batchgen.store.checks.png_check import MAX_PIXELS
from batchgen.store.checks.stream import BadImage, Decoded, NotJudged

if TYPE_CHECKING:
    from PIL.Image import Image

WORKERS = 2
SECONDS = 20.0  # for one image; 40 megapixels of WebP take under one
_ASLEEP = 2  # after so many times its time nobody but a stopped process finds it over
MEMORY = 1 << 30  # address space of a worker, interpreter included; 40 megapixels decoded take 160 MB
PAUSES = (0.0, 1.0, 4.0)  # seconds before each try of an image by itself, while others end and give memory back
_ENOUGH = 2  # tries that an image ended by itself
# How a worker ends that somebody else has ended, which is mostly the system, for want of memory.
_ENDED = {-getattr(signal, name, 0) for name in ("SIGKILL", "SIGTERM", "SIGBUS", "SIGHUP", "SIGXCPU")}
_Found = Decoded | str | OSError | MemoryError

_spawn = multiprocessing.get_context("spawn")


class DecodePool:
    """Decodes images in other processes, which start with the first image and not before. Threads may call it."""

    def __init__(
        self,
        *,
        workers: int = WORKERS,
        seconds: float = SECONDS,
        memory: int = MEMORY,
        pauses: tuple[float, ...] = PAUSES,
    ) -> None:
        self._workers = workers
        self._limits = (seconds, memory)
        self._pauses = pauses
        self._pool: ProcessPoolExecutor | None = None
        self._opening = Lock()
        self._alone = Lock()
        self._closed = False

    def decode(self, path: str, kind: str) -> Decoded:
        """Return what the image at `path` is; `kind` is `jpeg` or `webp`.

        Raises:
            BadImage: it cannot be decoded.
            NotJudged: decoding it takes more time or memory than any image of ours should, every time.
            StoreError: the system ends our decoders, or lets us have none; nothing is known of the image.
        """
        pool = self._shared()
        try:
            return _verdict(pool.submit(_decode, path, kind).result())
        except (BrokenProcessPool, OSError, RuntimeError):  # no new process or thread to be had, or closed by a death
            self._discard(pool)
        except (MemoryError, NotJudged):
            pass
        # Some image may have ended a worker, and every image of that moment is suspect: this one is tried by itself.
        with self._alone:
            return self._decode_alone(path, kind)

    def close(self) -> None:
        """End the workers."""
        with self._opening:
            pool, self._pool, self._closed = self._pool, None, True
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def _shared(self) -> ProcessPoolExecutor:
        with self._opening:
            if self._closed:
                raise RuntimeError("the pool of decoders is closed")
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    self._workers, mp_context=_spawn, initializer=_prepare, initargs=(*self._limits, ALL)
                )
            return self._pool

    def _discard(self, pool: ProcessPoolExecutor) -> None:
        with self._opening:
            if self._pool is not pool:  # another thread met the same death first
                return
            self._pool = None
        pool.shutdown()

    def _decode_alone(self, path: str, kind: str) -> Decoded:
        own, why = 0, ""
        for pause in self._pauses:
            time.sleep(pause)
            try:
                return _verdict(self._try_alone(path, kind))
            except NotJudged as error:
                own += 1
                if own == _ENOUGH:
                    raise
                why = error.reason
            except (OSError, RuntimeError) as error:
                why = str(error)
        raise StoreError(
            f"{path} cannot be checked, because no decoder comes to its end on this machine now ({why}); "
            "free some memory, or end other programs, then run again"
        )

    def _try_alone(self, path: str, kind: str) -> _Found:
        """Decode once, in a process that does nothing else.

        Raises:
            NotJudged: the image ended it.
            OSError: something else did, or it could not be started.
            RuntimeError: as `OSError`.
        """
        ours, theirs = _spawn.Pipe(duplex=False)
        with ours:
            with theirs:
                process = _spawn.Process(
                    target=_decode_once, args=(theirs, *self._limits, ALL, path, kind), daemon=True
                )
                process.start()
            begun = time.monotonic()
            try:
                found: _Found = ours.recv()
            except EOFError:
                process.join()
                code, took = process.exitcode or 0, (time.monotonic() - begun) / self._limits[0]
                if code in _ENDED or (code > 0 and not 1 <= took < _ASLEEP):  # before it could begin, or while we slept
                    raise ChildProcessError(f"it ended with {code}") from None
                raise NotJudged("decoding it takes more time or memory than any image of ours should") from None
            process.join()
            return found


def _verdict(found: _Found) -> Decoded:
    if isinstance(found, str):
        raise BadImage(found)
    if isinstance(found, MemoryError):
        raise NotJudged("decoding it takes more memory than any image of ours should")
    if isinstance(found, OSError):
        raise found
    return found


_seconds = SECONDS  # of this worker


def _prepare(seconds: float, memory: int, cores: frozenset[int]) -> None:
    """In a new worker: set its limits, and have it end with its parent and not by a Ctrl-C of its own."""
    global _seconds  # noqa: PLW0603 - a worker's own setting, made once
    _seconds = seconds
    use_all(cores)
    for name in {"SIGINT", "SIGHUP", "SIGQUIT"} & signal.Signals.__members__.keys():  # a terminal's, meant for the run
        signal.signal(signal.Signals[name], signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        import resource  # noqa: PLC0415 - not on Windows

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    except (ImportError, ValueError, OSError):
        return  # the limit of pixels still holds


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _decode_once(out: Connection, seconds: float, memory: int, cores: frozenset[int], path: str, kind: str) -> None:
    """Run in a process that decodes one image and nothing else: send what was found, then end."""
    _prepare(seconds, memory, cores)
    out.send(_decode(path, kind))


def _decode(path: str, kind: str) -> _Found:
    """Run in a worker: return what the image is, a clause about what is wrong with it, or the system's error."""
    from PIL import Image, JpegImagePlugin, WebPImagePlugin  # noqa: F401, PLC0415 - only workers pay for it

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        faulthandler.dump_traceback_later(_seconds, exit=True, file=nowhere)  # needs no GIL, works on every system
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(path, formats=[kind]) as image:
                    image.load()
                    return Decoded(*image.size, _is_blank(image))
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            return f"it is over the limit of {MAX_PIXELS // 1_000_000} megapixels"
        except MemoryError as error:
            return error
        except OSError as error:
            return f"it cannot be decoded as {kind}: {error}"[:200] if error.errno is None else error
        except Exception as error:  # noqa: BLE001 - whatever a decoder makes of hostile bytes means: no image
            return f"it cannot be decoded as {kind}: {str(error)[:200] or type(error).__name__}"
        finally:
            faulthandler.cancel_dump_traceback_later()


def _is_blank(image: Image) -> bool:
    """Tell whether every pixel is the same."""
    extrema = image.getextrema()
    bands = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return all(low == high for low, high in bands)
