"""Where the lines of several applications appear, each with its id in front, and the files that keep them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.runtime.run.output import COLOURS, Relay, mark, rotated, say, standard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dapr_state.runtime.run.child import Child
    from dapr_state.runtime.run.plan import Plan


class Screen:
    """Of one run."""

    def __init__(self, plans: Sequence[Plan], environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._width = max(len(plan.app_id) for plan in plans)
        self._colours = {plan.app_id: COLOURS[number % len(COLOURS)] for number, plan in enumerate(plans)}

    def relay(self, child: Child, plan: Plan, *, is_app: bool, is_first: bool = True) -> Relay:
        """As the run file wishes: to the screen, to a file, to both; a new file where it is the first of a run."""
        wish, path = (plan.app_log, plan.app_file) if is_app else (plan.sidecar_log, plan.sidecar_file)
        text = f"{plan.app_id if is_app else f'{plan.app_id}/dapr':<{self._width}}"
        before = mark(text, self._environ, self._colours[plan.app_id]) if is_app else mark(text, self._environ)
        target = standard()[0 if is_app else 1] if wish != "file" else None
        return Relay(child.output, before, target, _opened(plan, path, is_first=is_first))


def _opened(plan: Plan, path: Path | None, *, is_first: bool) -> Path | None:
    if path is None or not is_first:
        return path
    try:
        return rotated(path)
    except OSError as error:
        say(f"{plan.app_id}: no log file: {error}")
        return None
