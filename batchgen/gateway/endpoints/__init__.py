"""Every operation of every endpoint: how it is asked, and how its replies are read."""

from __future__ import annotations

from batchgen.domain.errors import ContractError
from batchgen.gateway.endpoints.chat import ChatCodec
from batchgen.gateway.endpoints.codec import Codec
from batchgen.gateway.endpoints.images import BatchLineCodec, EditCodec, GenerationCodec
from batchgen.gateway.endpoints.responses import ResponsesCodec

_ALL: tuple[Codec, ...] = (GenerationCodec(), EditCodec(), ChatCodec(), ResponsesCodec(), BatchLineCodec())
CODECS = {codec.operation: codec for codec in _ALL}
"""Each by its operation, which is all that a `Call` knows."""


def codec_for(operation: str) -> Codec:
    """Return the codec of an operation.

    Raises:
        ContractError: nobody can read its answers, so nothing may be sent.
    """
    try:
        return CODECS[operation]
    except KeyError:
        raise ContractError(f"nobody reads the answers of {operation}, so nothing is sent there") from None
