"""/v1/files as OpenAI serves it: what batches read and write, and pictures to refer to."""

from __future__ import annotations

import asyncio

from aiohttp import web

from batchgen.simulator import gateway_replies
from batchgen.simulator.batch.api import answered
from batchgen.simulator.gateway_replies import Declined, GatewayReplies, rejected
from batchgen.simulator.payload import receive
from batchgen.simulator.state import SimulatorState

_LARGEST_BATCH = 200 * 1024 * 1024  # bytes of a batch's input (batch reference)
_PURPOSES = ("batch", "vision", "user_data")


class FileHandlers:
    """The handlers of `/files` of one route."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state

    async def create(self, request: web.Request, replies: GatewayReplies) -> web.Response:
        """Keep an uploaded file."""
        payload = await receive(request)
        try:
            fields = dict(payload.texts)
            uploads = [upload for upload in payload.uploads if upload.name == "file"]
            if payload.broken or not uploads:
                message = "Missing required parameter: 'file'."
                raise rejected(replies.invalid(message, "file", "missing_required_parameter"))
            purpose = fields.get("purpose")
            if purpose not in _PURPOSES:
                message = f"Invalid value: '{purpose}'. Supported values are: {', '.join(_PURPOSES)}."
                raise rejected(replies.invalid(message, "purpose", "invalid_value"))
            upload = uploads[0]
            if purpose == "batch" and upload.size > _LARGEST_BATCH:
                message = f"The file has {upload.size} bytes; a batch takes {_LARGEST_BATCH} at most."
                raise rejected(gateway_replies.error(413, message, "invalid_request_error", param="file"))
            seconds = fields.get("expires_after[seconds]", "")
            life = int(seconds) if seconds.isdigit() else None
            add = self._state.files.add
            return answered(replies, await asyncio.to_thread(add, upload.file, upload.filename, purpose, life))
        finally:
            payload.close()

    async def retrieve(self, request: web.Request, replies: GatewayReplies) -> web.Response:
        """Answer with the description of a file."""
        facts = self._state.files.find(request.match_info["id"])
        if facts is None:
            raise _missing(request)
        return answered(replies, facts)

    async def content(self, request: web.Request, replies: GatewayReplies) -> web.StreamResponse:
        """Answer with the content of a file, piece by piece."""
        path = self._state.files.path(request.match_info["id"])
        if path is None:
            raise _missing(request)
        return web.FileResponse(path, headers={**dict(replies.headers()), "Content-Type": "application/octet-stream"})

    async def delete(self, request: web.Request, replies: GatewayReplies) -> web.Response:
        """Delete a file."""
        file_id = request.match_info["id"]
        if not self._state.files.delete(file_id):
            raise _missing(request)
        return answered(replies, {"id": file_id, "object": "file", "deleted": True})


def _missing(request: web.Request) -> Declined:
    message = f"No such File object: {request.match_info['id'][:100]}"
    return rejected(gateway_replies.error(404, message, "invalid_request_error", param="id"))
