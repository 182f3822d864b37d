"""What a request asks, read as strictly as the route would: parameters it takes, values, sizes, lengths."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batchgen.domain.size import AUTO, Size, parse_size
from batchgen.simulator.chance import strip_marker
from batchgen.simulator.gateway_replies import Declined, GatewayReplies, rejected

# What OpenAI's Images API knows beside the parameters a contract has rules for (API reference, 2026-11).
_ALWAYS_KNOWN = frozenset(
    {"model", "prompt", "size", "n", "output_compression", "stream", "partial_images", "user", "safety_identifier"}
)
_WIRE_NAMES = {"format": "output_format"}


@dataclass(frozen=True, slots=True)
class ValidatedRequest:
    """A request that the route understands and takes.

    Attributes:
        prompt: without what it asks of the simulator.
        size: `AUTO` when none was named or the route does not listen.
    """

    prompt: str
    size: Size
    quality: str | None
    background: str | None
    format: str
    response_format: str
    n: int


def parse_body(body: bytes, replies: GatewayReplies) -> dict[str, Any]:
    """Read a body of JSON as a mapping.

    Raises:
        Declined: it is no JSON object.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise rejected(replies.bad_json())
    return fields


def check_model(fields: Mapping[str, Any], replies: GatewayReplies) -> None:
    """Make sure that the model is the route's.

    Raises:
        Declined: it is not.
    """
    if fields.get("model") != replies.contract.model:
        raise rejected(replies.unknown_model(str(fields.get("model"))))


def wanted_size(fields: Mapping[str, Any]) -> Size:
    """Read the size a request names, whether or not the route takes it; `AUTO` when it names none that can be read."""
    try:
        text = fields.get("size")
        return parse_size(text) if isinstance(text, str) and "@" not in text else AUTO
    except ValueError:
        return AUTO


