"""A component's properties, and the two ways in which Dapr's stores read them."""

import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeVar

from dapr_state.golang import strconv
from dapr_state.golang.duration import parse_duration
from dapr_state.golang.quoting import quote

T = TypeVar("T")
D = TypeVar("D")

_PORT_BITS: Final = 16
_TRUTHY: Final = frozenset({"y", "yes", "t", "true", "on", "1"})


class PropertiesError(ValueError):
    """A component's properties are not usable; the text is daprd's."""


def is_truthy(text: str) -> bool:
    """Dapr's reading of a yes: everything else is a no, never an error."""
    return text.strip().lower() in _TRUTHY


class Properties(Mapping[str, str]):
    """Names are matched in any case, the last duplicate wins; iteration gives the names as they are written."""

    __slots__ = ("_by_folded_name", "_names")

    def __init__(self, items: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        pairs: list[tuple[str, str]] = list(items.items() if isinstance(items, Mapping) else items)
        self._by_folded_name = {name.lower(): value for name, value in pairs}
        self._names = tuple(dict.fromkeys(name for name, _ in pairs))

    def __getitem__(self, name: str) -> str:
        return self._by_folded_name[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        # names only: a value may be a secret
        return f"<Properties {', '.join(self._names) or 'none'}>"


class _Fields:
    """Reads one field after another; what is wrong is collected, and `check` raises it all at once."""

    _frame = ""

    def __init__(self, properties: Properties) -> None:
        self._properties = properties
        self._problems: list[str] = []

    def check(self) -> None:
        """Raise what the readings so far found wrong. Until then a bad field reads as its default."""
        if not self._problems:
            return
        lines = "\n".join(sorted(f"* {problem}" for problem in self._problems))
        raise PropertiesError(f"{self._frame}{len(self._problems)} error(s) decoding:\n\n{lines}")

    def _read(self, parse: Callable[[str], T], text: str | None, default: D) -> T | D:
        if text is None:
            return default
        try:
            return parse(text)
        except ValueError as error:
            self._problems.append(str(error))
            return default


class StrictFields(_Fields):
    """The redis store's reader: bare durations are milliseconds, an empty or odd value is an error, no aliases."""

    _frame = "decode failed. "

    def text(self, name: str, *, default: D) -> str | D:
        return self._properties.get(name, default)

    def bool(self, name: str, *, default: builtins.bool = False) -> builtins.bool:
        def parse(text: str) -> builtins.bool:
            try:
                return strconv.parse_bool(text)
            except ValueError:
                raise ValueError(f"error decoding '{name}': invalid bool {quote(text)}") from None

        return self._read(parse, self._properties.get(name), default)

    def int(self, name: str, *, default: D) -> builtins.int | D:
        def parse(text: str) -> builtins.int:
            try:
                return strconv.atoi(text)
            except ValueError:
                raise ValueError(f"error decoding '{name}': invalid int {quote(text)}") from None

        return self._read(parse, self._properties.get(name), default)

    def port(self, name: str, *, default: D) -> builtins.int | D:
        def parse(text: str) -> builtins.int:
            try:
                return strconv.parse_uint(text, bits=_PORT_BITS)
            except ValueError:
                raise ValueError(f"error decoding '{name}': invalid uint16 {quote(text)}") from None

        return self._read(parse, self._properties.get(name), default)

    def duration(self, name: str, *, default: D) -> float | D:
        """Seconds; -1.0 for a bare negative number, which daprd's client takes for "no limit"."""

        def parse(text: str) -> float:
            try:
                number = strconv.atoi(text)
            except ValueError:
                return parse_go(text)
            return number / 1000 if number >= 0 else -1.0

        def parse_go(text: str) -> float:
            try:
                return parse_duration(text)
            except ValueError as error:
                raise ValueError(f"error decoding '{name}': invalid Duration {quote(text)}: {error}") from None

        return self._read(parse, self._properties.get(name), default)


class LenientFields(_Fields):
    """The SQL stores' reader: bare durations are seconds, empty is zero, a bool is never an error, aliases count."""

    def __init__(self, properties: Properties) -> None:
        super().__init__(properties)
        seen = set()
        for name in properties:
            if name.lower() in seen:
                raise PropertiesError(f"failed to resolve aliases: key {name.lower()} is duplicate in the metadata")
            seen.add(name.lower())

    def text(self, name: str, *aliases: str, default: D) -> str | D:
        found = self._find(name, aliases)
        return default if found is None else found

    def bool(self, name: str, *aliases: str, default: builtins.bool = False) -> builtins.bool:
        return self._read(is_truthy, self._find(name, aliases), default)

    def int(self, name: str, *aliases: str, default: D) -> builtins.int | D:
        def parse(text: str) -> builtins.int:
            try:
                return strconv.parse_int(text or "0", base=0)
            except ValueError as error:
                raise ValueError(f"cannot parse '{name}' as int: {error}") from None

        return self._read(parse, self._find(name, aliases), default)

    def duration(self, name: str, *aliases: str, default: D) -> float | D:
        """Seconds, negative ones as they are written."""

        def parse(text: str) -> float:
            if not text:
                return 0.0
            try:
                return parse_duration(text)
            except ValueError as first:
                return parse_seconds(text, first)

        def parse_seconds(text: str, first: ValueError) -> float:
            try:
                return float(strconv.parse_int(text))
            except ValueError as second:
                raise ValueError(f"error decoding '{name}': {first}\n{second}") from None

        return self._read(parse, self._find(name, aliases), default)

    def _find(self, name: str, aliases: tuple[str, ...]) -> str | None:
        return next((self._properties[each] for each in (name, *aliases) if each in self._properties), None)
