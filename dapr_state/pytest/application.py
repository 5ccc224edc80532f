"""Serves the application under test to the sidecar: an ASGI application in a thread or in a loop, or a command."""

from __future__ import annotations

import asyncio
import importlib
import os
import shlex
import socket
import subprocess
import threading
import time
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

START: Final = 30.0  # seconds until it must listen
STOP: Final = 5.0
LOOK_EVERY: Final = 0.002


class Host(Protocol):
    """The sidecar, as whoever serves its application knows it."""

    serving: Applications | None  # whose application is served now

    @property
    def app_port(self) -> int: ...
    @property
    def env(self) -> dict[str, str]: ...
    @property
    def is_running(self) -> bool: ...
    def reload_app(self) -> list[str]: ...
    def leave_app(self) -> None: ...
    def served_by(self, loop: asyncio.AbstractEventLoop | None) -> None: ...


class Served:
    """An application that the sidecar calls; `types` are those of its actors that were registered."""

    def __init__(self, dapr: Host, app: Any, types: list[str]) -> None:
        self.dapr = dapr
        self.app = app
        self.types = types

    def __repr__(self) -> str:
        return f"<Served {', '.join(self.types) or 'without actors'}>"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.dapr.app_port}"


class Applications:
    """`serve` one; it is served until the fixture's scope ends, or another one is served in its place.

    A sidecar has one application at a time: one that is served meanwhile, by a fixture of a wider scope, rests.
    """

    def __init__(self, dapr: Host) -> None:
        self._dapr = dapr
        self._begin: Callable[[], AbstractContextManager[None]] | None = None
        self._running: AbstractContextManager[None] | None = None
        self._outer: Applications | None = None

    def serve(self, app: Any, *, env: dict[str, str] | None = None) -> Served:
        """An ASGI application (with uvicorn, in a thread), or a command as a text or a list of words.

        Returns when its actor types are registered.
        """
        self.stop()
        self._displace()
        is_command = isinstance(app, str | list | tuple)
        self._begin = partial(_command, self._dapr, app, env) if is_command else partial(_in_thread, self._dapr, app)
        try:
            types = self._start()
        except BaseException:
            self._begin = None
            self._put_back()
            raise
        return Served(self._dapr, app, types)

    @asynccontextmanager
    async def aserve(self, app: Any) -> AsyncIterator[Served]:
        """The same, in this test's event loop, for the block."""
        await asyncio.to_thread(self.stop)
        await asyncio.to_thread(self._displace)
        server = _server(app)
        try:
            with _bound(self._dapr.app_port) as bound:
                task = asyncio.ensure_future(server.serve(sockets=[bound]))
                try:
                    while not (server.started or task.done()):  # noqa: ASYNC110 - uvicorn tells it by an attribute
                        await asyncio.sleep(LOOK_EVERY)
                    if task.done():
                        raise RuntimeError("the application does not start: see what it has logged")
                    self._dapr.served_by(asyncio.get_running_loop())
                    types = await asyncio.to_thread(self._dapr.reload_app)
                    yield Served(self._dapr, app, types)
                    await asyncio.to_thread(self._dapr.leave_app)
                finally:
                    self._dapr.served_by(None)
                    server.should_exit = True
                    await task
        finally:
            await asyncio.to_thread(self._put_back)

    def stop(self) -> None:
        """Have its actors end through it, and then itself."""
        if self._begin is None:
            return
        self._begin = None
        try:
            self._end()
        finally:
            self._put_back()

    def begin_anew(self) -> None:
        """Have it started again: it has met a sidecar that is gone."""
        self._end()
        self._start()

    def _start(self) -> list[str]:
        if self._begin:
            self._running = self._begin()
            self._running.__enter__()
            self._dapr.serving = self
        return self._dapr.reload_app()

    def _end(self) -> None:
        running, self._running = self._running, None
        try:
            self._dapr.leave_app()
        finally:
            if running:
                running.__exit__(None, None, None)

    def _displace(self) -> None:
        self._outer = self._dapr.serving
        if self._outer:
            self._outer._end()  # noqa: SLF001 - one of us
        self._dapr.serving = None

    def _put_back(self) -> None:
        self._dapr.serving = outer = self._outer
        self._outer = None
        if not self._dapr.is_running:
            return
        if outer:
            outer._start()  # noqa: SLF001 - one of us
        else:
            self._dapr.reload_app()


def _server(app: Any) -> Any:
    try:
        uvicorn: Any = importlib.import_module("uvicorn")  # whose tests serve none need not have it
    except ModuleNotFoundError:
        raise ModuleNotFoundError("an ASGI application is served with uvicorn: pip install uvicorn") from None

    class Server(uvicorn.Server):  # type: ignore[misc]  # not there where the types are checked
        def capture_signals(self) -> Any:
            return nullcontext()  # they are pytest's

    return Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=int(STOP)))


@contextmanager
def _bound(port: int) -> Iterator[socket.socket]:
    # asyncio has answers leave at once where the protocol is named: else each takes 40 ms more
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        yield bound


@contextmanager
def _in_thread(dapr: Host, app: Any) -> Iterator[None]:
    server = _server(app)
    with _bound(dapr.app_port) as bound:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, name="application", daemon=True)
        thread.start()
        try:
            until = time.monotonic() + START
            while not server.started:
                if not thread.is_alive() or time.monotonic() > until:
                    raise RuntimeError("the application does not start: see what it has logged")
                time.sleep(LOOK_EVERY)
            yield
        finally:
            server.should_exit = True
            thread.join(2 * STOP)


@contextmanager
def _command(dapr: Host, words: str | Sequence[str], env: dict[str, str] | None) -> Iterator[None]:
    command = shlex.split(words) if isinstance(words, str) else [*words]
    running = subprocess.Popen(  # noqa: S603 - the test's own command
        command, env={**os.environ, **dapr.env, **(env or {})}, stdin=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + START
        while not _listens(dapr.app_port):
            if running.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{shlex.join(command)} does not listen on port {dapr.app_port} (APP_PORT)")
            time.sleep(LOOK_EVERY)
        yield
    finally:
        running.terminate()
        try:
            running.wait(STOP)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
