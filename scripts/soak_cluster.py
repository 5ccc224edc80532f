"""Clusters of our sidecars and daprd's, with the real placement and scheduler, whose hosts come and go under load.

    scripts/soak-cluster                                  100 rounds, over all scenarios
    scripts/soak-cluster --rounds 5 --only "two of ours"  some of one (repeat for more); --list names them
    scripts/soak-cluster --seed 7                         the same again

A round kills, stops, freezes or joins a host, or a part of the control plane, and waits until all actors answer. What
must hold: never two turns of one actor at a time, no acknowledged write lost, each reminder at least once and in time,
each caller answered. Ends with 1 if something did not.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for tests, which have the clusters

from tests.conformance.cluster.soak.run import run
from tests.conformance.cluster.soak.scenarios import SCENARIOS


def main() -> int:
    arguments = _arguments()
    if arguments.list:
        print("\n".join(SCENARIOS))
        return 0
    names = arguments.only or [*SCENARIOS]
    is_good = True
    for number, name in enumerate(names):
        rounds = arguments.rounds * (number + 1) // len(names) - arguments.rounds * number // len(names)
        print(f"## {name}: {SCENARIOS[name]}", flush=True)
        folder = Path(tempfile.mkdtemp(prefix="soak-cluster-"))
        outcome = run(folder, SCENARIOS[name], rounds, arguments.seed, lambda line: print(line, flush=True))
        print("\n".join(outcome.lines()), flush=True)
        if outcome.faults:
            print(f"the logs are in {folder}")
            is_good = False
        else:
            shutil.rmtree(folder)
    return 0 if is_good else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="of all scenarios together")
    parser.add_argument("--only", action="append", choices=SCENARIOS, metavar="SCENARIO")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
