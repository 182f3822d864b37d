"""Hashes of what a prompt asks: equal ones ask for the same, and what is asked again is not bought again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b

from batchgen.domain.inputs import NO_INPUTS, InputImage, Inputs, is_address
from batchgen.domain.job import Parameters


def own_hash(text: str, overrides: str, inputs: Inputs = NO_INPUTS) -> int:
    """Hash what one prompt alone asks, in 63 bits. Files count by their content and not by their names.

    Addresses count as they are written, whatever lies behind them.
    """
    asked = f"{overrides}\0{text}"
    if inputs is not NO_INPUTS:
        asked += "".join(f"\0reference {_content(image)}" for image in inputs.references)
        asked += "" if inputs.mask is None else f"\0mask {_content(inputs.mask)}"
    return _hash63(asked.encode())


def shared_hash(model: str, parameters: Parameters, overridden: Mapping[str, str]) -> int:
    """Hash what the job asks for a prompt that overrides some parameters, in 63 bits, but not of which gateway."""
    asked = {"quality": parameters.quality, "background": parameters.background, "format": parameters.format}
    rest = {name: value for name, value in asked.items() if value is not None and name not in overridden}
    return _hash63(json.dumps([model, rest], sort_keys=True, ensure_ascii=False).encode())


def overrides_json(overridden: Mapping[str, str]) -> str:
    """Write the parameters that a prompt sets itself, always in the same letters; "" for none."""
    return json.dumps(overridden, sort_keys=True, separators=(",", ":"), ensure_ascii=False) if overridden else ""


def _content(image: InputImage) -> str:
    return image.place if is_address(image.place) else image.sha256


def _hash63(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") >> 1
