"""Who reads the time, and who waits: clock.py alone. What keeps time by itself beside it is named here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dapr_state"
CLOCK = PACKAGE / "clock.py"
PLUGIN = PACKAGE / "pytest"  # it runs in other processes, where our clocks are not
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != CLOCK and PLUGIN not in path.parents)

READINGS = {
    "time": {"time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime", "sleep", "localtime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "asyncio": {"timeout", "timeout_at", "wait_for"},
}
LOOPS = {"time", "call_later", "call_at"}  # methods of an event loop
CLOCKS = {"WAITING", "VISIBLE", "clock", "_clock", "waiting", "_waiting"}  # what our clocks are called

# Other clocks: those of databases, and of what blocks a thread. Where users see what a database's clock says, whoever
# moves ours has to move that too, in the way which is told here.
OTHERS = {
    "stores/sqlite/statements.py": "SQL's CURRENT_TIMESTAMP: a connection can define a function of this name",
    "stores/sqlite/schema.py": "the same, as a column's default",
    "stores/sqlite/cleanup.py": "the same; a cleanup that comes early or late is seen by nobody",
    "stores/sqlite/connection.py": "which does that, for tests",
    "stores/postgresql/following.py": "CURRENT_TIMESTAMP in its statements, which is replaced there, for tests",
    "stores/redis/reading.py": "the server's TIME and PTTL: what keys have left can be shortened",
    "stores/redis/connecting.py": "whether the server tells that",
    "stores/redis/read_any.lua": "the same",
    "stores/redis/apply.lua": "EXPIRE: the same",
    "serving/sockets.py": "a socket's timeout: a connection to a file of ours, if somebody listens on it",
    "stores/postgresql/tables.py": "the server's now(): expiry dates of a prefix can be moved by one UPDATE",
    "stores/postgresql/cleanup.py": "the same",
    "runtime/run/listing.py": "a socket's timeout, in a command that asks a sidecar",
    "runtime/looking.py": "the same",
    "pytest/client.py": "the same, in a test's process",
    "runtime/wait.py": "a socket's timeout, before there is a sidecar",
}
OTHER_CLOCKS = re.compile(
    r"CURRENT_TIMESTAMP|unixepoch|julianday|clock_timestamp|(?<![.\w])now\(\)|'(P?TTL|TIME|EXPIRE)'|PEXPIRETIME"
    r"|urlopen\(|settimeout\("
)


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _last(node: ast.expr) -> str:
    """The name that is written last before a dot."""
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _reads(node: ast.AST) -> bool:
    match node:
        case ast.ImportFrom(module=str(module), names=names):
            seen = any(_is_reading(module, alias.name) for alias in names)
        case ast.Import(names=names):
            seen = any(alias.asname and alias.name in READINGS for alias in names)
        case ast.Call(func=ast.Attribute(ast.Name("asyncio"), "sleep"), args=arguments):
            seen = [ast.unparse(argument) for argument in arguments] != ["0"]
        case ast.Call(func=ast.Attribute(ast.Name("asyncio"), "wait"), keywords=keywords):
            seen = any(keyword.arg == "timeout" for keyword in keywords)
        case ast.Call(func=ast.Attribute(ast.Name("time"), "gmtime" | "ctime"), args=arguments):
            seen = not arguments
        case ast.Call(func=ast.Attribute(ast.Name("time"), "strftime" | "asctime"), args=arguments):
            seen = len(arguments) < 2
        case ast.Attribute(value, name) if _is_reading(_last(value), name):
            seen = True
        case ast.Attribute(value, "call_later" | "call_at"):
            seen = _last(value) not in CLOCKS
        case ast.Attribute(value, "time"):
            seen = _last(value).endswith("loop")
        case _:
            seen = False
    return seen


def _is_reading(module: str, name: str) -> bool:
    return name.removesuffix("_ns") in READINGS.get(module, ())


def times(source: str) -> list[str]:
    """The lines where the source reads the time itself, or waits for it."""
    lines = source.splitlines()
    numbers = {node.lineno for node in ast.walk(ast.parse(source)) if _reads(node)}  # type: ignore[attr-defined]
    return [f"{number}: {lines[number - 1].strip()}" for number in sorted(numbers)]


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_the_clock_reads_the_time(path: Path) -> None:
    """Everyone else asks one of the two clocks, so that what users see can be moved, and what is waited for is not."""
    assert times(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "time.monotonic()",
        "time.time_ns()",
        "now = time.monotonic",
        "time.sleep(1)",
        "from time import perf_counter",
        "import time as t",
        "time.gmtime()",
        "time.strftime('%Y')",
        "datetime.now(UTC)",
        "datetime.datetime.utcnow()",
        "date.today()",
        "asyncio.get_running_loop().time()",
        "self._loop.time()",
        "loop.call_later(1, f)",
        "self.loop.call_at(1, f)",
        "later = asyncio.get_running_loop().call_later",
        "asyncio.timeout(1)",
        "from asyncio import timeout_at",
        "asyncio.wait_for(f, 1)",
        "asyncio.wait(fs, timeout=1)",
        "asyncio.sleep(1)",
        "asyncio.sleep(seconds)",
    ],
)
def test_every_look_at_the_time_is_seen(source: str) -> None:
    """Whether it is called, kept under another name or imported by itself."""
    assert times(source) == [f"1: {source}"]


@pytest.mark.parametrize(
    "source",
    [
        "asyncio.sleep(0)",
        "asyncio.wait(fs)",
        "time.gmtime(second)",
        "time.strftime('%Y', moment)",
        "WAITING.call_later(1, f)",
        "self._clock.call_at(1, f)",
        "WAITING.timeout(1)",
        "datetime.fromtimestamp(record.created)",
        "options.time",
    ],
)
def test_what_only_sounds_like_it_is_not(source: str) -> None:
    """To let others have their turn, to write a moment that is given, or to ask our clocks."""
    assert times(source) == []


def test_other_clocks_are_known() -> None:
    """A store whose database keeps the time is named above, with what it takes to move that."""
    files = [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".lua", ".sql"} and path != CLOCK]

    assert {_name(path) for path in files if OTHER_CLOCKS.search(path.read_text())} == set(OTHERS)
