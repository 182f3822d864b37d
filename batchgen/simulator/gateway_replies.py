"""The words of the gateways: every answer that is not a picture, as each vendor writes it.

Three speakers: OpenAI itself; a relay in front of it, which passes OpenAI's bodies on and adds its own; and the reverse
routes, whose gateway (ShellAPI, a relative of one-api) speaks for itself. Bodies follow recorded ones: APIYI's pages on
pre-deduction and troubleshooting, LaoZhang's on concurrency, OpenAI's error guide (2026).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from batchgen.contracts.contract import Contract
from batchgen.domain.model import OutcomeKind

_SHELL = "shell_api_error"


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An answer that is ready to be sent."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


class Declined(Exception):
    """A call that ends here, for nothing. `occurrence` and `fault` are for the bill."""

    def __init__(self, kind: OutcomeKind, reply: HttpReply) -> None:
        self.kind = kind
        self.reply = reply
        self.occurrence = 0
        self.fault = ""
        super().__init__(f"{kind}: HTTP {reply.status}")


def rejected(reply: HttpReply) -> Declined:
    """Make the exception for a call that ends because it is not as it must be."""
    return Declined(OutcomeKind.REJECTED, reply)


@dataclass(frozen=True, slots=True)
class GatewayReplies:
    """How one route speaks about one call."""

    contract: Contract
    request_id: str

    @property
    def openai(self) -> bool:
        """Whether OpenAI itself is at the other end."""
        return self.contract.provider == "openai"

    @property
    def official(self) -> bool:
        """Whether OpenAI's own bodies come through."""
        return self.contract.channel == "official"

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers that carry the request id."""
        if self.openai:
            return (("x-request-id", self.request_id),)
        own = "x-shellapi-request-id" if self.contract.provider == "apiyi" else "x-oneapi-request-id"
        return ((own, self.request_id), ("x-request-id" if self.official else "request-id", self.request_id))

    def missing_key(self) -> HttpReply:
        """Say with a 401 that there is no bearer key."""
        if self.openai:
            text = (
                "You didn't provide an API key. You need to provide your API key in an Authorization header using"
                " Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
            )
            return error(401, text, "invalid_request_error")
        return self.shell(401, "未提供令牌")

    def bad_key(self) -> HttpReply:
        """Say with a 401 that the key is not known."""
        if self.openai:
            text = (
                "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."
            )
            return error(401, text, "invalid_request_error", code="invalid_api_key")
        return self.shell(401, "无效的令牌")

    def bad_json(self) -> HttpReply:
        """Say with a 400 that the body cannot be read."""
        if self.official:
            return error(400, "We could not parse the JSON body of your request.", "invalid_request_error")
        return self.shell(400, "Unmarshal request body failed", code="bad_request_body")

    def unknown_model(self, model: str) -> HttpReply:
        """Say that there is no such model: with a 404 at OpenAI, a 503 at gateways that find no channel for it."""
        if self.openai:
            text = f"The model '{model}' does not exist or you do not have access to it."
            return error(404, text, "invalid_request_error", code="model_not_found")
        group = self.contract.group or "default"
        return self.shell(503, f"当前分组 {group} 下对于模型 {model} 无可用渠道", code="model_not_found")

    def invalid(self, message: str, param: str, code: str, kind: str = "invalid_request_error") -> HttpReply:
        """Say with a 400 that a parameter is not as it must be."""
        if self.official:
            return error(400, message, kind, param=param, code=code)
        return error(400, self.signed(message), "invalid_request_error", param=param, code=code)

    def throttled(self, wait: float, *, in_words: bool) -> HttpReply:
        """Say with a 429 that it is too much for now; `wait` is in seconds."""
        hint = f" Please try again in {wait:.3g}s." if in_words else ""
        if self.official:
            limited = f"Rate limit reached for {self.contract.model} (for limit gpt-image) on images per min: "
            text = limited + "Limit 5, Used 5, Requested 1."
            return error(429, text + hint, "requests", code="rate_limit_exceeded")
        return self.shell(429, "当前分组上游负载已饱和，请稍后再试" + hint, code="rate_limit_exceeded")

    def quota(self, left: int, wanted: int) -> HttpReply:
        """Say that there is no money left: with a 429, but a 403 on APIYI's routes; amounts in micro-dollars."""
        if self.openai:
            text = (
                "You exceeded your current quota, please check your plan and billing details. For more information on"
                " this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
            )
            return error(429, text, "insufficient_quota", code="insufficient_quota")
        # Quota units: 500,000 to the dollar, so one for every two micro-dollars.
        text = f"user [10086] quota [{left // 2}] preConsumedQuota [{wanted // 2}] is not enough"
        status = 403 if self.contract.provider == "apiyi" else 429
        return error(
            status, text, _SHELL, param="", code="insufficient_user_quota", localized_message="Insufficient user quota"
        )

    def refused(self) -> HttpReply:
        """Refuse the content: OpenAI's moderation with a 400, reverse routes with a 500 that says so."""
        text = (
            "Your request was rejected by the safety system. If you believe this is an error, contact us at"
            f" help.openai.com and include the request ID {self.request_id}. safety_violations=[sexual]."
        )
        if self.official:
            details = {"moderation_stage": "input", "categories": ["sexual"]}
            kind = "image_generation_user_error" if self.openai else _SHELL
            return error(400, text, kind, code="moderation_blocked", moderation_details=details)
        return error(
            500,
            text,
            "invalid_request_error",
            param="",
            localized_message="Unknown error",
            traceid=self.request_id[:16],
        )

    def server_error(self) -> HttpReply:
        """Fail with a 500 in the gateway's own words. The reverse routes at 4K say `invalid_request_error` with it."""
        if self.official:
            text = (
                "The server had an error while processing your request. Sorry about that! Please contact us through our"
                " help center at help.openai.com if the error persists."
                f" (Please include the request ID {self.request_id}.)"
            )
            return error(500, text, "server_error", code="server_error" if self.openai else None)
        text = self.signed("status_code: 500, upstream service temporarily unavailable")
        return error(500, text, "invalid_request_error", param="", localized_message="Unknown error")

    def error_in_200(self) -> HttpReply:
        """Pass an upstream's failure on as a success."""
        return error(200, self.signed("bad response from upstream"), "upstream_error", code="bad_response_body")

    def no_such_path(self, path: str, method: str = "POST") -> HttpReply:
        """Say with a 404 that the endpoint is not there."""
        return error(404, f"Invalid URL ({method} {path})", "invalid_request_error")

    def signed(self, message: str) -> str:
        """Add the request id to a message, as the gateways write it."""
        return f"{message} (request id: {self.request_id})"

    def shell(self, status: int, message: str, code: str = "") -> HttpReply:
        """Write an error of the gateway itself."""
        return error(status, self.signed(message), _SHELL, param="", code=code)


