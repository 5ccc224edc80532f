"""The page "Testing your application" as it stands: its application, and its ten tests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.support.cache import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugin.conftest import Run

BLOCK = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# what the SDK's own code warns of
QUIET = ("-W", "error", "-W", "ignore::FutureWarning:shop", "-W", "ignore::DeprecationWarning:dapr")


def examples() -> dict[str, str]:
    found: dict[str, str] = {}
    for name, text in BLOCK.findall((ROOT / "docs" / "testing.md").read_text()):
        found[name] = found.get(name, "") + text
    return found


def test_the_examples_run_as_they_stand(run: Callable[..., Run]) -> None:
    """Ten tests with the official SDK pass, with warnings as errors, in an environment without the sidecar."""
    files = examples()
    done = run(files, *QUIET)

    assert set(files) == {"shop.py", "test_shop.py"}
    assert done.code == 0, done.output
    assert done.summary.startswith("10 passed")


def test_eight_of_them_run_on_two_workers(run: Callable[..., Run]) -> None:
    """Each worker of xdist has a sidecar of its own: they do not meet."""
    done = run(examples(), "-n", "2", "-k", "not crash and not loop")

    assert done.code == 0, done.output
    assert done.summary.startswith("8 passed")
