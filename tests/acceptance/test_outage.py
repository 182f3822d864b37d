"""A gateway that is down, as it is seen on the command line: what is said, how the run ends, what is told in the morning."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.shop import Shop

MANIFEST = """version: 1
name: job
route: apiyi/gpt-image-2-vip
prompts:
  - {id: mug, text: a red mug, count: 10}
sizes: ["1:1@1K"]
limits: {patience: 3min}
"""


def test_run_waits_for_a_gateway_that_is_down_and_ends_with_nothing_failed(tmp_path: Path) -> None:
    shop = Shop(tmp_path, pace=100)
    shop.write("job.yaml", MANIFEST)
    ended = shop.run("run", "job.yaml", "--rehearse", "--fault", "p_500=1", "--fault", "latency=0.01", code=4)
    assert "its gateway has brought nothing for 3 minutes (HTTP 500" in ended.stdout
    assert "apiyi/gpt-image-2-vip for 1K is down: " in ended.stderr
    assert "was waited for 3 minutes, and is no longer" in ended.stderr
    job = shop.json("status", "job", "--rehearse")
    assert set(job["states"]) <= {"available", "retryable"}
    (outage,) = job["run"]["outages"]
    assert (outage["route"], outage["sizes"], outage["back"]) == ("apiyi/gpt-image-2-vip", "1K", False)
    told = shop.run("report", "job", "--rehearse", code=None).stdout
    assert "apiyi/gpt-image-2-vip for 1K was down from " in told
    assert "then waited for no longer" in told
    shop.run("run", "job.yaml", "--rehearse")
    assert shop.json("status", "job", "--rehearse")["states"] == {"completed": 10}
    shop.run("verify", "--rehearse")


def test_events_say_when_a_gateway_goes_down_and_is_given_up(tmp_path: Path) -> None:
    shop = Shop(tmp_path, pace=100)
    shop.write("job.yaml", MANIFEST)
    ended = shop.run("run", "job.yaml", "--rehearse", "--json", "--fault", "p_500=1", "--fault", "latency=0.01", code=4)
    events = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    (down,) = [event for event in events if event["event"] == "down"]
    assert down["route"] == "apiyi/gpt-image-2-vip"
    assert down["sizes"] == "1K"
    assert down["tasks"] >= 6
    assert "HTTP 500" in down["reason"]
    (given_up,) = [event for event in events if event["event"] == "given_up"]
    assert given_up["seconds"] >= 180
