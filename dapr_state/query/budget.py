"""How many queries may run at a time, and what they may keep of what they have found, each and together."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Self

from dapr_state.query.tree import QueryError, ResultTooLargeError

if TYPE_CHECKING:
    from types import TracebackType

QUERIES_AT_MOST: Final = 16  # of one store at a time, unless the option says otherwise: each may go through all of it
OCTETS_OF_ONE: Final = 32 << 20  # of keys and values: over gRPC an answer has 4 MiB unless a flag says more
OCTETS_OF_ALL: Final = 128 << 20  # four of the largest


class TooManyQueriesError(QueryError):
    """As many are running as may."""


class QueryBudgets:
    """Of all queries of this process. Each store has places of its own: one that stalls takes those of no other."""

    def __init__(self, queries_at_most: int = QUERIES_AT_MOST) -> None:
        self._queries_at_most = queries_at_most
        self._queries: Counter[str] = Counter()  # by store
        self._octets = 0

    def __repr__(self) -> str:
        return f"<QueryBudgets: {self._queries.total()} queries with {self._octets} octets>"

    def enter(self, store: str) -> QueryBudget:
        """Raises TooManyQueriesError."""
        if self._queries[store] >= self._queries_at_most:
            raise TooManyQueriesError(
                f"{self._queries[store]} queries are running, and --max-concurrent-queries allows no more: try again"
            )
        self._queries[store] += 1
        return QueryBudget(self, store)

    def leave(self, store: str, octets: int) -> None:
        self._queries[store] -= 1
        self._octets -= octets

    def take(self, octets: int) -> None:
        if self._octets + octets > OCTETS_OF_ALL:
            raise ResultTooLargeError(
                f"the results of all queries that run are more than {OCTETS_OF_ALL} bytes: try again"
            )
        self._octets += octets


class QueryBudget:
    """What one query keeps; all of it is given back at its end."""

    def __init__(self, budgets: QueryBudgets, store: str) -> None:
        self._rooms = budgets
        self._store = store
        self.octets = 0

    def __repr__(self) -> str:
        return f"<QueryBudget with {self.octets} octets>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rooms.leave(self._store, self.octets)

    def take(self, octets: int) -> None:
        """Keep so much more, or less. Raises ResultTooLargeError, with nothing taken."""
        if octets > 0 and self.octets + octets > OCTETS_OF_ONE:
            raise ResultTooLargeError(f"the results are more than {OCTETS_OF_ONE} bytes: ask for smaller pages")
        self._rooms.take(octets)
        self.octets += octets
