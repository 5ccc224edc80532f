"""Connections on which CURRENT_TIMESTAMP is the time that users see, for tests that move it.

The word stands in the statements and cannot be made to mean anything else in the server: so another expression is sent
in its place. Columns that the server fills by itself (`DEFAULT NOW()`, when a row was made) stay on its own clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from dapr_state.stores.postgresql.pool import Connection

if TYPE_CHECKING:
    from dapr_state.clock import VisibleClock

NOW: Final = "CURRENT_TIMESTAMP"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def expression(clock: VisibleClock) -> str:
    """What tells the clock's time in SQL."""
    if clock.is_frozen:
        moment = _EPOCH + timedelta(microseconds=clock.nanoseconds() // 1000)
        return f"(TIMESTAMPTZ '{moment.isoformat()}')"
    return f"({NOW} + INTERVAL '{clock.moved // 1000} microseconds')" if clock.moved else NOW


def connections(clock: VisibleClock) -> type[Connection]:
    """The class of connections that follow this clock."""

    class Following(Connection):
        async def execute(self, query: str, *values: Any, **options: Any) -> Any:
            return await super().execute(query.replace(NOW, expression(clock)), *values, **options)

        async def fetch(self, query: str, *values: Any, **options: Any) -> Any:
            return await super().fetch(query.replace(NOW, expression(clock)), *values, **options)

        async def fetchval(self, query: str, *values: Any, **options: Any) -> Any:
            return await super().fetchval(query.replace(NOW, expression(clock)), *values, **options)

        async def fetchrow(self, query: str, *values: Any, **options: Any) -> Any:
            return await super().fetchrow(query.replace(NOW, expression(clock)), *values, **options)

    return Following
