"""An application of the official Python SDK; run by the SDK's own interpreter: `python_app.py http` or `... grpc`.

The ports come from the environment, as Dapr sets them for applications.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta
from typing import Any

import uvicorn
from dapr.actor import Actor, ActorGrpcHost, ActorId, ActorInterface, ActorProxy, Remindable, actormethod
from dapr.actor.runtime.config import ActorReentrancyConfig, ActorRuntimeConfig, ActorTypeConfig
from dapr.actor.runtime.runtime import ActorRuntime
from dapr.ext.fastapi import DaprActor
from fastapi import FastAPI

ENDED: list[str] = []  # the actors that were deactivated, in order


class TallyInterface(ActorInterface):
    """A counter, and what the SDK can do besides."""

    @actormethod("Add")
    async def add(self, number: int) -> int: ...

    @actormethod("Value")
    async def value(self) -> int: ...

    @actormethod("Fail")
    async def fail(self) -> None: ...

    @actormethod("Nothing")
    async def nothing(self) -> None: ...

    @actormethod("ThroughSelf")
    async def through_self(self, depth: int) -> int: ...

    @actormethod("Remind")
    async def remind(self, name: str) -> None: ...

    @actormethod("Repeat")
    async def repeat(self, name: str) -> None: ...

    @actormethod("Time")
    async def time(self, data: Any) -> None: ...

    @actormethod("Fired")
    async def fired(self) -> list[Any]: ...

    @actormethod("Store")
    async def store(self, values: dict[str, Any]) -> None: ...

    @actormethod("Load")
    async def load(self, names: list[str]) -> list[Any]: ...

    @actormethod("Drop")
    async def drop(self, name: str) -> None: ...

    @actormethod("Ended")
    async def ended(self) -> list[str]: ...


class Tally(Actor, TallyInterface, Remindable):
    async def add(self, number: int) -> int:
        value: int = await self._state_manager.get_or_add_state("value", 0)
        await asyncio.sleep(0)  # another turn at the same time would read the same value
        await self._state_manager.set_state("value", value + number)
        await self._state_manager.save_state()
        return value + number

    async def value(self) -> int:
        found: int = await self._state_manager.get_or_add_state("value", 0)
        return found

    async def fail(self) -> None:
        raise ValueError("on purpose")

    async def nothing(self) -> None:
        pass

    async def through_self(self, depth: int) -> int:
        if depth == 0:
            return 0
        proxy: Any = ActorProxy.create("Tally", self.id, TallyInterface)
        inner: int = await proxy.ThroughSelf(depth - 1)
        return inner + 1

    async def remind(self, name: str) -> None:
        await self.register_reminder(name, b"of " + name.encode(), timedelta(0), timedelta(hours=1))

    async def repeat(self, name: str) -> None:
        await self.register_reminder(name, b"again", timedelta(0), timedelta(milliseconds=200), timedelta(hours=1))

    async def time(self, data: Any) -> None:
        await self.register_timer("t", self.on_timer, data, timedelta(0), timedelta(hours=1))

    async def on_timer(self, data: Any) -> None:
        await self._note(["timer", data])
        await self.unregister_timer("t")

    async def receive_reminder(
        self, name: str, state: bytes, due_time: timedelta, period: timedelta, ttl: timedelta | None = None
    ) -> None:
        del due_time, period, ttl
        await self._note([name, state.decode()])
        if len(await self.fired()) >= 2:
            await self.unregister_reminder(name)

    async def fired(self) -> list[Any]:
        found: list[Any] = await self._state_manager.get_or_add_state("fired", [])
        return found

    async def store(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            await self._state_manager.set_state(name, value)
        await self._state_manager.save_state()

    async def load(self, names: list[str]) -> list[Any]:
        return [(await self._state_manager.try_get_state(name))[1] for name in names]

    async def drop(self, name: str) -> None:
        await self._state_manager.remove_state(name)
        await self._state_manager.save_state()

    async def ended(self) -> list[str]:
        return ENDED

    async def _note(self, what: list[Any]) -> None:
        await self._state_manager.set_state("fired", [*await self.fired(), what])
        await self._state_manager.save_state()


class Brief(Tally):
    """It is deactivated when nobody has called it for a moment."""

    async def _on_deactivate(self) -> None:
        ENDED.append(ActorId(self.id.id).id)


CONFIG = ActorRuntimeConfig(
    actor_type_configs=[
        ActorTypeConfig("Tally", reentrancy=ActorReentrancyConfig(enabled=True, maxStackDepth=4)),
        ActorTypeConfig("Brief", actor_idle_timeout=timedelta(milliseconds=300)),
    ]
)


async def over_http() -> None:
    app = FastAPI()
    host = DaprActor(app)
    await host.register_actor(Tally)
    await host.register_actor(Brief)
    await uvicorn.Server(uvicorn.Config(app, port=int(os.environ["APP_PORT"]), log_level="warning")).serve()


async def over_grpc() -> None:
    host = ActorGrpcHost()
    await host.register_actor(Tally)
    await host.register_actor(Brief)
    await host.run_forever()


if __name__ == "__main__":
    ActorRuntime.set_actor_config(CONFIG)
    asyncio.run({"http": over_http, "grpc": over_grpc}[sys.argv[1]]())
