"""The chat endpoint: one message that asks for an image, and a message that holds it somewhere."""

from __future__ import annotations

import re

from batchgen.contracts.contract import Contract
from batchgen.domain.errors import ContractError
from batchgen.domain.model import Claim
from batchgen.domain.wire import PreparedInputs
from batchgen.gateway.echo import SentRequest
from batchgen.gateway.endpoints.codec import Body, Codec, Reply, check_mask, parameters
from batchgen.gateway.endpoints.message import FoundImages, in_chat, spoken
from batchgen.gateway.endpoints.places import elsewhere
from batchgen.gateway.endpoints.reply_fields import (
    Json,
    effective_of,
    error_of,
    objects,
    revised_prompt,
    string,
    usage_of,
)
from batchgen.gateway.endpoints.tool_output import in_output, said
from batchgen.gateway.json_body import json_pieces

# A whole Markdown image in a message whose end is missing, as JSON writes it.
_PLACED_URL = re.compile(r"!\[[^\[\]]*+\]\((https?:(?:[^\"\\\x00-\x20()]|\\[/u&]){1,8192})\)")


class ChatCodec(Codec):
    """An image from a chat, as both vendors' manuals show it."""

    operation = "chat"

    def body(self, claim: Claim, contract: Contract, inputs: PreparedInputs) -> Body:
        """Write one message, its images beside its words.

        `size` goes along where the contract lists sizes: APIYI's pages disagree whether it counts here, and what comes
        back is measured anyway. `response_format` means another thing on this endpoint, so it is not sent.

        Raises:
            ContractError: there is a mask, for which this endpoint has no place.
        """
        check_mask(contract, inputs)
        if inputs.mask is not None:
            raise ContractError(f"the chat endpoint of {contract.route} takes no mask; use its images endpoint")
        text = contract.prompt_text(claim.text, claim.send_size)
        content: object = text
        if inputs.references:
            images = ({"type": "image_url", "image_url": {"url": image}} for image in inputs.references)
            content = [{"type": "text", "text": text}, *images]
        elif text == claim.text:  # no phrase in front that speaks of an image
            content = contract.chat_lead + text
        message = {"role": "user", "content": content}
        document: dict[str, object] = {"model": contract.model, "messages": [message], "stream": False}
        size = contract.wire_size(claim.send_size)
        if size is not None and contract.sizes.kind == "listed":
            document["size"] = size
        document.update(parameters(claim, contract, without="response_format"))
        return Body(json_pieces(document))

    def read_object(self, document: Json, sent: SentRequest, seen: FoundImages, /) -> Reply:
        words = spoken(document) or said(document) or string(document.get("data"))
        seen = seen or in_chat(document, sent) or in_output(document, sent)
        seen = seen or elsewhere(document, sent, spoken=bool(words))
        items = objects(document.get("data"))
        error, wait = error_of(document, has_image=bool(seen))
        return Reply(
            marks=seen.marks,
            urls=seen.urls,
            text="" if seen else words,
            error=error,
            usage=usage_of(document.get("usage")),
            revised_prompt=revised_prompt(items),
            effective=effective_of(*(document, *items[:1]) if items else ()),
            retry_after=wait,
        )

    def _quoted_urls(self, text: str, /) -> list[str]:
        return super()._quoted_urls(text) + [f'"{match[1]}"' for match in _PLACED_URL.finditer(text)]
