"""When a circuit breaker trips: the part of CEL that compares counts, read once and evaluated after each failure.

Names are those of the counts. Another one makes what asks for it fail, and an expression that fails, or is not true
or false in the end, never trips; `&&`, `||` and `? :` ask no more than they must. Errors are told as CEL tells them.
"""

from __future__ import annotations

import math
import operator
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Evaluate = Callable[[Mapping[str, int]], Any]

NAMES: Final = ("requests", "totalSuccesses", "totalFailures", "consecutiveSuccesses", "consecutiveFailures")
DEFAULT: Final = "consecutiveFailures > 5"
LONGEST: Final = 1000  # characters: those that people write have fifty
DEEPEST: Final = 30  # brackets and signs within each other: Python's stack has room for some hundred

_BITS: Final = 64
_TOKEN: Final = re.compile(
    r"(?P<blank>\s+|//[^\n]*)"
    r"|(?P<double>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<number>(?:0x[0-9a-fA-F]+|[0-9]+)[uU]?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>&&|\|\||[<>=!]=|[-+*/%<>!?:()\[\],.{}])"
)
_BEGINS: Final = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)
_END: Final = "<EOF>"
_COMPARED: Final = ("<", "<=", ">", ">=", "==", "!=", "in")
_DYNAMIC: Final = "dyn"  # the type of what only an evaluation knows


class TripError(ValueError):
    """The expression cannot be used; the text is CEL's, with the place."""


class _NoSuchOverloadError(Exception):
    """An evaluation has failed."""


class _Uint(int):
    """CEL's unsigned numbers are a type of their own."""


class Trip:
    """Compared by its text: two that read the same are the same."""

    __slots__ = ("_evaluate", "text", "unknown")

    def __init__(self, text: str, unknown: tuple[str, ...], evaluate: Evaluate) -> None:
        """`unknown`: names that no count has."""
        self.text = text
        self.unknown = unknown
        self._evaluate = evaluate

    def __repr__(self) -> str:
        return f"<Trip {self.text}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trip) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def is_reached(self, counts: Mapping[str, int]) -> bool:
        """Whether a breaker with these counts, by name, trips."""
        try:
            return self._evaluate(counts) is True
        except (_NoSuchOverloadError, ArithmeticError, ValueError):
            return False


def parse(text: str) -> Trip:
    """The expression; an empty one is the default. Raises TripError."""
    text = text or DEFAULT
    if len(text) > LONGEST:
        raise TripError(f"it is longer than {LONGEST} characters")
    parser = _Parser(text)
    node = parser.whole()
    return Trip(text, tuple(dict.fromkeys(parser.unknown)), node.evaluate)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Node(NamedTuple):
    type: str
    evaluate: Evaluate
    at: int  # where its errors are told


