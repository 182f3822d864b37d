"""POST /v1/responses: a mainline model that draws through its image tool (OpenAI's SDK types and guide, 2026-11)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from batchgen.simulator.call_plan import Work
from batchgen.simulator.endpoints import response_objects
from batchgen.simulator.endpoints.answers import filled, slot
from batchgen.simulator.endpoints.endpoint import Made
from batchgen.simulator.faults import Fault
from batchgen.simulator.gateway_replies import Declined, Reply, Voice, refusal_in_words
from batchgen.simulator.image_request import Wish
from batchgen.simulator.payload import Packet
from batchgen.simulator.reference_checks import check_fidelity, rejected
from batchgen.simulator.references import FileOf, from_part
from batchgen.simulator.request_validation import check_model, parse_body
from batchgen.simulator.state import Arrival

_INSIDE = "tools[0]."
_KNOWN = frozenset({
    *("model", "input", "tools", "tool_choice", "store", "stream", "instructions", "metadata", "user", "include"),
    *("safety_identifier", "parallel_tool_calls", "temperature", "top_p", "max_output_tokens", "max_tool_calls"),
    *("reasoning", "text", "truncation", "previous_response_id", "service_tier", "prompt_cache_key"),
})  # fmt: skip
_OF_THE_TOOL = frozenset({"type", "action", "input_image_mask", "input_fidelity", "model"})
_IMAGE_MODELS = ("gpt-image", "chatgpt-image", "dall-e")


class Responses:
    """A conversation with a tool."""

    name = "responses"

    def read(self, arrival: Arrival, packet: Packet, files: FileOf) -> Wish:
        """What the tool is told and what the user says last."""
        voice = arrival.voice
        body = parse_body(packet.body, voice)
        main, tool = _main_model(body, voice), _tool(body, voice)
        _known(body, voice)
        model = {"model": tool.get("model") or voice.contract.model}
        check_model(model, voice)
        check_fidelity(voice, tool.get("input_fidelity"), _INSIDE)
        parts = list(_parts(body.get("input"), voice))
        texts = [text for part in parts if isinstance(text := part.get("text"), str)]
        colour = arrival.options.pictures == "full"
        pictures = [part for part in parts if part["type"] == "input_image"]
        mask = tool.get("input_image_mask")
        fields = {name: value for name, value in tool.items() if name not in _OF_THE_TOOL}
        return Wish(
            fields={**fields, **model, "prompt": "\n".join(texts), "stream": body.get("stream")},
            references=tuple(from_part(part, files, colour=colour) for part in pictures),
            mask=from_part(mask, files, colour=False) if mask is not None else None,
            editing=tool.get("action") == "edit",
            main=main,
            inside=_INSIDE,
            stored=body.get("store") is not False,
        )

    def by_address(self, arrival: Arrival, work: Work) -> bool:  # noqa: ARG002
        """Never."""
        return False

    def form(self, arrival: Arrival, work: Work) -> str:  # noqa: ARG002
        """Always as it is."""
        return "raw"

    def reply(self, arrival: Arrival, work: Work, pictures: list[Made], created: int) -> Reply:
        """The tool's call with its picture, and a message without words."""
        call = response_objects.image_call(arrival, work)
        output = [
            {**call, "status": "completed", "result": slot(0)},
            response_objects.message({"type": "output_text", "text": ""}),
        ]
        return Reply(200, filled(response_objects.response(arrival, work, output, created), [pictures[0].text]))

    def without_picture(self, arrival: Arrival, work: Work, created: int) -> Reply | None:
        """A refusal in words; a call of the tool that its moderation ended; or a model that does not draw."""
        if work.fault is Fault.REFUSE_TEXT:
            words = refusal_in_words(work.chance.roll("words"))
            output = [response_objects.message({"type": "refusal", "refusal": words})]
        elif work.fault is Fault.REFUSE:
            output = [response_objects.blocked_call(arrival, work)]
        elif work.fault is Fault.EMPTY:
            output = [response_objects.message({"type": "output_text", "text": "Done."})]
        else:
            return None
        return Reply(200, filled(response_objects.response(arrival, work, output, created), []))


def _main_model(body: Mapping[str, Any], voice: Voice) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise rejected(voice.invalid("Missing required parameter: 'model'.", "model", "missing_required_parameter"))
    if model.startswith(_IMAGE_MODELS) or model == voice.contract.model:
        message = f"The model '{model}' is not supported with the Responses API; name it in the image_generation tool."
        raise rejected(voice.invalid(message, "model", "unsupported_model"))
    return model


def _tool(body: Mapping[str, Any], voice: Voice) -> Mapping[str, Any]:
    """The image tool: the only one the simulator knows, and the first."""
    tools = body.get("tools")
    tool = tools[0] if isinstance(tools, list) and tools else None
    if not isinstance(tool, dict) or tool.get("type") != "image_generation":
        raise _invalid(voice, "Invalid value: expected a tool of the type 'image_generation'.", "tools[0].type")
    if tool.get("action") not in {None, "auto", "generate", "edit"}:
        raise _invalid(voice, f"Invalid value: '{tool.get('action')}'.", "tools[0].action")
    choice = body.get("tool_choice", "auto")
    if choice not in {"auto", "required"} if isinstance(choice, str) else choice != {"type": "image_generation"}:
        raise _invalid(voice, "Invalid value for 'tool_choice'.", "tool_choice")
    return tool


def _known(body: Mapping[str, Any], voice: Voice) -> None:
    for name in body:
        if name not in _KNOWN:
            raise rejected(voice.invalid(f"Unknown parameter: '{name}'.", name, "unknown_parameter"))


def _parts(value: object, voice: Voice) -> Iterator[dict[str, Any]]:
    """The parts of the last user message: texts and pictures."""
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    messages = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    said = [message.get("content") for message in messages if message.get("role") == "user"]
    if not said:
        raise _invalid(voice, "Missing required parameter: 'input'.", "input")
    content = said[-1]
    for part in [{"type": "input_text", "text": content}] if isinstance(content, str) else content or []:
        if not isinstance(part, dict) or part.get("type") not in {"input_text", "input_image"}:
            raise _invalid(voice, "Invalid value: supported are 'input_text' and 'input_image'.", "input[0].content")
        yield part


def _invalid(voice: Voice, message: str, param: str) -> Declined:
    return rejected(voice.invalid(message, param, "invalid_value"))
