"""`python -m tests.chaos.simulation FIRST COUNT`: a line for each seed, with its trace in 16 digits."""

from __future__ import annotations

import sys

from tests.chaos.simulation.play import play


def main() -> int:
    """Play some seeds; 1 when one of them violated something. With a count of 1, also print the trace."""
    first, count = int(sys.argv[1]), int(sys.argv[2])
    failed = 0
    for seed in range(first, first + count):
        played = play(seed)
        failed += bool(played.wrong)
        if count == 1:
            for event in played.trace:
                print(*event)
            print(dict(played.ends), played.calls, "calls")
        print(seed, played.note, played.wrong, flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