def error(
    status: int, message: str, kind: str, *, param: str | None = None, code: str | None = None, **more: Any
) -> HttpReply:
    """Write an error in its common shape, with what a vendor adds."""
    inner = {"message": message, "type": kind, "param": param, "code": code, **more}
    return HttpReply(status, json.dumps({"error": inner}, ensure_ascii=False, separators=(",", ":")).encode())


REFUSALS = (
    "I'm sorry, but I can't create that image because it may violate our content policies.",
    "抱歉，我无法生成这张图片，因为它可能违反了我们的内容政策。",
    "I can't help with that request. I can make a similar image without the person's likeness.",
)


def refusal_in_words(which: float) -> str:
    """Pick a sentence that refuses, in English or Chinese; `which` lies from 0 up to 1."""
    return REFUSALS[int(which * 997) % len(REFUSALS)]


def _page(status: int, title: str, server: str) -> HttpReply:
    body = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
    return HttpReply(status, f"{body}<hr><center>{server}</center>\r\n</body>\r\n</html>\r\n".encode(), "text/html")


SERVER_ERROR_PAGE = _page(500, "500 Internal Server Error", "nginx")
BAD_GATEWAY_PAGE = _page(502, "502 Bad Gateway", "nginx")
EDGE_TIMEOUT_PAGE = _page(524, "524: A timeout occurred", "cloudflare")
GARBAGE = HttpReply(200, b"\x1f\x9d<<<" + bytes(range(256)) * 2, "application/json")
GONE_PAGE = HttpReply(
    404, b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>NoSuchKey</Code></Error>', "application/xml"
)
