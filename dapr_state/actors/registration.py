"""The application's life as the actors see it: which types it hosts, from when on, and while it is well."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

from dapr_state import errors
from dapr_state.actors import config
from dapr_state.actors.config import ConfigError, Registration
from dapr_state.app.model import AppError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection

    from dapr_state_proto.runtime.v1.actors_pb2 import (
        SubscribeActorEventsRequestAlpha1 as FromApp,
    )
    from dapr_state_proto.runtime.v1.actors_pb2 import (
        SubscribeActorEventsResponseAlpha1 as ToApp,
    )

    from dapr_state.app.channel import AppChannel
    from dapr_state.app.health import HealthCheck
    from dapr_state.app.http import HttpChannel
    from dapr_state.app.stream import Stream, StreamChannel

log = logging.getLogger("dapr.runtime")


class RegistrationTarget(Protocol):
    """What is told about the application."""

    def host(self, hosted: Registration, channel: AppChannel) -> None:
        """These types are hosted from now on, instead of what was said of them before; none at all is an answer too."""

    async def unhost(self, types: Collection[str]) -> None:
        """They are not, until `host` is called again: their actors end without a word to the application."""


class Registrar(ABC):
    """`begin` it once the application can be reached, `close` it when no actor needs the application any more.

    What is hosted is asked once; while the application is unwell nothing is, and afterwards the same again.
    """

    def __init__(self, target: RegistrationTarget, channel: AppChannel) -> None:
        self._target = target
        self._channel = channel
        self.unwell = asyncio.Event()  # set while the application is not well, or not known yet
        self.unwell.set()
        self._health: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "not well" if self.unwell.is_set() else "well"
        return f"<{type(self).__name__} {state}: {', '.join(self.hosted().types)}>"

    @abstractmethod
    def hosted(self) -> Registration:
        """What the application has said so far that it hosts."""

    async def begin(
        self,
        health: Callable[[Callable[[bool], Awaitable[None]]], HealthCheck] | None = None,
        *,
        is_there: bool = True,
    ) -> None:
        """Return when it is known what is hosted; with a health check, at once. `health` is given whom to tell.

        An application that is not there hosts nothing until it comes.
        """
        if not is_there:
            self.unwell.clear()
            self._target.host(self.hosted(), self._channel)
        elif health is None:
            await self._changed(is_well=True)
        else:
            self._health = asyncio.create_task(health(lambda is_well: self._changed(is_well=is_well)).run())
            self._health.add_done_callback(_tell)

    async def close(self) -> None:
        if self._health:
            self._health.cancel()
            await asyncio.wait([self._health])

    async def leave(self) -> None:
        """The application is about to go: calls wait for the next one, in which no actor is active yet."""
        await self._changed(is_well=False)
        self._forget()

    async def come(self) -> None:
        """Another process of it listens: what it hosts is asked anew."""
        await self._changed(is_well=True)

    async def _changed(self, *, is_well: bool) -> None:
        if is_well:
            self.unwell.clear()
            await self._ask()
            self._target.host(self.hosted(), self._channel)
        else:
            self.unwell.set()
            await self._target.unhost(tuple(self.hosted().types))

    def _forget(self) -> None:  # noqa: B027 - an application that opens streams closes them
        """What was asked is not known any more."""

    async def _ask(self) -> None:  # noqa: B027 - an application that opens streams tells unasked
        """Find out what is hosted, if that is for us to ask and not known yet."""


class HttpRegistrar(Registrar):
    """The application answers `/dapr/config`, unless it is `skip`ped."""

    def __init__(
        self, target: RegistrationTarget, channel: HttpChannel, disseminate_timeout: float, *, skip: bool = False
    ) -> None:
        super().__init__(target, channel)
        self._http = channel
        self._disseminate_timeout = disseminate_timeout
        self._skip = skip
        self._hosted: Registration | None = None

    def hosted(self) -> Registration:
        return self._hosted or Registration()

    async def close(self) -> None:
        await super().close()
        await self._http.close()

    def _forget(self) -> None:
        self._hosted = None

    async def _ask(self) -> None:
        if self._hosted is None:
            self._hosted = await self._fetch()

    async def _fetch(self) -> Registration:
        """One attempt: whatever fails, nothing is hosted."""
        if self._skip:
            log.warning(
                "Skipping programmatic dapr configuration loading (see 'disable-init-endpoints' flag/annotation)"
            )
            return Registration()
        try:
            body = await self._http.fetch_config()
        except AppError as error:
            log.warning("The application's configuration is not read: %s", error)
            return Registration()
        if body is None:  # as an application without actors answers
            return Registration()
        try:
            hosted = config.of_json(body, self._disseminate_timeout)
        except ConfigError as error:
            log.warning("Failed to register hosted actors: %s", error)
            return Registration()
        log.info("Application configuration loaded")
        return hosted


class StreamRegistrar(Registrar):
    """Each stream that the application opens says which types it hosts; a type is hosted while one stream says so."""

    def __init__(self, target: RegistrationTarget, channel: StreamChannel, disseminate_timeout: float) -> None:
        super().__init__(target, channel)
        self._streams = channel
        self._disseminate_timeout = disseminate_timeout
        self._said: dict[Stream, Registration] = {}  # by the streams that are open, the newest last

    def hosted(self) -> Registration:
        types = {name: each for said in self._said.values() for name, each in said.types.items()}
        return Registration(types, all(said.drains_rebalanced for said in self._said.values()))

    async def close(self) -> None:
        await super().close()
        self._streams.close_all()

    async def subscribe(self, messages: AsyncIterator[FromApp]) -> AsyncIterator[ToApp]:
        """One stream: what comes from the application, and what goes to it. Raises DaprError or ConfigError."""
        first = await anext(messages, None)
        if first is None or first.WhichOneof("request_type") != "initial_request":
            raise errors.ACTOR_STREAM_FIRST_MESSAGE()  # noqa: RSE102  a row is called to make its error
        said = config.of_stream(first.initial_request, self._disseminate_timeout)
        stream = self._streams.open()
        reader = asyncio.create_task(stream.read(messages))
        try:
            self._opened(stream, said)
            async for message in stream.outgoing():
                yield message
        finally:
            reader.cancel()
            await asyncio.wait([reader])
            if not reader.cancelled() and (error := reader.exception()):
                log.info("A stream of actor events has broken: %s", error)
            await self._closed(stream)

    def _opened(self, stream: Stream, said: Registration) -> None:
        self._said[stream] = said
        if said.types and not self.unwell.is_set():
            self._target.host(said, self._channel)
        stream.begin()

    async def _closed(self, stream: Stream) -> None:
        said = self._said.pop(stream)
        self._streams.close(stream)
        gone = said.types.keys() - self.hosted().types.keys()
        if gone:
            await self._target.unhost(gone)


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("The health of the application is not watched any more", exc_info=error)
