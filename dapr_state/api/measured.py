"""The State API with its calls counted: daprd's `component_state` metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dapr_state import errors
from dapr_state.api.state import Item, Outcome, State
from dapr_state.clock import SYSTEM
from dapr_state.errors import DaprError
from dapr_state.observability.exposition import WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dapr_state.api.state import BoundStore
    from dapr_state.observability.metrics import Metrics
    from dapr_state.stores.model import Row

# Only what the store itself was asked counts; these are the errors that it can cause
_OF_THE_STORE: Final = frozenset(
    row.code
    for row in (
        errors.STATE_GET,
        errors.STATE_BULK_GET,
        errors.STATE_SAVE,
        errors.STATE_DELETE,
        errors.STATE_BULK_DELETE,
        errors.STATE_TRANSACTION,
    )
)


class MeasuredState(State):
    def __init__(self, app_id: str, stores: Mapping[str, BoundStore], metrics: Metrics) -> None:
        super().__init__(app_id, stores)
        self._metrics = metrics
        self._now = SYSTEM.monotonic
        self._gets: dict[str, int] = {}  # the usual ones: successful, in less than a millisecond
        metrics.before_reading.append(self._settle)

    async def get(self, store: str, key: str) -> Row | None:
        began = self._now()
        try:
            found = await State.get(self, store, key)
        except DaprError as error:
            self._failed(store, "get", error, began)
            raise
        if self._now() - began < WHOLE:
            try:
                self._gets[store] += 1
            except KeyError:
                self._gets[store] = 1
        else:
            self._done(store, "get", "true", began)
        return found

    async def get_bulk(self, store: str, wanted: Sequence[str]) -> list[Outcome]:
        began = self._now()
        try:
            found = await State.get_bulk(self, store, wanted)
        except DaprError as error:
            self._failed(store, "bulk_get", error, began)
            raise
        if wanted:
            self._done(store, "bulk_get", "true", began)
        return found

    async def save(self, store: str, items: Sequence[Item]) -> None:
        began = self._now()
        try:
            await State.save(self, store, items)
        except DaprError as error:
            self._failed(store, "set", error, began)
            raise
        if items:
            self._done(store, "set", "true", began)

    async def delete(self, store: str, item: Item) -> None:
        began = self._now()
        try:
            await State.delete(self, store, item)
        except DaprError as error:
            self._failed(store, "delete", error, began)
            raise
        self._done(store, "delete", "true", began)

    async def delete_bulk(self, store: str, items: Sequence[Item]) -> None:
        began = self._now()
        try:
            await State.delete_bulk(self, store, items)
        except DaprError as error:
            self._failed(store, "bulk_delete", error, began)
            raise
        if items:
            self._done(store, "bulk_delete", "true", began)

    async def transact(
        self, store: str, steps: Iterable[tuple[str, Item]], metadata: Mapping[str, str] | None = None
    ) -> None:
        began = self._now()
        try:
            await State.transact(self, store, steps, metadata)
        except DaprError as error:
            self._failed(store, "transaction", error, began)
            raise
        self._done(store, "transaction", "true", began)

    def _failed(self, store: str, operation: str, error: DaprError, began: float) -> None:
        if error.row.code in _OF_THE_STORE:
            self._done(store, operation, "false", began)

    def _settle(self) -> None:
        for store, count in self._gets.items():
            self._metrics.state_count.series(store, self._metrics.namespace, "get", "true").value += count
        self._gets.clear()

    def _done(self, store: str, operation: str, success: str, began: float) -> None:
        labels = (store, self._metrics.namespace, operation, success)
        self._metrics.state_count.series(*labels).value += 1
        # as daprd: what takes less than a millisecond is counted, but has no latency
        if milliseconds := int((self._now() - began) * 1000):
            self._metrics.state_latency.series(*labels).observe(milliseconds)
