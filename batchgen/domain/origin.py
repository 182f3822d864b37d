"""What an answer or an image was bought for, and how: enough to enter it into books that do not know it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """One attempt, told without its ledger. The key it was made with is not in it, only that key's fingerprint.

    Attributes:
        job: the job's name; "" where nothing is known.
        key: the prompt's id.
        path: output path as in `batchgen.domain.job.Prompt`, with its placeholders.
        size: asked for, as text; `size_sent` is what the call asked for.
        own, shared: hashes of what was asked, as in `batchgen.domain.job.Prompt`.
        images: input images that went with the call.
        reserved: micro-dollars set aside.
        reserved_at: seconds since the epoch.
    """

    job: str = ""
    key: str = ""
    path: str = ""
    size: str = ""
    sample: int = 0
    revision: int = 0
    own: int = 0
    shared: int = 0
    images: int = 0
    provider: str = ""
    route: str = ""
    group: str = ""
    model: str = ""
    endpoint: str = ""
    base_url: str = ""
    size_sent: str = ""
    quality: str = ""
    request_hash: str = ""
    billing_unit: str = ""
    key_fingerprint: str = ""
    reserved: int = 0
    reserved_at: float = 0.0


NO_ORIGIN = Origin()
