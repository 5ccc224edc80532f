"""YAML files as daprd reads them: split into documents, scalars by YAML 1.1 in the Go library's dialect."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import yaml

from dapr_state.golang import strconv
from dapr_state.golang.marshal import json_text

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

_SEPARATOR: Final = re.compile(r"\n---[^\n]*(?:\n|\Z)")
_STEP: Final = re.compile(r"[^.\[\]]+")
_TAG: Final = "tag:yaml.org,2002:"
_STR, _NULL, _BOOL, _INT, _FLOAT = (_TAG + kind for kind in ("str", "null", "bool", "int", "float"))
_MERGE: Final = _TAG + "merge"
_COLLECTION_TAGS: Final[dict[type[yaml.Node], str]] = {yaml.SequenceNode: _TAG + "seq", yaml.MappingNode: _TAG + "map"}

_WORDS: Final[dict[str, tuple[str, Any]]] = (
    dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), (_BOOL, True))
    | dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), (_BOOL, False))
    | dict.fromkeys(("", "~", "null", "Null", "NULL"), (_NULL, None))
    | dict.fromkeys((".nan", ".NaN", ".NAN"), (_FLOAT, math.nan))
    | dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), (_FLOAT, math.inf))
    | dict.fromkeys(("-.inf", "-.Inf", "-.INF"), (_FLOAT, -math.inf))
)
_FLOAT_TEXT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
# nodes, each as often as aliases name it: a hundred lines of them are 10^12. Go's library counts in another way.
# A list of 200,000 numbers takes 3 s to read, and 60 MB.
NODES_AT_MOST: Final = 200_000
_TOO_MANY: Final = f"the document has more than {NODES_AT_MOST} values, each as often as an alias names it"


class DocumentError(ValueError):
    """The document is not YAML, or holds what JSON cannot say; `line` counts from 1 within the file."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(f"line {line}: {reason}")
        self.reason = reason
        self.line = line


def split(text: str) -> Iterator[tuple[int, str]]:
    """Each document's first line (counted from 1) and text. What follows `---` on its line is ignored."""
    line, start = 1, 0
    for separator in _SEPARATOR.finditer(text):
        yield line, text[start : separator.start()]
        line += text.count("\n", start, separator.end())
        start = separator.end()
    yield line, text[start:]


def parse(text: str, first_line: int = 1) -> Any:
    """Mappings, lists, texts, numbers, truth and None. Of a key given twice, the last one counts."""
    try:
        loader = _Loader(text)
        return loader.get_data()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line if error.problem_mark else 0
        reason = str(error.problem or error.context)
        raise DocumentError(reason + _hint(reason), first_line + line) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DocumentError(str(error).partition("\n")[0], first_line) from None


def line_of(text: str, path: str, first_line: int = 1) -> int:
    """Where a field of a document stands, as in `spec.metadata[2].value`; the last on the way to it that is there."""
    node = _composed(text)
    line = node.start_mark.line if node else 0
    for step in _STEP.findall(path):
        found = _step(node, step)
        if found is None:
            break
        line, node = found
    return first_line + line


@lru_cache(maxsize=1)  # one document may have many lines to tell, and be megabytes
def _composed(text: str) -> yaml.Node | None:
    node: yaml.Node | None = _Loader(text).get_single_node()
    return node


def _step(node: yaml.Node | None, step: str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
        each = node.value[int(step)]
        return each.start_mark.line, each
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if str(key.value).lower() == step.lower():
                return key.start_mark.line, value
    return None


def scalar_text(value: Any) -> str | None:
    """The text of a scalar where a text is wanted; None for what has none, such as a list."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json_text(value) if isinstance(value, (bool, int, float)) and math.isfinite(value) else None


class _Loader(yaml.SafeLoader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._nodes += 1
        if self._nodes > NODES_AT_MOST:
            raise ValueError(_TOO_MANY)
        return super().compose_node(parent, index)

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:
        if kind is not yaml.ScalarNode or not implicit[0] or value is None:
            return _COLLECTION_TAGS.get(kind, _STR)
        return _MERGE if value == "<<" else _scalar(value)[0]

    def construct_document(self, node: yaml.Node) -> Any:
        if _expanded(node, {}) > NODES_AT_MOST:
            raise ValueError(_TOO_MANY)
        document = super().construct_document(node)
        _take_apart(node)
        return document

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        if not isinstance(node, yaml.MappingNode):
            return super().construct_mapping(node, deep)
        self.flatten_mapping(node)
        # keys become texts at once: to Python, 1 and true would be the same key
        return {
            _key_text(self.construct_object(key, deep=True)): self.construct_object(value, deep=deep)
            for key, value in node.value
        }


def _expanded(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """How many nodes this one is, each as often as it is named; one that holds itself counts once there."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if node not in known:
        known[node] = 1
        children = (each for pair in node.value for each in pair) if isinstance(node, yaml.MappingNode) else node.value
        known[node] += sum(_expanded(each, known) for each in children)
    return known[node]


def _take_apart(node: yaml.Node) -> None:
    """Free it step by step: to free 100,000 nodes at once takes 40 ms, and no other thread runs meanwhile."""
    left = [node]
    while left:
        each = left.pop()
        if isinstance(each.value, list):
            children, each.value = each.value, []
            for child in children:
                left.extend(child if isinstance(child, tuple) else (child,))


def _scalar(text: str) -> tuple[str, Any]:
    """Tag and value of an unquoted scalar. A date stays a text, as in daprd."""
    if text in _WORDS:
        return _WORDS[text]
    digits = text.replace("_", "")
    if text[0] in "+-0123456789":
        for number in (strconv.parse_int, strconv.parse_uint):
            try:
                return _INT, number(digits, base=0)
            except ValueError:
                continue
    if text[0] in "+-.0123456789" and _FLOAT_TEXT.fullmatch(digits):
        return _FLOAT, float(digits)
    return _STR, text


def _construct(loader: _Loader, node: yaml.Node) -> Any:
    return _scalar(loader.construct_scalar(node))[1]  # type: ignore[arg-type]  # it refuses other nodes by itself


for _tag in (_NULL, _BOOL, _INT, _FLOAT):
    _Loader.add_constructor(_tag, _construct)


def _hint(reason: str) -> str:
    # by far the most frequent slip that the parser's own words do not explain
    return "; indent with spaces" if r"\t" in reason else ""


def _key_text(key: Any) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, (bool, int, float)):
        return json_text(key)
    raise ValueError(f"a key must be a text, not {key!r}")
