"""Simulations by hand.

python -m tests.simulation --seeds 10000            # many
python -m tests.simulation --first 1234 --trace     # one, told line by line
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.simulation import simulate


def main() -> int:
    """Run them; the exit status is 1 if any is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--trace", action="store_true", help="print what happens")
    parser.add_argument("--most", type=int, default=10, help="stop after so many that are wrong")
    arguments = parser.parse_args()
    began, wrong = time.monotonic(), 0
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        outcome = simulate(seed, print if arguments.trace else None)
        if outcome.wrong:
            wrong += 1
            print(f"seed {seed} ({outcome.digest}, {outcome.seconds:.1f} s): {'; '.join(outcome.wrong)}")
            if wrong >= arguments.most:
                break
        if arguments.seeds == 1:
            print(f"seed {seed}: {outcome.digest}, {outcome.events} events, {outcome.seconds:.1f} s")
    print(f"{wrong} of {seed + 1 - arguments.first} seeds are wrong ({time.monotonic() - began:.1f} s)")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
