"""Images per second with every safety on, as a ratio to a naive client in the same run.

    python benchmarks/throughput.py [--images 2000] [--rounds 3]

Both call the simulated gateway, which answers in no time, 64 at once. The naive client is aiohttp, a semaphore,
`base64.b64decode` and `write`: no ledger, no check, no retry. Rounds alternate, each run is a fresh process, and the
median ratio within a round is what counts: machines are noisy. The simulator takes part of the machine; both sides meet
the same.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONCURRENCY = 64
SIZE = "1280x1280"


async def naive(base_url: str, images: int, folder: Path) -> None:
    """The least that a script does."""
    import aiohttp

    gate = asyncio.Semaphore(CONCURRENCY)
    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    async with aiohttp.ClientSession(connector=connector, headers={"Authorization": "Bearer x"}) as session:

        async def one(number: int) -> None:
            body = {"model": "gpt-image-2-vip", "prompt": f"naive {number}", "size": SIZE}
            async with gate, session.post(f"{base_url}/images/generations", json=body) as response:
                text = (await response.json())["data"][0]["b64_json"]
            data = base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text)
            (folder / f"{number}.png").write_bytes(data)

        await asyncio.gather(*(one(number) for number in range(images)))


def manifest(base_url: str, images: int, folder: Path) -> Path:
    """The same job for batchgen."""
    rows = "\n".join(f"r{number}" for number in range(images))
    (folder / "rows.csv").write_text(f"id\n{rows}\n", encoding="utf-8")
    path = folder / "job.yaml"
    path.write_text(
        f"""version: 1
name: throughput
route: {{use: apiyi/gpt-image-2-vip, base_url: "{base_url}", key_env: BENCHMARK_KEY, concurrency: {CONCURRENCY}}}
prompts: [{{from: rows.csv, id: "{{{{ row.id }}}}", text: "ours {{{{ row.id }}}}", file: "{{{{ id }}}}"}}]
sizes: ["{SIZE}"]
limits: {{concurrency: {CONCURRENCY}, budget: 1000.00}}
""",
        encoding="utf-8",
    )
    return path


def seconds(command: list[str], folder: Path) -> float:
    """How long a whole process takes."""
    begin = time.perf_counter()
    subprocess.run(
        command, cwd=folder, check=True, capture_output=True, env={**os.environ, "BENCHMARK_KEY": "x"}, timeout=600
    )
    return time.perf_counter() - begin


def measure(base_url: str, images: int) -> tuple[float, float]:
    """Images per second of the naive client and of batchgen, start-up taken off by a run with one image."""
    rates = []
    for ours in (False, True):
        times = {}
        for count in (1, images):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                if ours:
                    command = [sys.executable, "-m", "batchgen", "run", str(manifest(base_url, count, folder)), "--yes"]
                else:
                    command = [sys.executable, __file__, "--naive", base_url, "--images", str(count)]
                times[count] = seconds(command, folder)
        rates.append((images - 1) / (times[images] - times[1]))
    return rates[0], rates[1]


def main() -> None:
    """Run the rounds and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--naive", metavar="URL", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.naive:
        asyncio.run(naive(asked.naive, asked.images, Path.cwd()))
        return
    with tempfile.TemporaryDirectory() as folder:
        serve = [sys.executable, "-m", "batchgen", "simulate", "apiyi/gpt-image-2-vip", "--fault", "pictures=plain"]
        gateway = subprocess.Popen(
            [*serve, "--fault", "latency=0", "--fault", "b64=raw"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            base_url = gateway.stdout.readline().strip() if gateway.stdout else ""
            ratios = []
            for number in range(asked.rounds):
                reference, ours = measure(base_url, asked.images)
                ratios.append(ours / reference)
                print(f"round {number + 1}: naive {reference:.0f}/s, batchgen {ours:.0f}/s, ratio {ratios[-1]:.2f}")
            print(f"median ratio {statistics.median(ratios):.2f}")
        finally:
            gateway.terminate()
            gateway.wait()


if __name__ == "__main__":
    main()
