"""A component's answers: octets that may be many, or none of its protocol's, until they have been read here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError

from dapr_state.slices import STEPS, Work
from dapr_state.stores.base import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LARGEST: Final = 16 << 20  # octets of one answer: four times what daprd takes
LARGEST_WITHOUT_VALUES: Final = 1 << 20  # octets: 10,000 names of features, or of services
_PART: Final = 32 * 1024  # octets that are decoded at one time: 2 ms of the smallest rows
_NUMBER: Final = 0  # the last bits of a tag, of the protocol: a number follows
_COUNTED: Final = 2  # of the protocol: a length follows, and so many octets
_FIXED: Final = {1: 8, 5: 4}  # of the protocol: so many octets follow
_MORE: Final = 0x80  # a number goes on behind an octet with this bit


def whole(kind: Any, octets: bytes) -> Any:
    """One message. Raises StoreError if these octets are none of this kind."""
    try:
        return kind.FromString(octets)
    except DecodeError:
        raise _failure(kind) from None


async def parts(kind: Any, octets: bytes) -> AsyncIterator[Any]:
    """One message as several of its kind, which together say the same: rows of it are nobody's before they come."""
    work = Work()
    start = at = steps = 0
    while at < len(octets):
        at = _end_of_field(kind, octets, at)
        steps += 1
        if at - start >= _PART:
            yield whole(kind, octets[start:at])
            start = at
        if steps % STEPS == 0 and work.is_over():
            await work.pause()
    yield whole(kind, octets[start:])


def _end_of_field(kind: Any, octets: bytes, at: int) -> int:
    tag, at = _number(kind, octets, at)
    form = tag & 7
    if form == _COUNTED:
        length, at = _number(kind, octets, at)
        at += length
    elif form == _NUMBER:
        _, at = _number(kind, octets, at)
    elif form in _FIXED:
        at += _FIXED[form]
    else:
        raise _failure(kind)
    if at > len(octets):
        raise _failure(kind)
    return at


def _number(kind: Any, octets: bytes, at: int) -> tuple[int, int]:
    """A number in seven bits of each octet, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(octets):
            break
        octet = octets[at]
        at += 1
        number |= (octet & ~_MORE) << shift
        if octet < _MORE:
            return number, at
    raise _failure(kind)


def _failure(kind: Any) -> StoreError:
    return StoreError(f"the component's answer is no {kind.DESCRIPTOR.full_name}")