class RequestValidator:
    """The rules of one route, applied to one request."""

    def __init__(self, replies: GatewayReplies, unsure: str, inside: str = "") -> None:
        self.contract = replies.contract
        self.replies = replies
        self.unsure = unsure
        self.inside = inside

    def validate(self, fields: Mapping[str, Any]) -> ValidatedRequest:
        """Read what is asked, and hold it against the rules.

        Raises:
            Declined: with the 400 the route would send.
        """
        self._names(fields)
        prompt = self._prompt(fields)
        asked = ValidatedRequest(
            prompt=strip_marker(prompt),
            size=self._size(fields, prompt),
            quality=self._choice(fields, "quality"),
            background=self._choice(fields, "background"),
            format=self._choice(fields, "format") or "png",
            response_format=self._response_format(fields),
            n=self._count(fields),
        )
        if asked.background == "transparent" and asked.format not in self.contract.transparent_formats:
            message = f"Transparent background is not supported with output_format '{asked.format}'."
            raise self._invalid(message, "background", "invalid_value")
        return asked

    def _invalid(self, message: str, param: str, code: str, kind: str = "invalid_request_error") -> Declined:
        named = param if param in {"prompt", "stream"} else self.inside + param
        return rejected(self.replies.invalid(message, named, code, kind))

    def _stance(self, name: str) -> str:
        rule = self.contract.parameters.get(name)
        if rule is None:
            return "rejects"
        if rule.stance == "unsure":
            return "rejects" if self.unsure == "reject" else "takes"
        return rule.stance

    def _names(self, fields: Mapping[str, Any]) -> None:
        """Refuse parameters the route does not take. OpenAI refuses every unknown one, the reverse routes look away."""
        rules = {_WIRE_NAMES.get(name, name): name for name in self.contract.parameters if name != "n"}
        for name, value in fields.items():
            if name in _ALWAYS_KNOWN or value is None:
                continue
            refused = self._stance(rules[name]) == "rejects" if name in rules else self.replies.official
            if refused and self.replies.official:
                raise self._invalid(f"Unknown parameter: '{self.inside}{name}'.", name, "unknown_parameter")
            if refused:
                raise self._invalid(f"{name} is not supported by {self.contract.model}", name, "invalid_parameter")
        if fields.get("stream"):
            raise self._invalid("Streaming is not supported here.", "stream", "unsupported_parameter")

    def _prompt(self, fields: Mapping[str, Any]) -> str:
        prompt = fields.get("prompt")
        if not isinstance(prompt, str) or not prompt:
            raise self._invalid("Missing required parameter: 'prompt'.", "prompt", "missing_required_parameter")
        if len(prompt) > self.contract.max_prompt:
            message = (
                f"Invalid 'prompt': string too long. Expected a string with maximum length {self.contract.max_prompt},"
                f" but got a string with length {len(prompt)} instead."
            )
            raise self._invalid(message, "prompt", "string_above_max_length")
        return prompt

    def _choice(self, fields: Mapping[str, Any], name: str) -> str | None:
        """Read a parameter with listed values; None when it is absent."""
        wire = _WIRE_NAMES.get(name, name)
        value = fields.get(wire)
        if value is None:
            return None
        rule = self.contract.parameters.get(name)
        values = rule.values if rule else ()
        if not isinstance(value, str) or (values and value not in values):
            listed = ", ".join(f"'{each}'" for each in values)
            raise self._invalid(f"Invalid value: '{value}'. Supported values are: {listed}.", wire, "invalid_value")
        return value

    def _response_format(self, fields: Mapping[str, Any]) -> str:
        value = fields.get("response_format", "b64_json")
        if value not in {"b64_json", "url"}:
            raise self._invalid(f"Invalid value: '{value}'.", "response_format", "invalid_value")
        return str(value)

    def _count(self, fields: Mapping[str, Any]) -> int:
        """Read `n`, which every route lets pass, though not every one keeps it."""
        n = fields.get("n", 1)
        if n is None:
            return 1
        if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= 10:
            raise self._invalid(
                "Invalid 'n': integer out of range. Expected a value from 1 to 10.", "n", "invalid_value"
            )
        return n

    def _size(self, fields: Mapping[str, Any], prompt: str) -> Size:
        rule = self.contract.sizes
        text = fields.get("size")
        if rule.by == "wording":
            return self._worded(text, prompt)
        if text is None:
            return AUTO
        if rule.kind == "none":
            raise self._invalid(f"size is not supported by {self.contract.model}", "size", "invalid_parameter")
        size = self._pixels(text)
        if rule.objection(size) is None:
            return size
        if self.replies.official:
            message = f"Invalid size '{text}'. {self._why(size)}"
            raise self._invalid(message, "size", "invalid_value", "image_generation_user_error")
        raise self._invalid(
            f"size {text} is not supported by {self.contract.model}, use one of the {len(rule.listed)} listed sizes",
            "size",
            "invalid_size",
        )

    def _pixels(self, text: object) -> Size:
        try:
            if isinstance(text, str) and "@" not in text and "×" not in text and "X" not in text:
                return parse_size(text)
        except ValueError:
            pass
        raise self._invalid(f"Invalid size '{text}'. Write WIDTHxHEIGHT.", "size", "invalid_value")

    def _why(self, size: Size) -> str:
        """Say what is wrong with a size in OpenAI's own sentences, as recorded in 2026."""
        rule = self.contract.sizes
        long, short = max(size.width, size.height), min(size.width, size.height)
        if rule.multiple_of and (long % rule.multiple_of or short % rule.multiple_of):
            return f"Width and height must both be divisible by {rule.multiple_of}."
        if rule.max_edge and long > rule.max_edge:
            return f"The longest edge must be less than or equal to {rule.max_edge}."
        if rule.max_ratio and long > short * rule.max_ratio:
            return f"The aspect ratio must be between 1:{rule.max_ratio} and {rule.max_ratio}:1."
        if size.pixels < rule.min_pixels:
            return "Requested resolution is below the current minimum pixel budget."
        return "Requested resolution exceeds the current pixel budget."

    def _worded(self, text: object, prompt: str) -> Size:
        """Return the native pixels of the phrase before the prompt; else a `size` within reach; else none."""
        rule = self.contract.sizes
        prompt = prompt.removeprefix(self.contract.chat_lead)
        found = [(len(phrase), ratio) for ratio, phrase in rule.wording.items() if prompt.startswith(phrase)]
        if found:
            return rule.answers.get(max(found)[1], AUTO)
        size = wanted_size({"size": text})
        long = max(size.width, size.height)
        return size if rule.min_edge <= long <= rule.max_edge and min(size.width, size.height) > 0 else AUTO
