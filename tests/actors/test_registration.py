"""When actors learn what the application hosts, and when that it does no longer."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest
from dapr_state_proto.runtime.v1.actors_pb2 import SubscribeActorEventsRequestAlpha1 as FromApp

from dapr_state.actors.registration import HttpRegistrar, StreamRegistrar
from dapr_state.app.callbacks import Caller
from dapr_state.app.client import Http1Client
from dapr_state.app.health import HealthCheck, Pace, UnwellError
from dapr_state.app.http import HttpChannel
from dapr_state.app.model import ActorCall, ActorId, AppError
from dapr_state.app.stream import StreamChannel
from dapr_state.clock import ManualClock
from dapr_state.errors import DaprError
from tests.support.rawapp import RawApp
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection
    from pathlib import Path

    from dapr_state.actors.config import Registration
    from dapr_state.app.channel import AppChannel

CALLER = Caller("shop", "default")


class Told:
    """What the actors are told, in order: `+a+b` and `-a`; `+` alone says that nothing is hosted."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def host(self, hosted: Registration, channel: AppChannel) -> None:
        assert channel
        self.words.append("".join(f"+{name}" for name in hosted.types) or "+")

    async def unhost(self, types: Collection[str]) -> None:
        self.words.append("".join(f"-{name}" for name in sorted(types)))


class Health:
    """A check whose outcome the test decides."""

    def __init__(self, *, is_well: bool) -> None:
        self.is_well = is_well
        self.clock = ManualClock()

    def check(self, changed: Callable[[bool], Awaitable[None]]) -> HealthCheck:
        return HealthCheck(self.probe, Pace(1, 1, 1), changed, self.clock)

    async def probe(self) -> None:
        if not self.is_well:
            raise UnwellError("ill")

    async def becomes(self, *, well: bool) -> None:
        """Return when it has been noticed."""
        self.is_well = well
        self.clock.advance(1)
        await eventually(lambda: self.clock.waiting)


def http(told: Told, app: RawApp, *, skip: bool = False) -> HttpRegistrar:
    return HttpRegistrar(told, HttpChannel(Http1Client("127.0.0.1", app.port), CALLER), 30, skip=skip)


async def test_the_configuration_is_asked_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the sidecar's name; what it says is hosted when `begin` returns."""
    caplog.set_level(logging.INFO, "dapr.runtime")
    told = Told()
    with RawApp(tmp_path, {"entities": ["a", "b"]}) as app:
        registrar = http(told, app)
        await registrar.begin()
        await registrar.close()
        (asked,) = app.seen()

    assert told.words == ["+a+b"]
    assert (asked.method, asked.target, asked.header("Dapr-App-Id")) == ("GET", "/dapr/config", "shop")
    assert caplog.messages == ["Application configuration loaded"]


@pytest.mark.parametrize(
    ("rule", "logged"),
    [
        ({"status": 404}, ""),
        ({"status": 302, "headers": [["Location", "/other"]]}, ""),
        ({"drop": True}, "The application's configuration is not read: "),
        ({"body": "nonsense"}, "Failed to register hosted actors: the application's configuration cannot be read: "),
        (
            {"body": '{"entities":["a"],"actorIdleTimeout":"x"}'},
            "Failed to register hosted actors: failed to parse default actor idle timeout: ",
        ),
    ],
    ids=str,
)
async def test_without_a_configuration_nothing_is_hosted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rule: dict[str, object], logged: str
) -> None:
    """That is known then, and not asked again; the log says why, unless the application simply has none."""
    caplog.set_level(logging.INFO, "dapr.runtime")
    told = Told()
    with RawApp(tmp_path, "{}") as app:
        app.obey({"match": "/dapr/config", **rule})
        registrar = http(told, app)
        await registrar.begin()
        await registrar.close()

    assert told.words == ["+"]
    assert [message[: len(logged)] for message in caplog.messages] == ([logged] if logged else [])


