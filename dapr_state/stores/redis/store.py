"""state.redis: what the store promises, carried out by one server."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

from dapr_state.resources.properties import is_truthy
from dapr_state.stores import paging
from dapr_state.stores.base import Entry, Found, Outcomes, Page, StateStore
from dapr_state.stores.model import Feature
from dapr_state.stores.redis import options
from dapr_state.stores.redis.cluster import Cluster
from dapr_state.stores.redis.node import Node
from dapr_state.stores.redis.sentinels import Master
from dapr_state.stores.redis.writing import Touch
from dapr_state.stores.ttl import TtlRule

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from dapr_state.resources.component import Component
    from dapr_state.stores.model import Operation

log = logging.getLogger("dapr.contrib")


class RedisStore(StateStore):
    features = (Feature.ETAG, Feature.TRANSACTIONAL, Feature.TTL, Feature.LIST, Feature.TOUCH, Feature.QUERY)

    def __init__(self, settings: options.Options) -> None:
        self._node = _servers(settings)
        self.ttl_rule = TtlRule(error="failed to parse ttl from metadata: {}", ranged=False, default=settings.ttl)
        self._actor_hash_tag = settings.actor_hash_tag

    def __repr__(self) -> str:
        return f"<RedisStore {self._node!r}>"

    @classmethod
    def from_component(cls, component: Component) -> Self:
        settings = options.read(component.properties)
        is_for_actors = is_truthy(component.properties.get("actorStateStore", ""))
        if settings.cluster and is_for_actors and not settings.actor_hash_tag:
            log.warning(
                "%s: transactions of actors are refused when they have several keys, as daprd's keys spread an actor "
                "over the nodes of the cluster; `actorHashTag: true` keeps it together, where daprd does not look",
                component.name,
            )
        return cls(settings)

    async def open(self) -> None:
        await self._node.open()

    async def close(self) -> None:
        await self._node.close()

    async def ping(self) -> None:
        await self._node.ping()

    # What a node is asked is handed on as the coroutine that it is: one around it is 2 % of a write.

    def get(self, keys: Sequence[str]) -> Coroutine[Any, Any, Found]:
        return self._node.read(keys) if keys else _nothing()

    def together(self, prefix: str) -> str:
        return "{" + prefix + "}" if self._actor_hash_tag else prefix

    async def list(self, prefix: str, *, after: str = "", limit: int) -> Page:
        keys, after = await self._node.find(prefix, after, paging.size(limit))
        rows = zip(keys, await self.get(keys), strict=True)
        return Page([Entry(key, row) for key, row in rows if row is not None], after)

    async def touch(self, key: str, ttl: int | None, *, etag: str = "") -> None:
        touch: Any = Touch(key, ttl, etag)  # goes the way of the writes, between those before and behind it
        for refusal in filter(None, await self._node.write([touch])):
            raise refusal

    def write(self, operations: Sequence[Operation]) -> Coroutine[Any, Any, Outcomes]:
        return self._node.write(operations) if operations else _nothing()

    async def transact(self, operations: Sequence[Operation]) -> None:
        if operations:
            for refusal in filter(None, await self._node.transact(operations)):
                raise refusal


async def _nothing() -> list[Any]:
    return []


def _servers(settings: options.Options) -> Node | Cluster:
    if settings.cluster:
        return Cluster(settings)
    return Master(settings) if settings.sentinel else Node(settings)
