"""/v1/files as OpenAI serves it: what batches read and write, and pictures to refer to."""

from __future__ import annotations

import asyncio

from aiohttp import web

from batchgen.simulator import gateway_replies
from batchgen.simulator.batch.api import answered
from batchgen.simulator.gateway_replies import Declined, Voice
from batchgen.simulator.payload import receive
from batchgen.simulator.reference_checks import rejected
from batchgen.simulator.state import Desk

_LARGEST_BATCH = 200 * 1024 * 1024  # bytes of a batch's input (batch reference)
_PURPOSES = ("batch", "vision", "user_data")


class FileCalls:
    """The calls of one route."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def create(self, request: web.Request, voice: Voice) -> web.Response:
        """Keep an uploaded file."""
        packet = await receive(request)
        try:
            fields = dict(packet.texts)
            uploads = [upload for upload in packet.uploads if upload.name == "file"]
            if packet.broken or not uploads:
                message = "Missing required parameter: 'file'."
                raise rejected(voice.invalid(message, "file", "missing_required_parameter"))
            purpose = fields.get("purpose")
            if purpose not in _PURPOSES:
                message = f"Invalid value: '{purpose}'. Supported values are: {', '.join(_PURPOSES)}."
                raise rejected(voice.invalid(message, "purpose", "invalid_value"))
            upload = uploads[0]
            if purpose == "batch" and upload.size > _LARGEST_BATCH:
                message = f"The file has {upload.size} bytes; a batch takes {_LARGEST_BATCH} at most."
                raise rejected(gateway_replies.error(413, message, "invalid_request_error", param="file"))
            seconds = fields.get("expires_after[seconds]", "")
            life = int(seconds) if seconds.isdigit() else None
            add = self._desk.files.add
            return answered(voice, await asyncio.to_thread(add, upload.file, upload.filename, purpose, life))
        finally:
            packet.close()

    async def retrieve(self, request: web.Request, voice: Voice) -> web.Response:
        """What is known of a file."""
        facts = self._desk.files.find(request.match_info["id"])
        if facts is None:
            raise _missing(request)
        return answered(voice, facts)

    async def content(self, request: web.Request, voice: Voice) -> web.StreamResponse:
        """A file itself, piece by piece."""
        path = self._desk.files.path(request.match_info["id"])
        if path is None:
            raise _missing(request)
        return web.FileResponse(path, headers={**dict(voice.headers()), "Content-Type": "application/octet-stream"})

    async def delete(self, request: web.Request, voice: Voice) -> web.Response:
        """Let a file go."""
        file_id = request.match_info["id"]
        if not self._desk.files.delete(file_id):
            raise _missing(request)
        return answered(voice, {"id": file_id, "object": "file", "deleted": True})


def _missing(request: web.Request) -> Declined:
    message = f"No such File object: {request.match_info['id'][:100]}"
    return rejected(gateway_replies.error(404, message, "invalid_request_error", param="id"))
