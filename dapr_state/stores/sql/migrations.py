"""How far the tables have been brought, and how daprd words what fails on the way."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from dapr_state.stores.base import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LEVEL: Final = re.compile(r"\+?[0-9]+")


def level(text: str | None) -> int:
    """How many migrations the metadata table tells to be done; None where it has no such row."""
    if text is None:
        return 0
    if not _LEVEL.fullmatch(text):
        raise StoreError(f"invalid migration level found in metadata table: {text}")
    return int(text)


@contextmanager
def saying(aim: str, errors: type[Exception], describe: Callable[[Exception], str]) -> Iterator[None]:
    """Put what was to be done before the reason why it was not: a StoreError, or one of the driver's `errors`."""
    try:
        yield
    except (errors, StoreError) as error:
        raise StoreError(f"failed to {aim}: {describe(error)}") from error
