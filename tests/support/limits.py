"""Every number in the source that bounds something or makes somebody wait, with the comment that says why it is so.

A number is a constant of a module, or the default of a dataclass's field. What is none of ours to choose - of a
protocol, of Go, a unit - is named here, so that a new number is a limit until somebody says that it is not.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dapr_state"
TABLE = ROOT / "docs" / "limits.md"

# Whole files of numbers that protocols have
PROTOCOLS = {
    "wire/http2/frames.py",
    "wire/http2/faults.py",
    "wire/grpc.py",
    "errors.py",
    "cli.py",
    "actors/schedule.py",
}
ENUMS = {"Enum", "IntEnum", "StrEnum", "IntFlag"}
# What a field begins with, and numbers of protocols, of Go and of units
NO_LIMITS = re.compile(
    r"""
      .*\.(started|began|ended|size|attempts|every|months|days|seconds|status|step|document|threshold)
    | .*[._](port|PORT|database|replicas|scheduler_job_streams|max_concurrency)
    | .*(NANOSECONDS|MILLISECONDS|_BITS|_EPOCH|_UNSET|_ROUNDING|FIRST_ROWID|NO_KEY|PRIMARY|FIRST_ERROR|STATUS_200)
    | .*\.(OK|NOT_FOUND|UNKNOWN|FATAL|_SWITCHING_PROTOCOLS|_LAST_INTERIM|_LAST|NONCE_SIZE|BINARY_SIZE|_M_[A-Z_]+)
    | .*\.(WHOLE|_PLAIN_END|_BYTES_END|_DURATION_MAX|_THRESHOLD_END|ENTRY_OVERHEAD|UNLIMITED|NO_LIMIT|_FRAME)
    | resources\.component\.Source\..*
    | .*(HEAD_FACTOR|HEADER_FACTOR|_SECOND|ROUNDING|DEFAULT_SAMPLING|_BLANK|_SHOWN|_SAMPLED|_MORE)
    """,
    re.VERBOSE,
)

# Files whose defaults are daprd's where they say nothing else
DAPRD_S = (
    "actors.config.",
    "actors.reminder.",
    "actors.reminders.",
    "app.health.",
    "resources.component.",
    "runtime.options.",
    "runtime.wait.",
)
DAPRD_S += ("runtime.application.", "stores.redis.options.", "stores.sqlite.options.")


@dataclass(frozen=True)
class Limit:
    where: str  # dapr_state is left out
    default: str  # as the source has it
    why: str

    @property
    def row(self) -> str:
        return f"| `{self.where}` | `{self.default}` | {self.why.replace('|', chr(92) + '|')} |"


ELSEWHERE = {"testing", "pytest"}  # rooms that run in the process of who tests


def limits() -> list[Limit]:
    served = [path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] not in ELSEWHERE]
    return [limit for path in served for limit in _of(path)]


def table() -> str:
    """The document, as it has to be."""
    rows = "\n".join(limit.row for limit in limits())
    return f"{_OPENING}\n| limit | default | why |\n|---|---|---|\n{rows}\n"


_OPENING = """# What is bounded where

Made by `scripts/limits` from the source: every number that bounds what is held, remembered or done at one time, or says
how long somebody waits, with the comment that stands beside it. A test fails when one is missing. Where an option sets
it, the flag has the name of the field (`runtime.options.Options.max_body_size`: `--max-body-size`), and a field of a
store's options the name of the component's metadata.
"""


def _of(path: Path) -> Iterator[Limit]:
    name = str(path.relative_to(PACKAGE))
    if name in PROTOCOLS:
        return
    source = path.read_text()
    lines = source.splitlines()
    module = name.removesuffix(".py").replace("/", ".")
    for node in ast.parse(source).body:
        for prefix, statement in _numbers(node):
            where = f"{module}.{prefix}{_target(statement)}"
            if not NO_LIMITS.fullmatch(where):
                yield Limit(where, ast.unparse(statement.value), _comment(lines, statement) or _of_daprd(where))


Statement = ast.AnnAssign | ast.Assign


def _numbers(node: ast.stmt) -> Iterator[tuple[str, Statement]]:
    if isinstance(node, ast.ClassDef):
        if ENUMS.isdisjoint(base.id for base in node.bases if isinstance(base, ast.Name)):
            found = (each for each in node.body if isinstance(each, ast.AnnAssign | ast.Assign))
            yield from ((f"{node.name}.", each) for each in found if _is_number(each.value))
    elif isinstance(node, ast.AnnAssign | ast.Assign) and _target(node).isupper() and _is_number(node.value):
        yield "", node


def _target(node: Statement) -> str:
    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
    return target.id if isinstance(target, ast.Name) else ""


def _is_number(node: ast.expr | None) -> bool:
    match node:
        case ast.Constant(value=value):
            return type(value) in {int, float}
        case ast.BinOp(left=left, right=right):
            return _is_number(left) and _is_number(right)
        case ast.UnaryOp(operand=operand):
            return _is_number(operand)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"


def _comment(lines: list[str], node: Statement) -> str:
    """The comment behind the statement, or the one above it."""
    line = lines[(node.end_lineno or node.lineno) - 1]
    if behind := line[node.end_col_offset or 0 :].strip().removeprefix("#").strip():
        return _sentence(behind)
    above: list[str] = []
    number = node.lineno - 2
    while lines[number].lstrip().startswith("#"):
        above.insert(0, lines[number].strip().removeprefix("#").strip())
        number -= 1
    return _sentence(" ".join(above))


def _of_daprd(where: str) -> str:
    return "As daprd" if where.startswith(DAPRD_S) else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".")
