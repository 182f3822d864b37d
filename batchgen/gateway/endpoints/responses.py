"""The responses endpoint: a mainline model that must use its image tool once."""

from __future__ import annotations

from batchgen.contracts.contract import Contract
from batchgen.domain.errors import ContractError
from batchgen.domain.model import Claim
from batchgen.domain.wire import PreparedInputs
from batchgen.gateway.echo import SentRequest
from batchgen.gateway.endpoints.chat import ChatCodec
from batchgen.gateway.endpoints.codec import Body, Codec, Reply, check_mask, parameters
from batchgen.gateway.endpoints.message import FoundImages
from batchgen.gateway.endpoints.places import elsewhere
from batchgen.gateway.endpoints.reply_fields import Json, effective_of, error_of, revised_prompt
from batchgen.gateway.endpoints.tool_output import calls_of, failure_of, in_output, said, tokens_of
from batchgen.gateway.json_body import json_pieces


class ResponsesCodec(Codec):
    """An image that a mainline model draws through its tool."""

    operation = "responses"
    picture_keys = ("result", "b64_json")

    def body(self, claim: Claim, contract: Contract, inputs: PreparedInputs) -> Body:
        """Name the model, what it is asked, and the tool it must use; nothing is stored (OpenAI's default is to).

        Raises:
            ContractError: the contract names no mainline model, or the route does not take these inputs.
        """
        check_mask(contract, inputs)
        if not contract.main_model:
            raise ContractError(f"{contract.route} names no `main_model`, without which it has no responses endpoint")
        tool: dict[str, object] = {"type": "image_generation", "model": contract.model}
        tool["action"] = "edit" if inputs.references else "generate"
        size = contract.wire_size(claim.send_size)
        if size is not None:
            tool["size"] = size
        tool.update(parameters(claim, contract, without="response_format"))
        if inputs.mask is not None:
            tool["input_image_mask"] = {"image_url": inputs.mask}
        text = contract.prompt_text(claim.text, claim.send_size)
        asked: object = text
        if inputs.references:
            images = ({"type": "input_image", "image_url": image, "detail": "auto"} for image in inputs.references)
            asked = [{"role": "user", "content": [{"type": "input_text", "text": text}, *images]}]
        document = {
            "model": contract.main_model,
            "input": asked,
            "tools": [tool],
            "tool_choice": {"type": "image_generation"},
            "store": False,
        }
        return Body(json_pieces(document))

    def read_object(self, document: Json, sent: SentRequest, seen: FoundImages, /) -> Reply:
        if not isinstance(document.get("output"), list):  # a gateway that only looks alike may answer as a chat does
            return ChatCodec().read_object(document, sent, seen)
        words = said(document)
        seen = seen or in_output(document, sent)
        if not seen and failure_of(document) == (None, None):
            seen = elsewhere(document, sent, spoken=bool(words))
        calls = calls_of(document)
        error, wait = error_of(document, has_image=True) if seen else failure_of(document)
        return Reply(
            marks=seen.marks,
            urls=seen.urls,
            text="" if seen else words,
            error=error,
            usage=tokens_of(document),
            revised_prompt=revised_prompt(calls),
            effective=effective_of(*calls[:1]),
            retry_after=wait,
        )

    def _quoted_urls(self, _text: str, /) -> list[str]:
        return []  # its images never come as addresses, those of its inputs may
