"""POST /v1/images/generations, and the reply it shares with edits."""

from __future__ import annotations

from typing import Any

from batchgen.simulator import gateway_replies
from batchgen.simulator.call_plan import CallPlan
from batchgen.simulator.endpoints.answers import base64_form, compact, filled, slot, usage_of
from batchgen.simulator.endpoints.endpoint import EncodedPicture
from batchgen.simulator.faults import Fault
from batchgen.simulator.gateway_replies import HttpReply
from batchgen.simulator.image_request import ImageRequest
from batchgen.simulator.payload import Payload
from batchgen.simulator.references import FileOf
from batchgen.simulator.request_validation import check_model, parse_body
from batchgen.simulator.state import IncomingCall


class Generations:
    """Pictures from words alone."""

    name = "generations"
    path = "/images/generations"
    in_contracts = "images"
    in_batches = True

    def read(self, call: IncomingCall, payload: Payload, files: FileOf) -> ImageRequest:  # noqa: ARG002
        """Read the body: it holds the fields as they are."""
        fields = parse_body(payload.body, call.replies)
        check_model(fields, call.replies)
        return ImageRequest(fields)

    def by_address(self, call: IncomingCall, plan: CallPlan) -> bool:  # noqa: ARG002
        """Say whether the request or a fault asks for addresses."""
        return plan.fault in {Fault.URL, Fault.EXPIRED_URL} or plan.asked.response_format == "url"

    def form(self, call: IncomingCall, plan: CallPlan) -> str:
        """Choose the form the options name."""
        return base64_form(call, plan.chance)

    def reply(self, call: IncomingCall, plan: CallPlan, pictures: list[EncodedPicture], created: int) -> HttpReply:
        """Write the keys in the order each channel sends. Official routes say what they really delivered."""
        items = [{"url" if made.by_address else "b64_json": slot(number)} for number, made in enumerate(pictures)]
        document: dict[str, Any] = {"created": created}
        if call.replies.official:
            asked = plan.asked
            document["background"] = asked.background if asked.background not in {None, "auto"} else "opaque"
            document |= {"data": items, "output_format": asked.format, "quality": plan.quality, "size": str(plan.size)}
        else:
            document["data"] = items
        return HttpReply(200, filled({**document, **usage_of(plan)}, [made.text for made in pictures]))

    def without_picture(self, call: IncomingCall, plan: CallPlan, created: int) -> HttpReply | None:
        """Answer with nothing, or with the sentence the line behind gave: as a chat reply, or in an image's place."""
        if plan.fault is Fault.EMPTY:
            return HttpReply(200, compact({"created": created, "data": [], **usage_of(plan)}))
        if plan.fault is not Fault.REFUSE_TEXT:
            return None
        which = plan.chance.roll("words")
        text = gateway_replies.refusal_in_words(which)
        if which >= 0.5:
            return HttpReply(200, compact({"created": created, "data": [{"text": text}], **usage_of(plan)}))
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        model = call.route.contract.model
        body = {"object": "chat.completion", "created": created, "model": model, "choices": [choice], **usage_of(plan)}
        return HttpReply(200, compact(body))