class _Parser:
    """One function for each level of precedence, the weakest first; each type is checked as far as it is known."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._scan())
        self._at = 0
        self._depth = 0
        self.unknown: list[str] = []

    def whole(self) -> _Node:
        node = self._choice()
        if self._now.kind != "end":
            found = "extraneous" if self._tokens[self._at + 1].kind == "end" else "mismatched"
            raise self._error(f"Syntax error: {found} input '{self._now.text}' expecting {_END}")
        return node

    # Tokens

    def _scan(self) -> Iterator[_Token]:
        at = 0
        while at < len(self._text):
            found = _TOKEN.match(self._text, at)
            if found is None:
                raise self._error(self._no_token(self._text[at]), at)
            if found.lastgroup != "blank":
                yield _Token(str(found.lastgroup), found[0], at)
            at = found.end()
        yield _Token("end", _END, at)
        yield _Token("end", _END, at)

    def _no_token(self, char: str) -> str:
        if char in "\"'":
            return "a text has no place here: counts are compared with numbers"
        return f"Syntax error: token recognition error at: '{char}'"

    @property
    def _now(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *texts: str) -> _Token | None:
        token: _Token = self._tokens[self._at]
        if token.text not in texts or token.kind == "end":
            return None
        self._at += 1
        return token

    def _error(self, problem: str, at: int | None = None) -> TripError:
        at = self._now.at if at is None else at
        before = self._text[:at]
        row, column = before.count("\n") + 1, at - (before.rfind("\n") + 1)
        line = self._text.split("\n")[row - 1]
        return TripError(f"ERROR: <input>:{row}:{column + 1}: {problem}\n | {line}\n | {'.' * column}^")

    # Levels

    def _choice(self) -> _Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error(f"nested deeper than {DEEPEST} levels")
        condition = self._either()
        if mark := self._take("?"):
            condition = self._chosen(condition, mark)
        self._depth -= 1
        return condition

    def _chosen(self, condition: _Node, mark: _Token) -> _Node:
        first = self._either()
        if not self._take(":"):
            raise self._error(f"Syntax error: mismatched input '{self._now.text}' expecting ':'")
        second = self._choice()
        types = {first.type, second.type} - {_DYNAMIC}
        if condition.type not in {"bool", _DYNAMIC} or len(types) > 1:
            raise self._no_overload("_?_:_", mark.at, condition, first, second)

        def evaluate(counts: Mapping[str, int]) -> Any:
            return (first if _truth(condition.evaluate(counts)) else second).evaluate(counts)

        return _Node(first.type if first.type == second.type else _DYNAMIC, evaluate, mark.at)

    def _either(self) -> _Node:
        return self._logical("||", self._both, decides=True)

    def _both(self) -> _Node:
        return self._logical("&&", self._relation, decides=False)

    def _logical(self, sign: str, below: Callable[[], _Node], *, decides: bool) -> _Node:
        node = below()
        while token := self._take(sign):
            second = below()
            for side in (node, second):
                if side.type not in {"bool", _DYNAMIC}:
                    raise self._error(f"expected type 'bool' but found '{side.type}'", side.at)
            node = _Node("bool", _absorbing(node.evaluate, second.evaluate, decides=decides), token.at)
        return node

    def _relation(self) -> _Node:
        node = self._sum()
        while token := self._take(*_COMPARED):
            second = self._sum()
            node = self._member(node, second, token) if token.text == "in" else self._compared(node, second, token)
        return node

    def _compared(self, first: _Node, second: _Node, token: _Token) -> _Node:
        types = {first.type, second.type} - {_DYNAMIC}
        is_ordered = token.text not in {"==", "!="}
        if len(types) > 1 or (is_ordered and any(each.startswith("list") for each in types)):
            raise self._no_overload(f"_{token.text}_", token.at, first, second)
        return _Node("bool", _applied(_COMPARE[token.text], first, second), token.at)

    def _member(self, first: _Node, second: _Node, token: _Token) -> _Node:
        listed = second.type.removeprefix("list(").removesuffix(")")
        if second.type != _DYNAMIC and (not second.type.startswith("list") or _differ(first.type, listed)):
            raise self._no_overload("@in", token.at, first, second)
        return _Node("bool", _applied(_is_in, first, second), token.at)

    def _sum(self) -> _Node:
        return self._arithmetic(("+", "-"), self._product)

    def _product(self) -> _Node:
        return self._arithmetic(("*", "/", "%"), self._signed)

    def _arithmetic(self, signs: tuple[str, ...], below: Callable[[], _Node]) -> _Node:
        node = below()
        while token := self._take(*signs):
            second = below()
            types = {node.type, second.type} - {_DYNAMIC}
            known = {"int", "uint"} if token.text == "%" else {"int", "uint", "double"}
            if len(types) > 1 or not types <= known:
                raise self._no_overload(f"_{token.text}_", token.at, node, second)
            type_ = node.type if node.type == second.type else _DYNAMIC
            node = _Node(type_, _applied(_CALCULATE[token.text], node, second), token.at)
        return node

    def _signed(self) -> _Node:
        for sign, types, apply in (("!", ("bool",), _inverted), ("-", ("int", "double"), _negated)):
            marks = []
            while token := self._take(sign):
                marks.append(token)
            if not marks:
                continue
            node = self._one()
            if node.type not in (*types, _DYNAMIC):
                raise self._no_overload(f"{sign}_", marks[0].at, node)
            if len(marks) % 2 == 0:  # each undoes the other
                return node
            return _Node(node.type, _after(apply, node.evaluate), marks[0].at)
        return self._one()

    def _one(self) -> _Node:
        token = self._now
        if token.kind in {"number", "double"} or token.text in {"true", "false"}:
            self._at += 1
            return self._literal(token)
        if token.kind == "name" and token.text not in {"in", "null"}:
            self._at += 1
            return self._call(token) if self._now.text == "(" else self._name(token)
        if self._take("("):
            return self._closed()
        if self._take("["):
            return self._list(token)
        if token.text in {"null", "{", "."}:
            raise self._error(f"'{token.text}' has no place here: counts are compared with numbers")
        found = "extraneous" if token.kind != "end" and self._may_begin(self._tokens[self._at + 1]) else "mismatched"
        raise self._error(f"Syntax error: {found} input '{token.text}' expecting {_BEGINS}")

    def _may_begin(self, token: _Token) -> bool:
        is_word = token.kind in {"number", "double", "name"} and token.text != "in"
        return is_word or token.text in {"[", "{", "(", ".", "-", "!"}

    def _closed(self) -> _Node:
        node = self._choice()
        if not self._take(")"):
            raise self._error(f"Syntax error: missing ')' at '{self._now.text}'")
        return node

    def _list(self, begin: _Token) -> _Node:
        nodes: list[_Node] = []
        while not self._take("]"):
            nodes.append(self._choice())
            if not self._take(",") and self._now.text != "]":
                raise self._error(f"Syntax error: mismatched input '{self._now.text}' expecting {{']', ','}}")
        types = {node.type for node in nodes}
        listed = types.pop() if len(types) == 1 else _DYNAMIC

        def evaluate(counts: Mapping[str, int]) -> list[Any]:
            return [node.evaluate(counts) for node in nodes]

        return _Node(f"list({listed})", evaluate, begin.at)

    def _literal(self, token: _Token) -> _Node:
        if token.text in {"true", "false"}:
            return _constant("bool", token.text == "true", token.at)
        if token.kind == "double":
            return _constant("double", float(token.text), token.at)
        is_unsigned = token.text[-1] in "uU"
        value = int(token.text.rstrip("uU"), 0 if token.text.startswith("0x") else 10)
        if value >= 1 << (_BITS if is_unsigned else _BITS - 1):
            raise self._error(f"invalid {'uint' if is_unsigned else 'int'} literal", token.at)
        return _constant("uint", _Uint(value), token.at) if is_unsigned else _constant("int", value, token.at)

    def _name(self, token: _Token) -> _Node:
        if token.text not in NAMES:
            self.unknown.append(token.text)
        return _Node(_DYNAMIC, _looked_up(token.text), token.at)

    def _call(self, token: _Token) -> _Node:
        if token.text not in _CONVERT:
            raise self._error(f"undeclared reference to '{token.text}' (in container '')", self._now.at)
        bracket = self._now
        self._at += 1
        nodes: list[_Node] = []
        while self._now.text != ")":
            nodes.append(self._choice())
            if not self._take(","):
                break
        if not self._take(")"):
            raise self._error(f"Syntax error: missing ')' at '{self._now.text}'")
        if len(nodes) != 1 or nodes[0].type not in {"int", "uint", "double", _DYNAMIC}:
            raise self._no_overload(token.text, bracket.at, *nodes)
        return _Node(token.text, _after(_CONVERT[token.text], nodes[0].evaluate), bracket.at)

    def _no_overload(self, function: str, at: int, *nodes: _Node) -> TripError:
        types = ", ".join(node.type for node in nodes)
        return self._error(f"found no matching overload for '{function}' applied to '({types})'", at)


def _constant(type_: str, value: Any, at: int) -> _Node:
    return _Node(type_, lambda _: value, at)


def _differ(first: str, second: str) -> bool:
    return _DYNAMIC not in {first, second} and bool(second) and first != second


# What an evaluation does: numbers of each type keep to themselves, but for comparisons


def _looked_up(name: str) -> Evaluate:
    def evaluate(counts: Mapping[str, int]) -> int:
        if name not in counts:
            raise _NoSuchOverloadError
        return counts[name]

    return evaluate


def _after(apply: Callable[[Any], Any], evaluate: Evaluate) -> Evaluate:
    return lambda counts: apply(evaluate(counts))


def _applied(apply: Callable[[Any, Any], Any], first: _Node, second: _Node) -> Evaluate:
    return lambda counts: apply(first.evaluate(counts), second.evaluate(counts))


def _absorbing(first: Evaluate, second: Evaluate, *, decides: bool) -> Evaluate:
    """A side that decides does so though the other one fails, whichever it is."""

    def evaluate(counts: Mapping[str, int]) -> bool:
        failed = False
        for side in (first, second):
            try:
                if _truth(side(counts)) is decides:
                    return decides
            except (_NoSuchOverloadError, ArithmeticError, ValueError):
                failed = True
        if failed:
            raise _NoSuchOverloadError
        return not decides

    return evaluate


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _NoSuchOverloadError
    return value


def _inverted(value: Any) -> bool:
    return not _truth(value)


def _negated(value: Any) -> Any:
    if _kind(value) not in {"int", "double"}:
        raise _NoSuchOverloadError
    return _in_range(-value)


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case _Uint():
            return "uint"
        case int():
            return "int"
        case float():
            return "double"
    return "list"


def _in_range(value: Any) -> Any:
    """CEL's numbers have 64 bits, and say so when that is not enough."""
    if isinstance(value, float):
        return value
    low, high = (0, 1 << _BITS) if isinstance(value, _Uint) else (-(1 << (_BITS - 1)), 1 << (_BITS - 1))
    if not low <= value < high:
        raise OverflowError
    return value


