"""Attacks on a sidecar of one's own: its memory before, while and after, and how long a bystander waits meanwhile.

    scripts/attack                            each attack for a minute, and a minute of rest after it
    scripts/attack --seconds 10 --rest 10     shorter
    scripts/attack --only "rapid reset"       one of them (repeat for more); --list names them

Each has a sidecar, a Redis and files of its own, on loopback. Memory in MB (RSS), waits of the bystander in ms: a get
on the store in memory, fifty a second, over HTTP. Written is what the sidecar wrote to disk and log, in MB.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for tests, which have the attacks

from tests.fairness.attacks import ATTACKS
from tests.fairness.measured import attack, resident, scene
from tests.support.redis import RedisServer


def main() -> None:
    arguments = _arguments()
    if arguments.list:
        print("\n".join(ATTACKS))
        return
    print("| attack | idle | highest | after | p50 | p99 | max | unanswered | log lines | written |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name in arguments.only or ATTACKS:
        with tempfile.TemporaryDirectory() as folder:
            _one(name, Path(folder), arguments.seconds, arguments.rest)


def _one(name: str, folder: Path, seconds: float, rest: float) -> None:
    with (
        RedisServer(folder) as redis,
        scene(folder, redis, seconds, with_app=name.startswith("reminders")) as place,
    ):
        before = _written(place.sidecar.pid)
        cost = attack(place, name)
        written = (_written(place.sidecar.pid) - before) / 1e6
        time.sleep(rest)
        waits = " | ".join(f"{1e3 * cost.wait(share):.0f}" for share in (0.5, 0.99, 1.0))
        memory = f"{cost.idle:.0f} | {cost.highest:.0f} | {resident(place.sidecar):.0f}"
        lines = place.sidecar.log().count("\n")
        print(f"| {name} | {memory} | {waits} | {cost.unanswered} | {lines} | {written:.1f} |", flush=True)


def _written(pid: int) -> int:
    return int(re.findall(r"wchar: (\d+)", Path(f"/proc/{pid}/io").read_text())[0])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rest", type=float, default=60)
    parser.add_argument("--only", action="append", choices=ATTACKS, metavar="ATTACK")
    parser.add_argument("--list", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
