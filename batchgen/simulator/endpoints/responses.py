"""POST /v1/responses: a mainline model that draws through its image tool (OpenAI's SDK types and guide, 2026-11)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from batchgen.simulator.call_plan import CallPlan
from batchgen.simulator.endpoints import response_objects
from batchgen.simulator.endpoints.answers import filled, slot
from batchgen.simulator.endpoints.endpoint import EncodedPicture
from batchgen.simulator.faults import Fault
from batchgen.simulator.gateway_replies import Declined, GatewayReplies, HttpReply, refusal_in_words, rejected
from batchgen.simulator.image_request import ImageRequest
from batchgen.simulator.payload import Payload
from batchgen.simulator.reference_checks import check_fidelity
from batchgen.simulator.references import FileOf, from_part
from batchgen.simulator.request_validation import check_model, parse_body
from batchgen.simulator.state import IncomingCall

_INSIDE = "tools[0]."
_KNOWN = frozenset({
    *("model", "input", "tools", "tool_choice", "store", "stream", "instructions", "metadata", "user", "include"),
    *("safety_identifier", "parallel_tool_calls", "temperature", "top_p", "max_output_tokens", "max_tool_calls"),
    *("reasoning", "text", "truncation", "previous_response_id", "service_tier", "prompt_cache_key"),
})  # fmt: skip
_OF_THE_TOOL = frozenset({"type", "action", "input_image_mask", "input_fidelity", "model"})
_IMAGE_MODELS = ("gpt-image", "chatgpt-image", "dall-e")


class Responses:
    """A conversation with a mainline model that has the image tool."""

    name = "responses"
    path = "/responses"
    in_contracts = "responses"
    in_batches = True

    def read(self, call: IncomingCall, payload: Payload, files: FileOf) -> ImageRequest:
        """Read what the tool is told and what the user says last."""
        replies = call.replies
        body = parse_body(payload.body, replies)
        main, tool = _main_model(body, replies), _tool(body, replies)
        _known(body, replies)
        model = {"model": tool.get("model") or replies.contract.model}
        check_model(model, replies)
        check_fidelity(replies, tool.get("input_fidelity"), _INSIDE)
        parts = list(_parts(body.get("input"), replies))
        texts = [text for part in parts if isinstance(text := part.get("text"), str)]
        colour = call.options.pictures == "full"
        pictures = [part for part in parts if part["type"] == "input_image"]
        mask = tool.get("input_image_mask")
        fields = {name: value for name, value in tool.items() if name not in _OF_THE_TOOL}
        return ImageRequest(
            fields={**fields, **model, "prompt": "\n".join(texts), "stream": body.get("stream")},
            references=tuple(from_part(part, files, colour=colour) for part in pictures),
            mask=from_part(mask, files, colour=False) if mask is not None else None,
            editing=tool.get("action") == "edit",
            main=main,
            inside=_INSIDE,
            stored=body.get("store") is not False,
        )

    def by_address(self, call: IncomingCall, plan: CallPlan) -> bool:  # noqa: ARG002
        """Say no: this endpoint never sends addresses."""
        return False

    def form(self, call: IncomingCall, plan: CallPlan) -> str:  # noqa: ARG002
        """Choose plain base64, always."""
        return "raw"

    def reply(self, call: IncomingCall, plan: CallPlan, pictures: list[EncodedPicture], created: int) -> HttpReply:
        """Answer with the tool's call and its picture, and a message without words."""
        tool_call = response_objects.image_call(call, plan)
        output = [
            {**tool_call, "status": "completed", "result": slot(0)},
            response_objects.message({"type": "output_text", "text": ""}),
        ]
        return HttpReply(200, filled(response_objects.response(call, plan, output, created), [pictures[0].text]))

    def without_picture(self, call: IncomingCall, plan: CallPlan, created: int) -> HttpReply | None:
        """Answer with a refusal in words, a call of the tool that moderation ended, or a model that does not draw."""
        if plan.fault is Fault.REFUSE_TEXT:
            words = refusal_in_words(plan.chance.roll("words"))
            output = [response_objects.message({"type": "refusal", "refusal": words})]
        elif plan.fault is Fault.REFUSE:
            output = [response_objects.blocked_call(call, plan)]
        elif plan.fault is Fault.EMPTY:
            output = [response_objects.message({"type": "output_text", "text": "Done."})]
        else:
            return None
        return HttpReply(200, filled(response_objects.response(call, plan, output, created), []))


def _main_model(body: Mapping[str, Any], replies: GatewayReplies) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise rejected(replies.invalid("Missing required parameter: 'model'.", "model", "missing_required_parameter"))
    if model.startswith(_IMAGE_MODELS) or model == replies.contract.model:
        message = f"The model '{model}' is not supported with the Responses API; name it in the image_generation tool."
        raise rejected(replies.invalid(message, "model", "unsupported_model"))
    return model


def _tool(body: Mapping[str, Any], replies: GatewayReplies) -> Mapping[str, Any]:
    """Find the image tool: the only one the simulator knows, and the first."""
    tools = body.get("tools")
    tool = tools[0] if isinstance(tools, list) and tools else None
    if not isinstance(tool, dict) or tool.get("type") != "image_generation":
        raise _invalid(replies, "Invalid value: expected a tool of the type 'image_generation'.", "tools[0].type")
    if tool.get("action") not in {None, "auto", "generate", "edit"}:
        raise _invalid(replies, f"Invalid value: '{tool.get('action')}'.", "tools[0].action")
    choice = body.get("tool_choice", "auto")
    if choice not in {"auto", "required"} if isinstance(choice, str) else choice != {"type": "image_generation"}:
        raise _invalid(replies, "Invalid value for 'tool_choice'.", "tool_choice")
    return tool


def _known(body: Mapping[str, Any], replies: GatewayReplies) -> None:
    for name in body:
        if name not in _KNOWN:
            raise rejected(replies.invalid(f"Unknown parameter: '{name}'.", name, "unknown_parameter"))


def _parts(value: object, replies: GatewayReplies) -> Iterator[dict[str, Any]]:
    """Yield the parts of the last user message: texts and pictures."""
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    messages = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    said = [message.get("content") for message in messages if message.get("role") == "user"]
    if not said:
        raise _invalid(replies, "Missing required parameter: 'input'.", "input")
    content = said[-1]
    for part in [{"type": "input_text", "text": content}] if isinstance(content, str) else content or []:
        if not isinstance(part, dict) or part.get("type") not in {"input_text", "input_image"}:
            raise _invalid(replies, "Invalid value: supported are 'input_text' and 'input_image'.", "input[0].content")
        yield part


def _invalid(replies: GatewayReplies, message: str, param: str) -> Declined:
    return rejected(replies.invalid(message, param, "invalid_value"))
