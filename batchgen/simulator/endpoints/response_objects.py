"""The objects of the Responses API, with every field OpenAI's SDK types ask for (openai 3.52)."""

from __future__ import annotations

import secrets
from typing import Any

from batchgen.simulator.call_plan import CallPlan
from batchgen.simulator.state import IncomingCall

_NO_TOKENS = {
    "input_tokens": 0,
    "input_tokens_details": {"text_tokens": 0, "image_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "total_tokens": 0,
}


def response(call: IncomingCall, plan: CallPlan, output: list[dict[str, Any]], created: int) -> dict[str, Any]:
    """Make the whole reply: mainline tokens in `usage`, those of the pictures in `tool_usage.image_gen`."""
    usage = plan.usage or {}
    image_gen = {name: value for name, value in usage.items() if not name.startswith("main_")} or _NO_TOKENS
    taken, made = usage.get("main_input_tokens", 0), usage.get("main_output_tokens", 0)
    return {
        "id": _id("resp"),
        "object": "response",
        "created_at": created,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": call.image_request.main,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": call.image_request.stored,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": {"type": "image_generation"},
        "tools": [{"type": "image_generation", "model": call.route.contract.model}],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": {
            "input_tokens": taken,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": made,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": taken + made,
        },
        "tool_usage": {"image_gen": image_gen, "web_search": {"num_requests": 0}},
    }


def image_call(call: IncomingCall, plan: CallPlan) -> dict[str, Any]:
    """Make a call of the image tool with the values it really used; status and result are to be added."""
    asked = plan.asked
    return {
        "id": _id("ig"),
        "type": "image_generation_call",
        "action": "edit" if call.image_request.references else "generate",
        "background": asked.background if asked.background not in {None, "auto"} else "opaque",
        "output_format": asked.format,
        "quality": plan.quality,
        "revised_prompt": asked.prompt,
        "size": str(plan.size),
    }


def blocked_call(call: IncomingCall, plan: CallPlan) -> dict[str, Any]:
    """Make a call of the image tool that moderation ended."""
    error = {
        "code": "moderation_blocked",
        "message": "Your request was rejected by the safety system. safety_violations=[sexual].",
        "param": None,
        "type": "image_generation_user_error",
        "moderation_details": {"moderation_stage": "input", "categories": ["sexual"]},
    }
    return {**image_call(call, plan), "status": "failed", "result": None, "error": error}


def message(part: dict[str, Any]) -> dict[str, Any]:
    """Make the message of what the model says, in one part."""
    extra: dict[str, Any] = {"annotations": [], "logprobs": []} if part["type"] == "output_text" else {}
    return {
        "id": _id("msg"),
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{**part, **extra}],
    }


def _id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(24)}"
