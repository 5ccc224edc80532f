"""The query of the State building block: what is asked of a store, and what is said of what it finds."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dapr_state import errors
from dapr_state.api.operation_metrics import of_operation
from dapr_state.clock import WAITING
from dapr_state.query import tokens
from dapr_state.query.budget import QueryBudgets, TooManyQueriesError
from dapr_state.query.text import parse
from dapr_state.query.tree import ForeignTokenError, MalformedQueryError, QueryError, ResultTooLargeError
from dapr_state.stores.base import OwnStatus, StoreError
from dapr_state.stores.model import Feature

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from dapr_state.observability.metrics import Metrics
    from dapr_state.query.budget import QueryBudget
    from dapr_state.query.scan import Outcome
    from dapr_state.query.tree import Query
    from dapr_state.stores.base import StateStore

_now = WAITING.monotonic


class BoundStore(Protocol):
    """A store under the name and key prefix of its component."""

    name: str
    prefix: str
    store: StateStore


class Result(NamedTuple):
    """A row, or why it cannot be read, under the key that its caller knows."""

    key: str
    row: Outcome


class Results(NamedTuple):
    """`token` asks for the next page; "" where there was no limit, or nothing."""

    found: Sequence[Result]
    token: str
    octets: int  # of all keys and values, and some for each
    metadata: Mapping[str, str] = MappingProxyType({})  # that a component gives


class Queries:
    """Answers for all state components. `find` gives the one of a name, or raises."""

    def __init__(
        self, find: Callable[[str], BoundStore], budgets: QueryBudgets, metrics: Metrics | None = None
    ) -> None:
        self._find = find
        self._budgets = budgets
        self._metrics = of_operation("query", metrics)

    @asynccontextmanager
    async def ask(self, store: str, text: bytes, metadata: Mapping[str, str] | None = None) -> AsyncIterator[Results]:
        """What the query finds; as long as it is held, it counts among the queries that run."""
        bound = self._find(store)
        if Feature.QUERY not in bound.store.features and not bound.store.passes_on:  # a component is asked in any case
            if Feature.QUERY in bound.store.unencrypted.features:
                raise errors.STATE_QUERY(store=store, cause="cannot query encrypted store")
            raise errors.STATE_QUERY_NOT_SUPPORTED(store=store)
        try:
            query = await parse(text, metadata)
            with self._budgets.enter(store) as budget:
                yield await self._run(bound, query, budget)
        except QueryError as error:
            raise _ROWS.get(type(error), errors.STATE_QUERY)(store=store, cause=_cause(error)) from error

    async def _run(self, bound: BoundStore, query: Query, budget: QueryBudget) -> Results:
        whose = (bound.name, bound.prefix)
        began = _now()
        try:
            after = None if bound.store.passes_on else tokens.read(query, whose)
            matches = await bound.store.query(bound.prefix, query, after=after, budget=budget)
        except (QueryError, StoreError) as error:
            self._metrics.failed(bound.name, began, error)
            if isinstance(error, StoreError):
                raise _refused(error)(store=bound.name, cause=error) from error
            raise
        self._metrics.done(bound.name, began)
        token = matches.token
        if query.limit and matches.end and not bound.store.passes_on:
            token = tokens.write(matches.end, query, whose)
        cut = len(bound.prefix)
        found = [Result(match.key[cut:], match.row) for match in matches.found]
        return Results(found, token, budget.octets, matches.metadata)


def _refused(error: StoreError) -> errors.ErrorRow:
    """A query is about no etag."""
    if isinstance(error, OwnStatus):
        return errors.STATE_QUERY.in_own_words(error.http, error.grpc, error.grpc_text, error.info, error.tag)
    return errors.STATE_QUERY


_ROWS = {
    ForeignTokenError: errors.STATE_QUERY.invalid(),
    ResultTooLargeError: errors.STATE_QUERY_TOO_LARGE,
    TooManyQueriesError: errors.STATE_QUERIES_TOO_MANY,
}


def _cause(error: QueryError) -> str:
    return f"failed to parse JSON query body: {error}" if isinstance(error, MalformedQueryError) else str(error)
