"""Compressed messages: made plain in slices, as 4 KB of them may stand for 4 MB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.slices import Work

if TYPE_CHECKING:
    from dapr_state.wire.grpc import Packed


async def inflated(message: Packed) -> bytes:
    """The message. Raises Refused when it is none, or too long."""
    parts = message.parts()
    found = [next(parts, b"")]  # which is the whole of most messages
    work = Work()
    for part in parts:
        found.append(part)
        if len(found) == 2 or work.is_over():  # noqa: PLR2004 - many connections may come so far in one turn
            await work.pause()
    return b"".join(found)
