"""POST /v1/images/generations, and the reply it shares with edits."""

from __future__ import annotations

from typing import Any

from batchgen.simulator import gateway_replies
from batchgen.simulator.call_plan import Work
from batchgen.simulator.endpoints.answers import base64_form, compact, filled, slot, usage_of
from batchgen.simulator.endpoints.endpoint import Made
from batchgen.simulator.faults import Fault
from batchgen.simulator.gateway_replies import Reply
from batchgen.simulator.image_request import Wish
from batchgen.simulator.payload import Packet
from batchgen.simulator.references import FileOf
from batchgen.simulator.request_validation import check_model, parse_body
from batchgen.simulator.state import Arrival


class Generations:
    """Pictures from words alone."""

    name = "generations"

    def read(self, arrival: Arrival, packet: Packet, files: FileOf) -> Wish:  # noqa: ARG002
        """The body is the wish."""
        fields = parse_body(packet.body, arrival.voice)
        check_model(fields, arrival.voice)
        return Wish(fields)

    def by_address(self, arrival: Arrival, work: Work) -> bool:  # noqa: ARG002
        """When asked, or when a fault says so."""
        return work.fault in {Fault.URL, Fault.EXPIRED_URL} or work.asked.response_format == "url"

    def form(self, arrival: Arrival, work: Work) -> str:
        """As the options say."""
        return base64_form(arrival, work.chance)

    def reply(self, arrival: Arrival, work: Work, pictures: list[Made], created: int) -> Reply:
        """The body, in the order of keys each channel sends. Official routes say what they really delivered."""
        items = [{"url" if made.by_address else "b64_json": slot(number)} for number, made in enumerate(pictures)]
        document: dict[str, Any] = {"created": created}
        if arrival.voice.official:
            asked = work.asked
            document["background"] = asked.background if asked.background not in {None, "auto"} else "opaque"
            document |= {"data": items, "output_format": asked.format, "quality": work.quality, "size": str(work.size)}
        else:
            document["data"] = items
        return Reply(200, filled({**document, **usage_of(work)}, [made.text for made in pictures]))

    def without_picture(self, arrival: Arrival, work: Work, created: int) -> Reply | None:
        """Nothing, or the sentence that the line behind gave: as a chat reply, or in an image's place."""
        if work.fault is Fault.EMPTY:
            return Reply(200, compact({"created": created, "data": [], **usage_of(work)}))
        if work.fault is not Fault.REFUSE_TEXT:
            return None
        which = work.chance.roll("words")
        text = gateway_replies.refusal_in_words(which)
        if which >= 0.5:
            return Reply(200, compact({"created": created, "data": [{"text": text}], **usage_of(work)}))
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        model = arrival.route.contract.model
        body = {"object": "chat.completion", "created": created, "model": model, "choices": [choice], **usage_of(work)}
        return Reply(200, compact(body))
