"""YAML into plain values by a schema, with the conversions and the complaints of the Go decoder (yaml.v3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import yaml
from msgspec import Struct

from dapr_state.golang import strconv
from dapr_state.golang.duration import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_STR: Final = "tag:yaml.org,2002:str"
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
# YAML 1.1 words, which the decoder accepts where truth is wanted, in these spellings only
_OLD_TRUE: Final = frozenset({"y", "Y", "yes", "on"})
_OLD_FALSE: Final = frozenset({"n", "N", "no", "off"})
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SHOWN: Final = 10  # longer values are shown by their beginning
_MERGE: Final = "<<"


class DecodeError(ValueError):
    """The text does not fit; it says where and why, as daprd does."""


class Scalar(Struct, frozen=True):
    """`read` is given the tag ("!!int") and the text, and raises ValueError for what it cannot take."""

    name: str
    read: Callable[[str, str], Any]


class ListOf(Struct, frozen=True):
    item: Kind

    @property
    def name(self) -> str:
        return f"[]{self.item.name}"


class MapOf(Struct, frozen=True):
    value: Kind

    @property
    def name(self) -> str:
        return f"map[string]{self.value.name}"


class Fields(Struct, frozen=True):
    """A mapping with known fields; others are ignored."""

    name: str
    members: Mapping[str, Kind]


Kind = Scalar | ListOf | MapOf | Fields


def _text(_: str, text: str) -> str:
    return text


def _truth(tag: str, text: str) -> bool:
    if tag == "!!bool":
        return text in _TRUE
    if tag == "!!str" and text in _OLD_TRUE | _OLD_FALSE:
        return text in _OLD_TRUE
    raise ValueError(text)


def _integer(tag: str, text: str) -> int:
    if tag == "!!int":
        return strconv.parse_int(text.replace("_", ""), base=0)
    if tag == "!!float":
        return int(float(text))
    raise ValueError(text)


def _duration(tag: str, text: str) -> float:
    if tag != "!!str":
        raise ValueError(text)
    return parse_duration(text)


TEXT: Final = Scalar("string", _text)
BOOL: Final = Scalar("bool", _truth)
INT: Final = Scalar("int", _integer)
DURATION: Final = Scalar("time.Duration", _duration)


def decode(text: str, kind: Fields, onto: Mapping[str, Any], *, original: str) -> dict[str, Any]:
    """The first document of `text`, merged field by field onto what was read before; lists are replaced whole.

    `original` is the text before variables were filled in: a value that does not stand in it may be a secret, and is
    not shown in the error. Raises DecodeError.
    """
    decoder = _Decoder(original)
    try:
        node = _first_document(text)
        decoded = onto if node is None else decoder.value(node, kind, onto, "")
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DecodeError(f"yaml: line {line}: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError) as error:  # an anchor may stand inside what it names
        raise DecodeError(f"yaml: {error}") from None
    if decoder.errors:
        raise DecodeError("yaml: unmarshal errors:\n  " + "\n  ".join(decoder.errors))
    return dict(decoded or {})


def _first_document(text: str) -> yaml.Node | None:
    loader = yaml.BaseLoader(text)
    try:
        return loader.get_node() if loader.check_node() else None
    finally:
        loader.dispose()


class _Decoder:
    def __init__(self, original: str) -> None:
        self._original = original
        self.errors: list[str] = []

    def value(self, node: yaml.Node, kind: Kind, old: Any, path: str) -> Any:
        """The value of a node, or None where there is none; what does not fit is noted and leaves `old`."""
        if _tag(node) == "!!null":
            return None
        match kind, node:
            case Scalar(), yaml.ScalarNode():
                try:
                    return kind.read(_tag(node), node.value)
                except ValueError:
                    pass
            case ListOf(), yaml.SequenceNode():
                items = [self.value(each, kind.item, None, path) for each in node.value]
                return [item for item in items if item is not None]
            case MapOf(), yaml.MappingNode():
                return {key: self.value(each, kind.value, None, path) or "" for key, each in self._pairs(node)}
            case Fields(), yaml.MappingNode():
                return self._fields(node, kind, old or {}, path)
        self._refuse(node, kind, path)
        return old

    def _fields(self, node: yaml.MappingNode, kind: Fields, old: Mapping[str, Any], path: str) -> dict[str, Any]:
        found = dict(old)
        for name, each in self._pairs(node):
            if name in kind.members:
                at = f"{path}.{name}" if path else name
                found[name] = self.value(each, kind.members[name], found.get(name), at)
        return found

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node]]:
        """Keys and values, those of `<<` first, so that the mapping's own win."""
        lines: dict[str, int] = {}
        own = []
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            line = key.start_mark.line + 1
            if name in lines:
                self.errors.append(f'line {line}: mapping key "{name}" already defined at line {lines[name]}')
            lines.setdefault(name, line)
            if name == _MERGE:
                for source in value.value if isinstance(value, yaml.SequenceNode) else (value,):
                    if isinstance(source, yaml.MappingNode) and source is not node:
                        yield from self._pairs(source)
            else:
                own.append((name, value))
        yield from own

    def _refuse(self, node: yaml.Node, kind: Kind, path: str) -> None:
        shown = self._shown(node) if isinstance(node, yaml.ScalarNode) else ""
        line = node.start_mark.line + 1
        where = f" ({path})" if path else ""
        self.errors.append(f"line {line}: cannot unmarshal {_tag(node)}{shown} into {kind.name}{where}")

    def _shown(self, node: yaml.ScalarNode) -> str:
        text = node.value
        if text not in self._original:
            return ""
        return f" `{text[: _SHOWN - 3]}...`" if len(text) > _SHOWN else f" `{text}`"


def _tag(node: yaml.Node) -> str:
    if isinstance(node, yaml.SequenceNode):
        return "!!seq"
    if isinstance(node, yaml.MappingNode):
        return "!!map"
    if node.tag != _STR:  # written in the file, as in `!!int "5"`
        return str(node.tag).replace("tag:yaml.org,2002:", "!!")
    is_quoted = isinstance(node, yaml.ScalarNode) and node.style is not None
    return "!!str" if is_quoted else _plain_tag(node.value)


def _plain_tag(text: str) -> str:
    if text in _NULLS:
        return "!!null"
    if text in _TRUE | _FALSE:
        return "!!bool"
    digits = text.replace("_", "")
    try:
        strconv.parse_int(digits, base=0)
    except ValueError:
        return "!!float" if _FLOAT.fullmatch(digits) else "!!str"
    return "!!int"
