"""The references of every figure: the least that a script does, and the official SDK in a loop.

    python benchmarks/clients.py naive|sdk BASE_URL IMAGES AT_ONCE

Files go into the working folder. No ledger, no check, no second try.
"""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import Awaitable, Callable

Ask = Callable[[str], Awaitable[str]]


async def _all(ask: Ask, images: int, at_once: int) -> None:
    gate = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with gate:
            data = base64.b64decode(await ask(f"picture {number:07d} of the bench"))
        with open(f"{number:07d}.png", "wb") as file:  # noqa: ASYNC230, PTH123 - as a script does it
            file.write(data)

    await asyncio.gather(*(one(number) for number in range(images)))


async def naive(base_url: str, images: int, at_once: int) -> None:
    """aiohttp, a semaphore, `base64.b64decode` and `write`."""
    import aiohttp

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=at_once),
        headers={"Authorization": "Bearer sk-of-the-bench"},
        timeout=aiohttp.ClientTimeout(600),
    ) as session:

        async def ask(prompt: str) -> str:
            body = {"model": "gpt-image-2", "prompt": prompt, "n": 1}
            async with session.post(f"{base_url}/images/generations", json=body) as response:
                return str((await response.json())["data"][0]["b64_json"])

        await _all(ask, images, at_once)


async def sdk(base_url: str, images: int, at_once: int) -> None:
    """OpenAI's own client behind a semaphore."""
    import openai

    async with openai.AsyncOpenAI(api_key="sk-of-the-bench", base_url=base_url, max_retries=0, timeout=600) as client:

        async def ask(prompt: str) -> str:
            answer = await client.images.generate(model="gpt-image-2", prompt=prompt, n=1)
            return (answer.data or [])[0].b64_json or ""

        await _all(ask, images, at_once)


if __name__ == "__main__":
    _, kind, url, count, most = sys.argv
    asyncio.run({"naive": naive, "sdk": sdk}[kind](url, int(count), int(most)))