async def test_the_configuration_is_not_asked_when_that_is_forbidden(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """--disable-init-endpoints config."""
    told = Told()
    with RawApp(tmp_path, {"entities": ["a"]}) as app:
        registrar = http(told, app, skip=True)
        await registrar.begin()
        await registrar.close()
        asked = app.seen()

    assert (told.words, asked) == (["+"], [])
    assert caplog.messages == [
        "Skipping programmatic dapr configuration loading (see 'disable-init-endpoints' flag/annotation)"
    ]


async def test_with_a_health_check_the_application_is_asked_when_it_is_well(tmp_path: Path) -> None:
    """`begin` does not wait for that; an unwell application hosts nothing, and afterwards the same, unasked."""
    told, health = Told(), Health(is_well=False)
    with RawApp(tmp_path, {"entities": ["a"]}) as app:
        registrar = http(told, app)
        await registrar.begin(health.check)
        await health.becomes(well=False)
        before = list(told.words), app.seen()
        for well in (True, False, True):
            await health.becomes(well=well)
        await registrar.close()
        asked = app.seen()

    assert before == ([], [])
    assert told.words == ["+a", "-a", "+a"]
    assert len(asked) == 1


class App:
    """An application that opens streams."""

    def __init__(self, registrar: StreamRegistrar, *types: str) -> None:
        self.got: list[str] = []
        self._messages: asyncio.Queue[FromApp | None] = asyncio.Queue()
        self._messages.put_nowait(FromApp(initial_request={"entities": types}))
        self.task = asyncio.create_task(self._listen(registrar))

    async def _listen(self, registrar: StreamRegistrar) -> None:
        async for message in registrar.subscribe(self._sent()):
            self.got.append(message.WhichOneof("response_type") or "")

    async def _sent(self) -> AsyncIterator[FromApp]:
        while message := await self._messages.get():
            yield message

    async def opened(self) -> App:
        await eventually(lambda: self.got)
        return self

    async def leave(self) -> None:
        self._messages.put_nowait(None)
        await self.task


def streams(told: Told) -> StreamRegistrar:
    return StreamRegistrar(told, StreamChannel(CALLER), 30)


async def test_a_stream_says_what_is_hosted() -> None:
    """Before the first nothing is; then what it says, until it ends."""
    told = Told()
    registrar = streams(told)
    await registrar.begin()
    app = await App(registrar, "a", "b").opened()
    await app.leave()

    assert told.words == ["+", "+a+b", "-a-b"]
    assert app.got == ["initial_response"]


async def test_a_type_is_hosted_while_one_stream_hosts_it() -> None:
    """A new version of the application replaces the old one without a gap, in either order of their ends."""
    told = Told()
    registrar = streams(told)
    await registrar.begin()
    old = await App(registrar, "a", "b").opened()
    new = await App(registrar, "b", "c").opened()
    await old.leave()
    await new.leave()

    assert told.words == ["+", "+a+b", "+b+c", "-a", "-b-c"]


async def test_a_stream_without_types_changes_nothing() -> None:
    """It is accepted, and that is all."""
    told = Told()
    registrar = streams(told)
    await registrar.begin()
    await (await App(registrar).opened()).leave()

    assert told.words == ["+"]


async def test_streams_while_the_application_is_unwell() -> None:
    """Their types are hosted when it is well."""
    told, health = Told(), Health(is_well=False)
    registrar = streams(told)
    await registrar.begin(health.check)
    await health.becomes(well=False)
    app = await App(registrar, "a").opened()
    for well in (True, False, True):
        await health.becomes(well=well)
    await app.leave()
    await registrar.close()

    assert told.words == ["+a", "-a", "+a", "-a"]


@pytest.mark.parametrize(
    "first", [None, FromApp(invoke_response={"id": "1"}), FromApp()], ids=["none", "other", "empty"]
)
async def test_a_stream_begins_with_what_is_hosted(first: FromApp | None) -> None:
    """Otherwise it is refused."""
    told = Told()

    async def messages() -> AsyncIterator[FromApp]:
        if first:
            yield first

    with pytest.raises(DaprError) as raised:
        await anext(streams(told).subscribe(messages()))

    assert raised.value.message == "first message must be SubscribeActorEventsRequestInitialAlpha1"
    assert told.words == []


async def test_closing_ends_the_streams() -> None:
    """The application sees their ends, and what is under way fails."""
    told = Told()
    channel = StreamChannel(CALLER)
    registrar = StreamRegistrar(told, channel, 30)
    await registrar.begin()
    app = await App(registrar, "a").opened()
    call = asyncio.create_task(channel.invoke(ActorCall(ActorId("a", "1"), "m")))
    await eventually(lambda: len(app.got) == 2)
    await registrar.close()
    await app.task

    with pytest.raises(AppError, match="disconnected"):
        await call


async def test_a_stream_that_breaks_is_at_its_end() -> None:
    """Whatever its transport raises."""
    told = Told()
    registrar = streams(told)
    await registrar.begin()

    async def messages() -> AsyncIterator[FromApp]:
        yield FromApp(initial_request={"entities": ["a"]})
        raise ConnectionResetError

    got = [message async for message in registrar.subscribe(messages())]

    assert len(got) == 1
    assert told.words == ["+", "+a", "-a"]
