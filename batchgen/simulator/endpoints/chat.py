"""POST /v1/chat/completions of the reverse routes: words that are answered with a picture, in one shape or another.

By default as the vendor answers: LaoZhang with a markdown link behind blank lines (its quick overview and tests of
2026-04), APIYI with a body that has no `choices` at all (chat pages of its reverse routes). The other shapes come from
issue threads of clients.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from batchgen.simulator import gateway_replies
from batchgen.simulator.call_plan import CallPlan
from batchgen.simulator.endpoints.answers import base64_form, compact, filled, slot
from batchgen.simulator.endpoints.endpoint import EncodedPicture
from batchgen.simulator.faults import CHAT_SHAPES, Fault
from batchgen.simulator.gateway_replies import Declined, GatewayReplies, HttpReply, rejected
from batchgen.simulator.image_request import ImageRequest
from batchgen.simulator.payload import Payload
from batchgen.simulator.references import FileOf, from_part
from batchgen.simulator.request_validation import check_model, parse_body
from batchgen.simulator.state import IncomingCall

_ADDRESSED = frozenset({"markdown-url", "bare-url", "link"})
_EITHER = frozenset({"data", "images", "parts"})  # shapes that carry addresses as well as pictures
_OF_PICTURES = frozenset({"model", "size", "quality", "background", "output_format", "response_format", "n", "stream"})


class Chat:
    """The one endpoint for pictures from words and from pictures."""

    name = "chat"
    path = "/chat/completions"
    in_contracts = "chat"
    in_batches = False

    def read(self, call: IncomingCall, payload: Payload, files: FileOf) -> ImageRequest:
        """Read the last thing the user said; what was said before is context the simulator does not look at."""
        replies = call.replies
        body = parse_body(payload.body, replies)
        check_model(body, replies)
        content = _last_words(body, replies)
        fields = {name: value for name, value in body.items() if name in _OF_PICTURES}
        if isinstance(content, str):
            return ImageRequest({**fields, "prompt": content})
        parts = [part for part in content if isinstance(part, dict)]
        texts = [part["text"] for part in parts if part.get("type") == "text" and isinstance(part.get("text"), str)]
        pictures = [part for part in parts if part.get("type") == "image_url"]
        colour = call.options.pictures == "full"
        references = tuple(from_part(part, files, colour=colour) for part in pictures)
        return ImageRequest({**fields, "prompt": "\n".join(texts)}, references)

    def by_address(self, call: IncomingCall, plan: CallPlan) -> bool:
        """Say whether the shape carries addresses, or whether they are asked for where it can carry both."""
        shape = _shape(call, plan)
        if shape not in _EITHER:
            return shape in _ADDRESSED
        if plan.fault in {Fault.URL, Fault.EXPIRED_URL}:
            return True
        if shape == "data":
            return call.image_request.fields.get("response_format") != "b64_json"
        return plan.chance.roll("address") < 0.5

    def form(self, call: IncomingCall, plan: CallPlan) -> str:
        """Choose the form: any of the Images API's in the shape without choices; a data URL is never wrapped."""
        return base64_form(call, plan.chance) if _shape(call, plan) == "data" else "raw"

    def reply(self, call: IncomingCall, plan: CallPlan, pictures: list[EncodedPicture], created: int) -> HttpReply:
        """Answer with the picture, in its shape."""
        shape, picture = _shape(call, plan), pictures[0]
        if shape == "data":
            item = {"url" if picture.by_address else "b64_json": slot(0)}
            return HttpReply(200, filled({"data": [item], "created": created, **_usage(plan)}, [picture.text]))
        if shape == "output-text":
            document = {"object": "response", "created_at": created, "output_text": f"![image]({slot(0)})"}
            return HttpReply(200, filled({**document, **_usage(plan)}, [picture.data_url]))
        return HttpReply(200, filled(_completion(call, plan, created, _message(shape)), [picture.data_url]))

    def without_picture(self, call: IncomingCall, plan: CallPlan, created: int) -> HttpReply | None:
        """Answer with a sentence, or with nothing, where the picture should be."""
        if plan.fault is Fault.EMPTY:
            content = None if plan.chance.roll("nothing") < 0.5 else ""
        elif plan.fault is Fault.REFUSE_TEXT:
            content = gateway_replies.refusal_in_words(plan.chance.roll("words"))
        else:
            return None
        return HttpReply(200, compact(_completion(call, plan, created, {"content": content})))


def _last_words(body: Mapping[str, Any], replies: GatewayReplies) -> str | list[Any]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _bad_messages(replies, "Missing required parameter: 'messages'.")
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str | list):
                return content
            break
    raise _bad_messages(replies, "Invalid 'messages': the last user message must have content.")


def _bad_messages(replies: GatewayReplies, message: str) -> Declined:
    return rejected(replies.invalid(message, "messages", "invalid_value"))


def _shape(call: IncomingCall, plan: CallPlan) -> str:
    wanted = call.options.chat
    if wanted == "auto":
        return "data" if call.route.contract.provider == "apiyi" else "markdown-url"
    if wanted == "mixed":
        return CHAT_SHAPES[int(plan.chance.roll("shape") * len(CHAT_SHAPES))]
    return wanted


def _message(shape: str) -> dict[str, Any]:
    picture = {"type": "image_url", "image_url": {"url": slot(0)}}
    if shape == "images":
        return {"content": "", "images": [picture]}
    if shape == "parts":
        return {"content": [{"type": "text", "text": "Here is your image:"}, picture]}
    contents = {
        "markdown-url": f"\n\n![image]({slot(0)})\n\n",
        "markdown-data": f"![image]({slot(0)})",
        "link": f"Here is your image: [image]({slot(0)})",
    }
    return {"content": contents.get(shape, slot(0))}


def _completion(call: IncomingCall, plan: CallPlan, created: int, message: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion",
        "created": created,
        "model": call.route.contract.model,
        "choices": [choice],
        **_usage(plan),
    }


def _usage(plan: CallPlan) -> dict[str, Any]:
    """Spell the usage as chat does; empty when none is reported."""
    if plan.usage is None:
        return {}
    taken, made = plan.usage["input_tokens"], plan.usage["output_tokens"]
    return {"usage": {"prompt_tokens": taken, "completion_tokens": made, "total_tokens": taken + made}}
