"""Room on the disk for an answer, before it is paid."""

from __future__ import annotations

from batchgen.domain.clock import Clock
from batchgen.domain.errors import NoRoom
from batchgen.store.folder import Folder, trouble

BALLAST = 64 << 20  # bytes kept free beyond what is promised: for answers larger than expected, and for the ledger
_AGE = 0.25  # seconds for which a look at the disk holds


class Room:
    """The free space below a folder."""

    def __init__(self, folder: Folder, clock: Clock, ballast: int = BALLAST) -> None:
        self._folder = folder
        self._clock = clock
        self._ballast = ballast
        self._free = 0
        self._seen = 0.0

    def check(self, promised: int) -> None:
        """Make sure that so many bytes can be written beside the ballast.

        Raises:
            NoRoom: they cannot.
            StoreError: nobody can say.
        """
        need = promised + self._ballast
        now = self._clock.monotonic()
        if self._free < need or now - self._seen >= _AGE:
            try:
                self._free = self._folder.free()
            except OSError as error:
                raise trouble(error, "ask for the free space of", self._folder.path) from error
            self._seen = now
        if self._free < need:
            raise NoRoom(
                f"{self._folder.path} has {self._free / 1e6:,.0f} MB free, and the answers under way may need "
                f"{need / 1e6:,.0f} MB; make room there, then run again"
            )
