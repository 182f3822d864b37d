"""The hand: the one thing that talks to gateways and touches bytes, for a brain that does neither.

It never sees the books. What goes in and comes out are small plain values that can be pickled, so that a hand may work
in another process or on another machine. `LocalHand` is the one in this process.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from typing import Protocol

from batchgen.contracts.contract import References
from batchgen.domain.batch_files import AnswerFile, CallFile, RemoteBatch
from batchgen.domain.inputs import InputFile, Inputs, InputUse, LookedInput
from batchgen.domain.origin import Origin
from batchgen.domain.output_image import Damaged, Delivered, Image, IndexLine
from batchgen.domain.wire import Answer, Call, Download, Look, NotKept, Picture, PreparedInputs


class FolderHand(Protocol):
    """Tells what lies in an output folder, to those who have lost the ledger."""

    def index_lines(self) -> AsyncIterator[tuple[IndexLine, ...]]:
        """Yield the lines of the index in order, some hundred at a time; none where there is no index.

        Raises:
            StoreError: the index cannot be read.
        """
        ...

    async def faults(self, images: Sequence[Delivered]) -> list[str | None]:
        """Return what is wrong with the file of each image; None for one that is what was bought."""
        ...

    async def attempts(self) -> set[int]:
        """Return the attempts of which the spool has any file.

        Raises:
            StoreError: the spool cannot be read.
        """
        ...

    async def kept(self) -> set[int]:
        """Return the attempts of which there is any file among the kept answers.

        Raises:
            StoreError: the spool cannot be read.
        """
        ...

    async def read_kept(self, call: Call) -> Answer | None:
        """Return the kept answer of an attempt with the images that are found in it now; None where there is none.

        Args:
            call: that of the attempt as it would be made today; nothing of it is a result.

        Raises:
            ContractError: nobody reads the answers of that operation any more.
            StoreError: it cannot be read.
        """
        ...

    async def origin(self, attempt: int) -> Origin | None:
        """Return what the whole answer of an attempt, a kept one too, is for; None where there is no whole answer.

        Raises:
            ValueError: nobody can tell.
            StoreError: the spool cannot be read.
        """
        ...

    async def keep_aside(self, attempt: int) -> None:
        """Keep what nobody can tell the task of in the quarantine.

        Raises:
            StoreError: it cannot be moved.
        """
        ...


class InputHand(Protocol):
    """Looks at the references and masks of a job."""

    def examine_inputs(
        self, uses: Sequence[InputUse], known: Sequence[InputFile], keep: References | None
    ) -> AsyncGenerator[LookedInput, None]:
        """Look at each file: what it is, its content, whether it is whole and can be sent. Yield them as they are done.

        Args:
            uses: the files.
            known: those that were looked at before; one that has its size and time still is not read.
            keep: for a run, what its route takes: copies to send are made at once. None writes nothing.

        Raises:
            StoreError: a copy cannot be written.
        """
        ...


class BatchHand(Protocol):
    """Talks to the Batch APIs of routes, and moves their files. Every method may raise `GatewayError`.

    `key_env` is the variable with the key to ask with: a gateway shows a batch, and its files, to that one only.
    """

    async def upload_batch(self, route: str, key_env: str, file: CallFile) -> str:
        """Hand a file of calls in, which is free; return the gateway's name of the file.

        Raises:
            StoreError: it cannot be written.
        """
        ...

    async def create_batch(self, route: str, key_env: str, upload: str, endpoint: str, token: str) -> RemoteBatch:
        """Have a file that was handed in worked on: from here on it costs money. `token` makes it known again."""
        ...

    async def find_batch(self, route: str, key_env: str, token: str, since: float) -> RemoteBatch | None:
        """Return the batch with our token, if it was ever handed in; `since` is when its row was written."""
        ...

    async def get_batch(self, route: str, key_env: str, batch: str) -> RemoteBatch:
        """Return a batch as it stands."""
        ...

    def collect_batch(self, route: str, key_env: str, file: AnswerFile) -> AsyncGenerator[Answer, None]:
        """Yield the answers of a file that are awaited, each once it is durable in the spool.

        Raises:
            StoreError: an answer cannot be kept; what was yielded is.
        """
        ...


class Hand(InputHand, FolderHand, BatchHand, Protocol):
    """Sends calls and keeps their answers; fetches paid addresses; places images; keeps the output folder in order."""

    async def check_room(self, in_flight: int) -> None:
        """Make sure the disk has room for the answers of so many calls.

        Raises:
            NoRoom: it has not.
        """
        ...

    async def prepare(self, inputs: Inputs, limits: References) -> PreparedInputs:
        """Return the input images of a call as they are sent, each made ready once.

        Raises:
            StoreError: a file is gone, or is not the one the plan was made with.
        """
        ...

    async def send(self, route: str, call: Call) -> Answer | NotKept:
        """Make a call over a route. When this returns the answer of a success, it is durable in the spool.

        Where the call says where its picture belongs, that is checked and put there in the same go, as `place` does;
        what cannot be put there is left to `place`, which says why.

        Raises:
            StoreError: it could not even be received, because the spool cannot be written.
        """
        ...

    async def look(self, route: str, call: Call) -> Look:
        """Ask how far a call is that a gateway works on; free. An answer that it has is durable in the spool then.

        Raises:
            StoreError: it could not even be received, because the spool cannot be written.
        """
        ...

    async def is_there(self, route: str, call: Call) -> bool:
        """Tell whether the gateway of a route answers a question that costs nothing, whatever it says."""
        ...

    async def download(self, route: str, attempt: int, url: str) -> Download:
        """Fetch a paid address, which an answer over a route named, into the spool; one try.

        A picture that holds the route's key comes as damaged; it is kept aside then.

        Raises:
            StoreError: the bytes could not be written.
        """
        ...

    async def place(self, attempt: int, picture: Picture, path: str, revision: int) -> Image | Damaged:
        """Check an image of the spool wholly and put it into the output folder.

        Raises:
            StoreError: the output folder cannot be written; the spool keeps the bytes.
        """
        ...

    async def keep_damaged(self, picture: Picture) -> str:
        """Keep the bytes of a damaged image in the quarantine; return where, below the spool.

        Raises:
            StoreError: they cannot be moved.
        """
        ...

    async def keep(self, attempt: int) -> bool:
        """Move a whole answer that nobody can read to the kept ones, durable; tell whether there is room for more.

        What was moved by an earlier try stays where it is.

        Raises:
            StoreError: it cannot be moved.
        """
        ...

    async def forget_kept(self, attempt: int) -> None:
        """Remove the kept answer of an attempt whose image is in the books.

        Raises:
            StoreError: it cannot be removed.
        """
        ...

    async def place_kept(self, attempt: int, picture: Picture, path: str, revision: int) -> Image | Damaged:
        """Check a picture of a kept answer wholly and put it into the output folder; a damaged one stays where it is.

        Raises:
            StoreError: the output folder cannot be written.
        """
        ...

    async def note_image(self, *images: Delivered) -> None:
        """Add images to the index of the output folder, all or none. Does not wait for the disk.

        Raises:
            StoreError: the index cannot be written.
        """
        ...

    async def clear(self, attempt: int) -> None:
        """Forget the spooled answer of a settled attempt."""
        ...

    async def read_receipt(self, attempt: int) -> Answer | None:
        """Return the whole answer of an attempt that lies in the spool or is kept, if there is one.

        Raises:
            StoreError: the spool cannot be read.
        """
        ...

    async def find_download(self, attempt: int) -> Picture | None:
        """Return the whole download of an attempt that lies in the spool, if there is one.

        Raises:
            StoreError: the spool cannot be read.
        """
        ...

    async def sweep(self, settled: Collection[int]) -> None:
        """Remove from the spool what belongs to these attempts; bytes that are nowhere else are kept aside.

        Raises:
            StoreError: the spool cannot be tidied.
        """
        ...

    async def take_notes(self) -> list[str]:
        """Return sentences about what it met and set right since the last time, for the person who watches."""
        ...
