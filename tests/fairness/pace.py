"""How fast a processor is at this moment: beside other programs it may run at half its speed, by its own clock too."""

from __future__ import annotations

import time

ROUNDS = 7
STEPS = 20_000  # about a millisecond


class Pace:
    """`slowness` is 1 where nothing else runs. What was fastest as yet is what the machine can do."""

    def __init__(self) -> None:
        self._best = float("inf")

    def slowness(self) -> float:
        taken = sorted(_taken() for _ in range(ROUNDS))
        self._best = min(self._best, taken[0])
        return taken[ROUNDS // 2] / self._best


def _taken() -> float:
    began = time.thread_time()
    for _ in range(STEPS):
        pass
    return time.thread_time() - began
