"""Faults of the status line: what a gateway, a proxy or a CDN says instead of a picture."""

from __future__ import annotations

from tests.chaos import wire_case as of
from tests.chaos.pictures import HTML
from tests.chaos.raw_gateway import End, Script
from tests.chaos.wire_case import WHOLE, Case, error, framed, sends, status

_PAGE = "text/html"
_JSON_500 = error("internal error", "internal_error", "server_error")
_REFUSAL = error("Your request was rejected by the safety system", "moderation_blocked", "invalid_request_error")
_QUOTA = error("用户额度不足", "insufficient_user_quota", "new_api_error")


def _html(code: int, *headers: str) -> Script:
    return status(code, HTML, *headers, kind=_PAGE)


_AS_THE_LANE_LIKES = (0.0, 0.6)  # seconds


def _again(name: str, *headers: str, pause: tuple[float, float], body: bytes = error("too many requests")) -> Case:
    return of.throttled(f"429 {name}", status(429, body, *headers), pause=pause)


_INTERIM = [
    of.whole(
        "100 and 102, then 200",
        sends(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 X\r\na: b\r\n\r\n", framed(WHOLE)),
    ),
    of.whole("103 with links, then 200", sends(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", framed(WHOLE))),
    of.whole("twenty 102s, then 200", sends(*[b"HTTP/1.1 102 Processing\r\n\r\n"] * 20, framed(WHOLE))),
    of.whole("1,000 102s at once, then 200", sends(b"HTTP/1.1 102 Processing\r\n\r\n" * 1_000 + framed(WHOLE))),
    of.rejected(
        "100, then 400", sends(b"HTTP/1.1 100 Continue\r\n\r\n", framed(error("no"), head=b"HTTP/1.1 400 X\r\n"))
    ),
    of.lost("only 102, then closed", sends(b"HTTP/1.1 102 Processing\r\n\r\n" * 3)),
    of.lost("101 switching protocols", sends(b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")),
    of.empty("204", sends(b"HTTP/1.1 204 No Content\r\n\r\n")),
    of.empty("205 with a length of 0", status(205)),
    of.whole("201 with a picture", status(201, WHOLE)),
    of.whole("206 with a whole picture", status(206, WHOLE)),
]

_REDIRECTS = [
    of.unserved(f"{code} to {where}", status(code, b"", f"Location: {target}"))
    for code in (301, 302, 303, 307, 308)
    for where, target in [("itself", "/v1/images/generations")]
] + [
    of.unserved("307 to another host", status(307, b"", "Location: http://127.0.0.1:1/v1/images/generations")),
    of.unserved("302 to a login page", status(302, HTML, "Location: https://example.com/login", kind=_PAGE)),
    of.unserved("300 without a location", status(300)),
    of.unserved("304", sends(b"HTTP/1.1 304 Not Modified\r\n\r\n")),
]

_REFUSALS = [
    of.rejected(
        "400 as JSON", status(400, error("size is not supported", "invalid_value")), says="size is not supported"
    ),
    of.rejected("400 as HTML", _html(400)),
    of.rejected("400 without a body", status(400)),
    of.rejected("400 that breaks off", sends(framed(error("no")[:20], length=500, head=b"HTTP/1.1 400 X\r\n"))),
    of.refused("400 for the content", status(400, _REFUSAL)),
    of.no_entry("401 as JSON", status(401, error("invalid key", "invalid_api_key"))),
    of.page("401 as HTML", _html(401)),
    of.no_entry("401 without a body or length", sends(b"HTTP/1.1 401 X\r\n\r\n")),
    of.no_quota("402", status(402, error("payment required"))),
    of.no_quota("402 without a body", status(402)),
    of.no_entry("403 as JSON", status(403, error("no access to the group"))),
    of.no_quota("403 for want of money", status(403, _QUOTA)),
    of.refused("403 for the content", status(403, _REFUSAL)),
    of.page("403 by a firewall's page", _html(403)),
    of.unserved("404 as JSON", status(404, error("no such model", "model_not_found"))),
    of.rejected("404 as HTML", _html(404)),
    of.edge("408 as JSON", status(408, error("request timed out"))),
    of.rejected("409", status(409, error("idempotency conflict"))),
    of.rejected("413 as HTML", _html(413)),
    of.rejected("415", status(415, error("unsupported media type"))),
    of.rejected("422", status(422, b'{"detail":[{"loc":["body","size"],"msg":"bad size"}]}'), says="bad size"),
    of.rejected("451", status(451, error("not in your country"))),
]

_THROTTLES = [
    _again("without a word", pause=_AS_THE_LANE_LIKES),
    _again("with seconds", "Retry-After: 7", pause=(7, 7)),
    _again("with a fraction of a second", "Retry-After: 0.05", pause=(0.05, 0.05)),
    _again("with milliseconds", "retry-after-ms: 80", pause=(0.08, 0.08)),
    _again("with both, of which the longer counts", "retry-after-ms: 80", "Retry-After: 9", pause=(9, 9)),
    _again("with a date", "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT", pause=(1e9, 1e10)),
    _again("with a date that is over", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT", pause=_AS_THE_LANE_LIKES),
    _again("with zero", "Retry-After: 0", pause=_AS_THE_LANE_LIKES),
    _again("with a negative number", "Retry-After: -5", pause=_AS_THE_LANE_LIKES),
    _again("with a thousand million seconds", "Retry-After: 1000000000", pause=(1e9, 1e9)),
    _again("with endless digits", f"Retry-After: {'9' * 400}", pause=_AS_THE_LANE_LIKES),
    _again("with nan", "Retry-After: nan", pause=_AS_THE_LANE_LIKES),
    _again("with garbage", "Retry-After: soon\tperhaps \xe9", pause=_AS_THE_LANE_LIKES),
    _again("with a hint in the words", body=error("Rate limit reached. Please try again in 60ms."), pause=(0.06, 0.06)),
    _again("as HTML", "Retry-After: 0.05", body=HTML, pause=(0.05, 0.05)),
    of.throttled("429 without a body or length", sends(b"HTTP/1.1 429 X\r\n\r\n"), pause=_AS_THE_LANE_LIKES),
    of.no_quota("429 for want of money", status(429, _QUOTA)),
    of.no_quota("429 for want of quota, by code alone", status(429, error("", "insufficient_quota"))),
]

_BROKEN = [
    of.own_error("500 as JSON", status(500, _JSON_500), says="internal error"),
    of.own_error("500 as JSON with a BOM", status(500, b"\xef\xbb\xbf" + _JSON_500)),
    of.own_error("500 whose error is a word", status(500, b'{"error":"upstream error"}')),
    of.own_error("500 that asks for a pause", status(500, _JSON_500, "Retry-After: 0.05")),
    of.refused("500 for the content", status(500, error("内容违规", "content_policy_violation"))),
    of.no_quota("500 for want of money", status(500, _QUOTA)),
    of.edge("500 as HTML", _html(500)),
    of.edge("500 without a body", status(500)),
    of.edge("500 with an empty object", status(500, b"{}")),
    of.edge("500 whose JSON breaks off", sends(framed(_JSON_500[:30], length=500, head=b"HTTP/1.1 500 X\r\n"))),
    of.edge(
        "500 whose body hangs", sends(framed(b"{", length=5, head=b"HTTP/1.1 500 X\r\n"), end=End.HANG), timeout=0.5
    ),
    of.edge("502 as HTML", _html(502)),
    of.own_error("502 as JSON", status(502, error("bad upstream response", "bad_response_status_code"))),
    of.unserved("503 as JSON", status(503, error("no channel for this model", "model_not_available"))),
    of.edge("503 as HTML", _html(503, "Retry-After: 0.05")),
    of.edge("504 as JSON", status(504, error("gateway timeout"))),
    of.edge("504 as HTML", _html(504)),
    *[of.edge(f"Cloudflare's {code}", _html(code, "CF-Ray: 8")) for code in (520, 521, 522, 523, 524, 525, 526, 530)],
    of.edge("a status nobody knows, 599", status(599)),
    of.edge("a status nobody knows, 999", status(999)),
    of.edge("an error page without a length", sends(b"HTTP/1.1 502 X\r\n\r\n" + HTML)),
]

CASES: list[Case] = [*_INTERIM, *_REDIRECTS, *_REFUSALS, *_THROTTLES, *_BROKEN]
