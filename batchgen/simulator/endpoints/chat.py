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
from batchgen.simulator.call_plan import Work
from batchgen.simulator.endpoints.answers import base64_form, compact, filled, slot
from batchgen.simulator.endpoints.endpoint import Made
from batchgen.simulator.faults import CHAT_SHAPES, Fault
from batchgen.simulator.gateway_replies import Declined, Reply, Voice
from batchgen.simulator.image_request import Wish
from batchgen.simulator.payload import Packet
from batchgen.simulator.reference_checks import rejected
from batchgen.simulator.references import FileOf, from_part
from batchgen.simulator.request_validation import check_model, parse_body
from batchgen.simulator.state import Arrival

_ADDRESSED = frozenset({"markdown-url", "bare-url", "link"})
_EITHER = frozenset({"data", "images", "parts"})  # shapes that carry addresses as well as pictures
_OF_PICTURES = frozenset({"model", "size", "quality", "background", "output_format", "response_format", "n", "stream"})


class Chat:
    """One endpoint for pictures from words and from pictures."""

    name = "chat"

    def read(self, arrival: Arrival, packet: Packet, files: FileOf) -> Wish:
        """The last thing the user said; what was said before is context that the simulator does not look at."""
        voice = arrival.voice
        body = parse_body(packet.body, voice)
        check_model(body, voice)
        content = _last_words(body, voice)
        fields = {name: value for name, value in body.items() if name in _OF_PICTURES}
        if isinstance(content, str):
            return Wish({**fields, "prompt": content})
        parts = [part for part in content if isinstance(part, dict)]
        texts = [part["text"] for part in parts if part.get("type") == "text" and isinstance(part.get("text"), str)]
        pictures = [part for part in parts if part.get("type") == "image_url"]
        colour = arrival.options.pictures == "full"
        references = tuple(from_part(part, files, colour=colour) for part in pictures)
        return Wish({**fields, "prompt": "\n".join(texts)}, references)

    def by_address(self, arrival: Arrival, work: Work) -> bool:
        """As the shape is, or as asked where it can carry both."""
        shape = _shape(arrival, work)
        if shape not in _EITHER:
            return shape in _ADDRESSED
        if work.fault in {Fault.URL, Fault.EXPIRED_URL}:
            return True
        if shape == "data":
            return arrival.wish.fields.get("response_format") != "b64_json"
        return work.chance.roll("address") < 0.5

    def form(self, arrival: Arrival, work: Work) -> str:
        """A data URL in a text is never wrapped; the shape without choices has all the forms of the Images API."""
        return base64_form(arrival, work.chance) if _shape(arrival, work) == "data" else "raw"

    def reply(self, arrival: Arrival, work: Work, pictures: list[Made], created: int) -> Reply:
        """The picture, in its shape."""
        shape, picture = _shape(arrival, work), pictures[0]
        if shape == "data":
            item = {"url" if picture.by_address else "b64_json": slot(0)}
            return Reply(200, filled({"data": [item], "created": created, **_usage(work)}, [picture.text]))
        if shape == "output-text":
            document = {"object": "response", "created_at": created, "output_text": f"![image]({slot(0)})"}
            return Reply(200, filled({**document, **_usage(work)}, [picture.data_url]))
        return Reply(200, filled(_completion(arrival, work, created, _message(shape)), [picture.data_url]))

    def without_picture(self, arrival: Arrival, work: Work, created: int) -> Reply | None:
        """A sentence, or nothing, where the picture should be."""
        if work.fault is Fault.EMPTY:
            content = None if work.chance.roll("nothing") < 0.5 else ""
        elif work.fault is Fault.REFUSE_TEXT:
            content = gateway_replies.refusal_in_words(work.chance.roll("words"))
        else:
            return None
        return Reply(200, compact(_completion(arrival, work, created, {"content": content})))


def _last_words(body: Mapping[str, Any], voice: Voice) -> str | list[Any]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _bad_messages(voice, "Missing required parameter: 'messages'.")
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str | list):
                return content
            break
    raise _bad_messages(voice, "Invalid 'messages': the last user message must have content.")


def _bad_messages(voice: Voice, message: str) -> Declined:
    return rejected(voice.invalid(message, "messages", "invalid_value"))


def _shape(arrival: Arrival, work: Work) -> str:
    wanted = arrival.options.chat
    if wanted == "auto":
        return "data" if arrival.route.contract.provider == "apiyi" else "markdown-url"
    if wanted == "mixed":
        return CHAT_SHAPES[int(work.chance.roll("shape") * len(CHAT_SHAPES))]
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


def _completion(arrival: Arrival, work: Work, created: int, message: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion",
        "created": created,
        "model": arrival.route.contract.model,
        "choices": [choice],
        **_usage(work),
    }


def _usage(work: Work) -> dict[str, Any]:
    """Usage in the spelling of chat."""
    if work.usage is None:
        return {}
    taken, made = work.usage["input_tokens"], work.usage["output_tokens"]
    return {"usage": {"prompt_tokens": taken, "completion_tokens": made, "total_tokens": taken + made}}
