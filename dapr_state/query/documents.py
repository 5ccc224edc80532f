"""What stands at some paths of a document in JSON: read without making objects of all the rest.

A document that is not JSON in UTF-8 has nothing at any path; half a surrogate pair makes it none too. Of members with
one name the last counts.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

import msgspec

from dapr_state.golang import json
from dapr_state.query.tree import Nothing, Path, Scalar
from dapr_state.slices import Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TEXT_AT_MOST: Final = 16 * 1024  # characters of a text to compare with: 64 kB, decoded in 50 us
NUMBER_AT_MOST: Final = 1024  # characters of a number: arithmetic on longer ones takes a while
_EXPONENT_AT_MOST: Final = 15  # digits: beyond some 18, Decimal has no such numbers
# octets that have more characters than any text to compare with: a pair of surrogates is 12 octets for one
_BEGINNING: Final = 12 * (TEXT_AT_MOST + 2)

_CUT: Final = re.compile(rb'"(?:[^"\\]++|\\(?:u[dD][89abAB]..\\u....|u....|.))*+', re.DOTALL)
_EXPONENT: Final = re.compile(rb"[eE][+-]?0*+(\d*+)$")
_text = msgspec.json.Decoder(str).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_raw = msgspec.json.Decoder(msgspec.Raw).decode
_WORDS: Final[Mapping[bytes, Scalar]] = {b"t": True, b"f": False, b"n": None, b"{": Nothing.OTHER, b"[": Nothing.OTHER}


class UnreadableDocumentError(Exception):
    """Nobody looks into it, so that nobody knows whether it is among what is asked for."""


class Paths:
    """The values at `paths`, of any number of documents."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._nothing: list[Scalar] = [Nothing.MISSING] * len(paths)
        self._root = _Object((path, place) for place, path in enumerate(paths))

    def __repr__(self) -> str:
        return f"<Paths {len(self._nothing)}>"

    async def of(self, document: bytes) -> list[Scalar]:
        """What stands at each path. Raises UnreadableDocumentError."""
        if not self._nothing:
            return []
        if len(document) > json.QUICK:
            raise UnreadableDocumentError(f"queries do not look into values of more than {json.QUICK} bytes")
        work = Work() if len(document) > json.LONG else None
        found = self._nothing.copy()
        try:
            if not document.isascii():
                document.decode()
            if work:
                await work.pause()
            await self._root.read(bytes(_raw(document)), found, work)
        except (UnicodeDecodeError, msgspec.DecodeError):
            return self._nothing
        except RecursionError:
            raise UnreadableDocumentError("queries do not look into values that are nested so deep") from None
        return found


class _Object:
    """One on the way: which of its members are wanted, and the places of what ends here."""

    def __init__(self, paths: Iterable[tuple[Path, int]]) -> None:
        self._places: list[int] = []
        below: dict[str, list[tuple[Path, int]]] = {}
        for path, place in paths:
            if path:
                below.setdefault(path[0], []).append((path[1:], place))
            else:
                self._places.append(place)
        self._members = {name: _Object(rest) for name, rest in below.items()}

    async def read(self, octets: bytes, found: list[Scalar], work: Work | None) -> None:
        """`work` is there for long ones, whose parts may be long too."""
        for place in self._places:
            found[place] = scalar(octets)
        if not self._members or octets[:1] != b"{":
            return
        if work is None or len(octets) <= json.PIECE:
            members = _members(octets)
        else:
            members = await self._wanted_of_long(octets, work)
        for name, member in self._members.items():
            if name in members:
                await member.read(bytes(members[name]), found, work)

    async def _wanted_of_long(self, octets: bytes, work: Work) -> dict[str, msgspec.Raw]:
        wanted: dict[str, msgspec.Raw] = {}
        async for piece in json.pieces(octets, work):
            if len(piece) > json.LONG:
                await work.pause()
            members = _members(piece)
            wanted |= {name: members[name] for name in self._members.keys() & members.keys()}
        return wanted


def scalar(octets: bytes) -> Scalar:
    """What a value is, whose octets are valid JSON without blanks around it."""
    first = octets[:1]
    if first == b'"':
        return _text(octets) if len(octets) <= _BEGINNING else _beginning(octets)
    return _WORDS[first] if first in _WORDS else number(octets)


def number(octets: bytes) -> Decimal | Nothing:
    """A number as it is written; a very long one, or one beyond 10 to the power of 10 to the 15, is something else."""
    if len(octets) > NUMBER_AT_MOST:
        return Nothing.OTHER
    exponent = _EXPONENT.search(octets)
    if exponent and len(exponent[1]) > _EXPONENT_AT_MOST:
        return Nothing.OTHER
    try:
        return Decimal(octets.decode())
    except InvalidOperation:
        return Nothing.OTHER


def _beginning(octets: bytes) -> str:
    """More of a text than any that it is compared with has; what is longer than that can only differ."""
    cut = _CUT.match(octets, 0, _BEGINNING)
    whole = cut[0] if cut else b'"'
    return _text(whole.decode(errors="ignore").encode() + b'"')  # a character may have been cut
