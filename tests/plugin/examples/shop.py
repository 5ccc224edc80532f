"""The application under test: a shop with carts, one of them an actor each, with Dapr's official Python SDK."""

from __future__ import annotations

import json
from datetime import timedelta

from dapr.actor import Actor, ActorInterface, Remindable, actormethod
from dapr.clients import DaprClient
from dapr.clients.exceptions import DaprGrpcError
from dapr.clients.grpc._state import Concurrency, StateOptions
from dapr.ext.fastapi import DaprActor
from fastapi import FastAPI

STORE = "statestore"


class NotSaved(Exception):
    """The cart could not be kept."""


def put_in_cart(item: str) -> None:
    """Keep a visitor's cart for an hour."""
    with DaprClient() as dapr:
        items = json.loads(dapr.get_state(STORE, "cart").data or b"[]")
        try:
            dapr.save_state(STORE, "cart", json.dumps([*items, item]), state_metadata={"ttlInSeconds": "3600"})
        except DaprGrpcError as error:
            raise NotSaved(error.details()) from error


def count_visit() -> int:
    """Count a visit, again and again until nobody else has counted meanwhile."""
    options = StateOptions(concurrency=Concurrency.first_write)
    with DaprClient() as dapr:
        while True:
            found = dapr.get_state(STORE, "visits")
            visits = int(found.data or 0) + 1
            try:
                dapr.save_state(STORE, "visits", str(visits), etag=found.etag or None, options=options)
            except DaprGrpcError:
                continue
            return visits


class CartInterface(ActorInterface):
    @actormethod(name="Add")
    async def add(self, data: dict[str, object]) -> int: ...

    @actormethod(name="Charge")
    async def charge(self, data: dict[str, object]) -> int: ...

    @actormethod(name="RemindDaily")
    async def remind_daily(self) -> None: ...

    @actormethod(name="Watch")
    async def watch(self) -> None: ...


class Cart(Actor, CartInterface, Remindable):
    """Each method is a turn: nobody else changes the actor meanwhile."""

    async def add(self, data: dict[str, object]) -> int:
        number = await self._get("items") + 1
        await self._state_manager.set_state("items", number)
        return number

    async def charge(self, data: dict[str, object]) -> int:
        """Charge an order once, however often it is asked for."""
        await self._state_manager.set_state(f"order-{data['order']}", data["cents"])
        return int(str(data["cents"]))

    async def remind_daily(self) -> None:
        await self.register_reminder("daily", b"", timedelta(days=1), timedelta(days=1))

    async def watch(self) -> None:
        await self.register_timer("watch", self.look, b"", timedelta(minutes=1), timedelta(minutes=1))

    async def look(self, _: object) -> None:
        await self._state_manager.set_state("looks", await self._get("looks") + 1)

    async def receive_reminder(
        self, name: str, state: bytes, due: timedelta, period: timedelta, ttl: object = None
    ) -> None:
        await self._state_manager.set_state("reminded", await self._get("reminded") + 1)

    async def _get(self, name: str) -> int:
        _, number = await self._state_manager.try_get_state(name)
        return int(number or 0)


app = FastAPI()
actors = DaprActor(app)


@app.on_event("startup")
async def register() -> None:
    await actors.register_actor(Cart)
