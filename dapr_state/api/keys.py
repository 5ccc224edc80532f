"""Which key a value is stored under."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SEPARATOR = "||"  # all that a caller's key must not hold
STRATEGY = "keyPrefix"  # the component's metadata name


class IllegalPrefixError(ValueError):
    """A `keyPrefix` that could not be told from the key behind it."""


def prefix(component: str, metadata: Mapping[str, str], app_id: str, namespace: str) -> str:
    """What goes before every key of this component, separator included (state-api.md 2.1).

    `metadata` finds its names without regard to case; the strategy's value is lower-cased, as daprd does.
    """
    strategy = metadata.get(STRATEGY, "appid").lower()
    if SEPARATOR in strategy:
        raise IllegalPrefixError(
            "failed to save lock keyprefix: api error: code = InvalidArgument "
            f"desc = input key/keyPrefix '{strategy}' can't contain '||'"
        )
    named = {
        "none": None,
        "name": component,
        "appid": app_id or None,
        "namespace": (f"{namespace}.{app_id}" if namespace else app_id) if app_id else None,
    }
    chosen = named.get(strategy, strategy)
    return "" if chosen is None else chosen + SEPARATOR
