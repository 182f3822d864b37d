"""Full decoding of JPEG and WebP by Pillow, in worker processes with limits: the bytes come from strangers.

Workers are spawned, so they hold no descriptor of ours; they end when their parent is gone; one that takes too much
time or memory dies alone, and only the image it died on is called bad.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import time
import warnings
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from threading import Lock, Thread

from batchgen.store.cores import ALL, use_all
from batchgen.store.png import MAX_PIXELS
from batchgen.store.stream import BadImage

WORKERS = 2
SECONDS = 20.0  # for one image; 40 megapixels of WebP take under one
_ASLEEP = 2  # after so many times its time nobody but a stopped process finds it over
_SLEEPS = 3
MEMORY = 1 << 30  # address space of a worker, interpreter included; 40 megapixels decoded take 160 MB


class DecodePool:
    """Decodes images in other processes, which start with the first image and not before. Safe to call from threads."""

    def __init__(self, *, workers: int = WORKERS, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._workers = workers
        self._limits = (seconds, memory)
        self._pool: ProcessPoolExecutor | None = None
        self._opening = Lock()
        self._alone = Lock()
        self._closed = False

    def decode(self, path: str, kind: str) -> tuple[int, int]:
        """Width and height of the image at `path`, of the kind `jpeg` or `webp`.

        Raises:
            BadImage: it cannot be decoded, or not within the limits of time and memory.
        """
        pool = self._shared()
        try:
            return _verdict(pool.submit(_decode, path, kind))
        except BrokenProcessPool:
            self._discard(pool)
        # Some image killed a worker, and every image of that moment is suspect: this one is tried again by itself.
        with self._alone:
            for _ in range(_SLEEPS):
                begun, pool = time.monotonic(), self._start(1)
                try:
                    return _verdict(pool.submit(_decode, path, kind))
                except BrokenProcessPool:
                    if time.monotonic() - begun < _ASLEEP * self._limits[0]:
                        break  # its time was not over because all of us were stopped
                finally:
                    pool.shutdown()
        raise BadImage("decoding it takes more time or memory than any image of ours should")

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
                self._pool = self._start(self._workers)
            return self._pool

    def _discard(self, pool: ProcessPoolExecutor) -> None:
        with self._opening:
            if self._pool is not pool:  # another thread met the same death first
                return
            self._pool = None
        pool.shutdown()

    def _start(self, workers: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            max_workers=workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_prepare,
            initargs=(*self._limits, ALL),
        )


def _verdict(future: Future[tuple[int, int] | str]) -> tuple[int, int]:
    found = future.result()
    if isinstance(found, str):
        raise BadImage(found)
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


def _decode(path: str, kind: str) -> tuple[int, int] | str:
    """In a worker: the dimensions, or what is wrong in one clause."""
    from PIL import Image, JpegImagePlugin, WebPImagePlugin  # noqa: F401, PLC0415 - only workers pay for it

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        faulthandler.dump_traceback_later(_seconds, exit=True, file=nowhere)  # needs no GIL, works on every system
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(path, formats=[kind]) as image:
                    image.load()
                    return image.size
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            return f"it is over the limit of {MAX_PIXELS // 1_000_000} megapixels"
        except MemoryError:
            return "decoding it takes too much memory"
        except Exception as error:  # noqa: BLE001 - whatever a decoder makes of hostile bytes means: no image
            return f"it cannot be decoded as {kind}: {str(error)[:200] or type(error).__name__}"
        finally:
            faulthandler.cancel_dump_traceback_later()
