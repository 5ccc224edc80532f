"""The object that a test is given: one sidecar, what it keeps, its clock, its faults, and what is served to it."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from dapr_state.pytest import client, faults
from dapr_state.pytest.actors import Actor, Actors
from dapr_state.pytest.application import Applications
from dapr_state.pytest.calls import Calls
from dapr_state.pytest.client import Client, SidecarEnded
from dapr_state.pytest.clock import Clock
from dapr_state.pytest.faults import Faults
from dapr_state.pytest.state import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from dapr_state.pytest.clock import Duration
    from dapr_state.pytest.faults import Fault
    from dapr_state.pytest.process import Process

STORE: Final = "statestore"
QUIET: Final = "2s"  # for calls that are under way at a test's end
LINE: Final = 300  # characters of a line of the log, in a sentence


class Dapr:
    """`process` None: it runs already, and is nobody's to start or to stop."""

    def __init__(self, http_port: int, grpc_port: int, app_id: str, process: Process | None, token: str = "") -> None:
        self.http_port = http_port
        self.grpc_port = grpc_port
        self.app_id = app_id
        self.is_strict = True
        self.is_clean = False
        self.module = ""  # of the test that was the last to have it
        self._process = process
        self._client = Client(http_port, process.why_gone if process else lambda: "", token)
        self._faults = Faults(self._client)
        self._expected: list[str] = []
        self._began = 0  # of the log
        self._has_lost_actors = False  # that the application still has: it was told of no end of theirs
        self._loop: asyncio.AbstractEventLoop | None = None  # that serves the application
        self.apps = Applications(self)
        self.serving: Applications | None = None  # whose application is served now
        self.clock = Clock(self._client, self._check_loop)
        self.calls = Calls(self._client)

    def __repr__(self) -> str:
        return f"<Dapr {self.app_id} at {self.http_url}, gRPC {self.grpc_address}>"

    # Where it is

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def grpc_address(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def app_port(self) -> int:
        """Where it looks for its application."""
        return self._process.app_port if self._process else 0

    @property
    def env(self) -> dict[str, str]:
        """What another program needs to find it."""
        ports = {"DAPR_HTTP_PORT": self.http_port, "DAPR_GRPC_PORT": self.grpc_port, "APP_PORT": self.app_port}
        return {**{name: str(port) for name, port in ports.items()}, "APP_ID": self.app_id}

    @property
    def is_running(self) -> bool:
        return self._process is None or self._process.is_running

    # What it keeps

    def state(self, store: str = STORE) -> State:
        return State(self._client, store)

    def actor(self, actor_type: str, actor_id: str, *, store: str = STORE) -> Actor:
        """`store` is the one in which actors keep their state."""
        return Actor(self._client, actor_type, actor_id, store, self._check_loop)

    def actors(self, actor_type: str) -> Actors:
        return Actors(self._client, actor_type)

    # Faults: each ends with its `with` block, or with the test

    def fail(self, on: str, *, error: str = "", **where: Any) -> Fault:
        """Have what is asked fail with this text. `on` is get, write, transact, any, app, reminder, timer or api.

        `where`: store, key (a prefix), actor ("Cart" or "Cart/7"), method (of an API: the operation, as SaveState),
        times (1; 0: each time), after (so many are left alone first), probability with seed, unused="ignore".
        """
        return self._add(on, {"error": error or "a fault that the test has put in"}, where)

    def conflict(self, on: str = "write", **where: Any) -> Fault:
        """Have a write fail as if somebody else had written meanwhile."""
        return self._add(on, {"etagConflict": True}, where)

    def delay(self, on: str, seconds: Duration, **where: Any) -> Fault:
        """Have what is asked take so much longer, in real time."""
        return self._add(on, faults.delay(seconds), where)

    def hang(self, on: str, **where: Any) -> Fault:
        """Have what is asked not be answered, until the fault is taken away, or the caller gives up."""
        return self._add(on, {"hang": True}, where)

    def drop(self, on: str, **where: Any) -> Fault:
        """Have the connection end before anything is done; of a reminder or timer: have a tick be lost."""
        return self._add(on, {"dropConnection": True}, where)

    def lose_answer(self, on: str, **where: Any) -> Fault:
        """Have it done, and its caller told an error: what is not safe to be asked twice shows."""
        return self._add(on, {"afterCommit": True}, where)

    def goaway(self, **where: Any) -> Fault:
        """Have the server take no further call on a connection of HTTP/2 or gRPC."""
        return self._add("api", {"goaway": True}, where)

    def _add(self, on: str, effect: dict[str, Any], where: dict[str, Any]) -> Fault:
        where.setdefault("times", 1)
        return self._faults.add(on, effect, **where)

    # Its life

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """At the block's end the stores, the reminders and the time are what they were at its beginning.

        Actors end at that moment, and their timers with them; faults stay. So one arrangement serves many tests.
        """
        self._check_loop("asnapshot")
        taken = self._take_snapshot()
        try:
            yield
        finally:
            self._check_loop("asnapshot")
            self._restore(taken)

    @asynccontextmanager
    async def asnapshot(self) -> AsyncIterator[None]:
        """The same, where this event loop serves the application."""
        taken = await asyncio.to_thread(self._take_snapshot)
        try:
            yield
        finally:
            await asyncio.to_thread(self._restore, taken)

    def _take_snapshot(self) -> str:
        return str(self._client.ask("POST", "test/snapshots", {}, within=client.ANSWER)["id"])

    def _restore(self, taken: str) -> None:
        path = f"test/snapshots/{taken}:restore"
        busy = self._client.ask("POST", path, {}, within=client.ANSWER).get("busy", ())
        if busy:
            raise TimeoutError(f"still under way at the snapshot's end: {'; '.join(busy)}")

    def wait_idle(self, patience: float = 5) -> None:
        """Return when no call, turn, tick or write is under way. Raises TimeoutError, which says what still is."""
        self._check_loop("await_idle")
        self._wait_idle(patience)

    async def await_idle(self, patience: float = 5) -> None:
        await asyncio.to_thread(self._wait_idle, patience)

    def _wait_idle(self, patience: float) -> None:
        told = self._client.ask("POST", "test/waitIdle", {"patience": f"{patience}s"})
        if not told.get("idle"):
            raise TimeoutError("; ".join(told.get("busy", ())))

    def restart(self, *, kill: bool = False) -> None:
        """End it (`kill`: at once, as a crash does) and start it again, with the same ports, files and time.

        Its faults end with it.
        """
        process = self._owned("restart")
        moved, was_frozen = timedelta(0), False
        if process.is_running:
            moved, was_frozen = self.clock.moved, self.clock.is_frozen
        self._faults.remove()
        self._has_lost_actors |= kill or not process.is_running
        process.kill() if kill else process.stop()
        process.start()
        self.calls.begin()
        if moved > timedelta(seconds=1):
            self._client.ask("POST", "test/setTime", {"to": f"{(datetime.now(UTC) + moved).isoformat()}"})
        if was_frozen:
            self.clock.freeze()
        if self._loop is None:
            self._client.ask("POST", "app:reload", {})

    def pause(self, seconds: float) -> None:
        """Have the whole process stand still for so long, as under a debugger."""
        self._owned("pause").pause(seconds)

    def metadata(self) -> Any:
        """What it tells of itself, as Dapr's API has it."""
        _, _, answer = self._client.send("GET", "/v1.0/metadata")
        return json.loads(answer)

    def leave_app(self) -> None:
        """Have all actors end through the application, which is about to go."""
        if self.is_running:
            kept = {"keepState": True, "keepClock": True, "keepFaults": True}
            self._client.ask("POST", "test/reset", kept)

    def reload_app(self) -> list[str]:
        """Have the application asked anew what it hosts; the types, by name."""
        types: list[str] = self._client.ask("POST", "app:reload", {}).get("actorTypes", [])
        return types

    def _owned(self, verb: str) -> Process:
        if self._process is None:
            raise RuntimeError(f"cannot {verb} a sidecar that somebody else has started")
        return self._process

    @property
    def log(self) -> str:
        """What it has written in this test."""
        return self._process.log(self._began) if self._process else ""

    def expect_error(self, text: str) -> None:
        """A line of level error with this text in it is no failure of the test."""
        self._expected.append(text)

    # A test's beginning and end, of which the plugin takes care

    def begin(self, *, keep_state: bool = False) -> None:
        """Empty it, unless it is; and start it again if it has ended."""
        self._revive()
        if not (self.is_clean or keep_state):
            self._reset()
        self.is_clean = False
        self._start_counting()

    def _revive(self) -> None:
        """Start it again if it has ended, and with it an application whose actors would remember the one before."""
        if self._process and not self._process.is_running:
            self._process.start()
            self.is_clean, self._has_lost_actors = False, True
        if self._has_lost_actors and self.serving:
            self.serving.begin_anew()
        self._has_lost_actors = False

    def _start_counting(self) -> None:
        self._expected.clear()
        self.calls.begin()
        self._began = self._process.written() if self._process else 0

    def _reset(self, *, keep_state: bool = False) -> None:
        """One that is stuck is ended: the next test finds another one."""
        try:
            self._client.ask("POST", "test/reset", {"keepState": keep_state}, within=client.ANSWER)
        except SidecarEnded:
            self._kill()
            raise

    def _kill(self) -> None:
        if self._process:
            self._process.kill()

    def check(self) -> list[str]:
        """What is wrong at the test's end, a sentence each."""
        try:
            return self._check()
        except SidecarEnded as stuck:
            self._kill()
            return [str(stuck)] if self.is_strict else []

    def _check(self) -> list[str]:
        found = [f"unused fault: {fault}" for fault in self._faults.end()]
        if self._process and not self._process.is_running:
            return [*found, self._process.why_gone()] if self.is_strict else []
        told = self._client.ask("POST", "test/waitIdle", {"patience": QUIET}, within=client.ANSWER)
        found += [f"still under way: {what}" for what in told.get("busy", ())]
        for line in self._process.errors(self._began) if self._process else ():
            if not any(text in line for text in self._expected):
                found.append(f"the sidecar has logged an error: {line[:LINE]}")
        return found if self.is_strict else []

    def end(self, *, keep_state: bool = False) -> None:
        """Empty it for the next test; one that has ended is started again by that."""
        self._faults.end()
        self._revive()
        self._reset(keep_state=keep_state)
        self.is_clean = not keep_state

    def close(self) -> None:
        with ExitStack() as closing:
            if self._process:
                closing.callback(self._process.stop)
            closing.callback(self._client.close)
            closing.callback(self.apps.stop)

    def served_by(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """An event loop serves the application: who waits for the sidecar in it waits for itself."""
        self._loop = loop

    def _check_loop(self, instead: str) -> None:
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            return
        if running is self._loop:
            raise RuntimeError(
                f"this event loop serves the application, and would wait for itself: use await dapr.{instead}(...)"
            )


__all__ = ["Dapr", "SidecarEnded"]
