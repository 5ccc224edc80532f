"""The page's modules as they are written: a browser loads most of them only when somebody opens a page of theirs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from playwright._impl._driver import compute_driver_executable

import dapr_state.console

MODULES = sorted((Path(dapr_state.console.__file__).parent / "static/js").rglob("*.js"))
DECLARED = re.compile(r"^(?:export )?(?:async )?(?:function\*?|const|let|class)\s+([A-Za-z_$][\w$]*)", re.MULTILINE)
IMPORTED = re.compile(r"^import\s*\{([^}]*)\}", re.MULTILINE)
PARSE = """
const vm = require("node:vm"), fs = require("node:fs");
for (const name of process.argv.slice(1)) new vm.SourceTextModule(fs.readFileSync(name, "utf8"), { identifier: name });
"""


def test_every_module_is_one() -> None:
    """As the parser of the browser's engine reads it."""
    node, _ = compute_driver_executable()
    argv = [node, "--no-warnings", "--experimental-vm-modules", "-e", PARSE, *map(str, MODULES)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)

    assert (done.stderr, done.returncode) == ("", 0)
    assert MODULES


def test_nothing_is_declared_or_imported_for_nobody() -> None:
    """Each name stands where it is used: in its module, or in one that imports it."""
    texts = [module.read_text() for module in MODULES]
    wanted = set[str]().union(*map(imported, texts))
    unused = [
        f"{module.name}: {name}"
        for module, text in zip(MODULES, texts, strict=True)
        for name in {*DECLARED.findall(text), *imported(text)}
        if uses(name, text) < 2 and (name in imported(text) or name not in wanted)  # once: where it is declared
    ]

    assert unused == []


def imported(text: str) -> set[str]:
    return {name.split()[-1] for some in IMPORTED.findall(text) for name in some.split(",") if name.strip()}


def uses(name: str, text: str) -> int:
    return len(re.findall(rf"(?<![\w$]){re.escape(name)}(?![\w$])", text))