def _calculated(apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def calculate(first: Any, second: Any) -> Any:
        kind = _kind(first)
        if kind != _kind(second) or kind not in {"int", "uint", "double"}:
            raise _NoSuchOverloadError
        value = apply(first, second)
        if kind != "uint":
            return _in_range(value)
        if value < 0:
            raise OverflowError
        return _in_range(_Uint(value))

    return calculate


def _divided(first: Any, second: Any) -> Any:
    if isinstance(first, float):
        return first / second if second else math.copysign(math.inf, first) if first else math.nan
    quotient = abs(first) // abs(second)
    return quotient if (first < 0) == (second < 0) else -quotient


def _remainder(first: Any, second: Any) -> Any:
    if isinstance(first, float):
        raise _NoSuchOverloadError
    rest = abs(first) % abs(second)
    return -rest if first < 0 else rest


def _ordered(apply: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(first: Any, second: Any) -> bool:
        kinds = {_kind(first), _kind(second)}
        if "list" in kinds or ("bool" in kinds and len(kinds) > 1):
            raise _NoSuchOverloadError
        return apply(first, second)

    return compare


def _equal(first: Any, second: Any) -> bool:
    return (_kind(first) == "bool") == (_kind(second) == "bool") and bool(first == second)


def _is_in(first: Any, second: Any) -> bool:
    if not isinstance(second, list):
        raise _NoSuchOverloadError
    return any(_equal(first, each) for each in second)


def _converted(kind: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if _kind(value) not in {"int", "uint", "double"}:
            raise _NoSuchOverloadError
        return _in_range(kind(value))

    return convert


_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "==": _equal,
    "!=": lambda first, second: not _equal(first, second),
}
_CALCULATE: Final = {
    "+": _calculated(operator.add),
    "-": _calculated(operator.sub),
    "*": _calculated(operator.mul),
    "/": _calculated(_divided),
    "%": _calculated(_remainder),
}
_CONVERT: Final = {"int": _converted(int), "uint": _converted(_Uint), "double": _converted(float)}
