"""A run: the sidecar first, then the application, which can call it from its first line; they end the other way round.

How it ends is told by the exit code: the application's own, 128 and a signal's number, or 125 where the sidecar fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, Self

from dapr_state.clock import WAITING
from dapr_state.runtime.run import plan as planning
from dapr_state.runtime.run.child import Child
from dapr_state.runtime.run.messages import Messages
from dapr_state.runtime.run.output import Relay, mark, say
from dapr_state.runtime.run.terminal import Terminal
from dapr_state.runtime.supervised import NOTIFY_SOCKET, RUN, RUN_AS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dapr_state.runtime.run.plan import Plan

FAILED: Final = 125  # `run` itself, or the sidecar, as env, timeout and docker
SIDECAR_GRACE: Final = 10.0  # seconds: its own are five, and two to close
COPYING: Final = 1.0  # seconds for the last lines of a child that has ended
_ASKING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Guardian:
    """The process that ends the groups which are left when this one is killed; see `guardian.py`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dapr_state.runtime.run.guardian"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for it
        )
        self._pipe = self._process.stdin.fileno() if self._process.stdin else -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with suppress(OSError):
            self._process.communicate()

    def watch(self, group: int) -> None:
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        with suppress(OSError):  # somebody has killed it
            os.write(self._pipe, line.encode())


class Wishes:
    """What signals ask for: an end, and then an end at once."""

    def __init__(self) -> None:
        self.first: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.is_ending = False
        self.children: list[Child] = []

    def __enter__(self) -> Self:
        for number in _ASKING:
            asyncio.get_running_loop().add_signal_handler(number, self._receive, number)
        return self

    def __exit__(self, *exception: object) -> None:
        for number in _ASKING:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _receive(self, number: signal.Signals) -> None:
        if self.is_ending or self.first.done():
            for child in self.children:
                child.send(signal.SIGKILL)
        else:
            self.first.set_result(number)


class Run:
    """`live` it once."""

    def __init__(self, plan: Plan, environ: Mapping[str, str], guardian: Guardian, wishes: Wishes) -> None:
        self._plan = plan
        self._environ = environ
        self._guardian = guardian
        self._wishes = wishes
        self._terminal = Terminal()

    async def live(self) -> int:
        """The exit code, once everything has ended."""
        async with AsyncExitStack() as opened:
            messages = Messages()
            opened.callback(messages.close)
            sidecar, relay = self._start_sidecar(messages)
            opened.push_async_callback(self._end_sidecar, sidecar, relay)
            await _first(messages.ready, sidecar.ended, self._wishes.first)
            if self._wishes.first.done():
                return 128 + self._wishes.first.result()
            if not messages.ready.done():
                return await self._sidecar_failed(sidecar, relay, messages)
            ports = self._ports(messages.ready.result())
            self._announce(ports)
            if not self._plan.command:
                say("no application command: the sidecar runs alone")
                await _first(sidecar.ended, self._wishes.first)
                return await self._alone(sidecar, relay, messages)
            try:
                app = self._start_app(ports)
            except OSError as error:
                say(f"{self._plan.command[0]}: {error.strerror}")
                return planning.CANNOT_RUN
            opened.push_async_callback(self._end_app, app)
            opened.enter_context(_Announcing(messages, waits=bool(self._plan.app_port)))
            await asyncio.to_thread(_introduce, ports, self._environ, app.pid, self._plan.command)
            await _first(app.ended, sidecar.ended, self._wishes.first)
            return await self._end(app, sidecar, relay, messages)

    # Children

    def _start_sidecar(self, messages: Messages) -> tuple[Child, Relay]:
        described = json.dumps({"command": " ".join(self._plan.command)})
        environment = {
            **self._environ,
            NOTIFY_SOCKET: messages.address,
            RUN: str(os.getpid()),
            RUN_AS: described,
        }
        sidecar = self._start(
            planning.serve(self._plan),
            environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return sidecar, Relay(sidecar.output, mark("dapr", self._environ), sys.stderr)

    def _start_app(self, ports: Mapping[str, str]) -> Child:
        environment = {**self._environ, **self._plan.environment, **ports, RUN: str(os.getpid())}
        if not sys.stdout.isatty():
            environment.setdefault("PYTHONUNBUFFERED", "1")  # else its lines come late, or never
        app = self._start(self._plan.command, environment, on_stopped=self._suspend)
        self._terminal.give(app.pid)
        return app

    def _start(self, command: Any, environment: Mapping[str, str], **more: Any) -> Child:
        child = Child(command, environment, **more)
        self._guardian.watch(child.pid)
        self._wishes.children.append(child)
        return child

    def _suspend(self, app: Child) -> None:
        """Ctrl-Z has stopped the application: stop as well, so that the shell goes on; `fg` begins here again."""
        self._terminal.take_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._terminal.give(app.pid)

    # The end

    async def _end(self, app: Child, sidecar: Child, relay: Relay, messages: Messages) -> int:
        wish = self._wishes.first
        if app.ended.done():
            if code := _code(app.ended.result()):
                say(f"the application ended with {code}")
            return code
        if not wish.done():
            code = await self._sidecar_failed(sidecar, relay, messages) if sidecar.ended.result() else 0
            await app.end(signal.SIGTERM, self._plan.grace)
            return code
        number = signal.SIGINT if wish.result() == signal.SIGINT else signal.SIGTERM
        await app.end(number, self._plan.grace)
        return _code(app.ended.result())

    async def _alone(self, sidecar: Child, relay: Relay, messages: Messages) -> int:
        if not sidecar.ended.done():
            await sidecar.end(signal.SIGTERM, SIDECAR_GRACE)
            return _code(sidecar.ended.result())
        return await self._sidecar_failed(sidecar, relay, messages) if sidecar.ended.result() else 0

    async def _end_app(self, app: Child) -> None:
        self._wishes.is_ending = True
        await app.end(signal.SIGTERM, self._plan.grace)
        self._guardian.forget(app.pid)
        self._terminal.take_back()

    async def _end_sidecar(self, sidecar: Child, relay: Relay) -> None:
        self._wishes.is_ending = True
        await sidecar.end(signal.SIGTERM, SIDECAR_GRACE)
        self._guardian.forget(sidecar.pid)
        await asyncio.to_thread(relay.join, COPYING)

    async def _sidecar_failed(self, sidecar: Child, relay: Relay, messages: Messages) -> int:
        await asyncio.to_thread(relay.join, COPYING)
        why = messages.failure or (relay.last[-1].decode(errors="replace") if relay.last else "")
        say(f"the sidecar ended with {_code(sidecar.ended.result())}: {why}")
        return FAILED

    # What is told

    def _ports(self, message: Mapping[str, str]) -> dict[str, str]:
        if not self._plan.has_ports:
            return {}
        return {"DAPR_HTTP_PORT": message["X_DAPR_HTTP_PORT"], "DAPR_GRPC_PORT": message["X_DAPR_GRPC_PORT"]}

    def _announce(self, ports: Mapping[str, str]) -> None:
        where = f"HTTP {ports['DAPR_HTTP_PORT']}, gRPC {ports['DAPR_GRPC_PORT']}" if ports else "Unix sockets"
        say(f"{self._plan.app_id}: {where}; components from {self._plan.resources}")


class _Announcing:
    """Says that all is up, when the application's port is open."""

    def __init__(self, messages: Messages, *, waits: bool) -> None:
        self._task = asyncio.create_task(self._announce(messages, waits=waits))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._task.cancel()

    async def _announce(self, messages: Messages, *, waits: bool) -> None:
        if waits:
            await messages.discovered.wait()
        say("up and running")


def run(plan: Plan, environ: Mapping[str, str]) -> int:
    return asyncio.run(_run(plan, environ))


async def _run(plan: Plan, environ: Mapping[str, str]) -> int:
    with Guardian() as guardian, Wishes() as wishes:
        return await Run(plan, environ, guardian, wishes).live()


async def _first(*futures: asyncio.Future[Any]) -> None:
    await WAITING.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _code(ended: int) -> int:
    """As shells tell it."""
    return ended if ended >= 0 else 128 - ended


def _introduce(ports: Mapping[str, str], environ: Mapping[str, str], app: int, command: tuple[str, ...]) -> None:
    """Tell the sidecar's metadata whose it is, as the dapr command does: its `list` shows it."""
    if not ports:
        return
    from http.client import HTTPConnection, HTTPException  # noqa: PLC0415  15 ms, in which the application starts

    token = environ.get("DAPR_API_TOKEN")
    headers = {"dapr-api-token": token} if token else {}
    connection = HTTPConnection("127.0.0.1", int(ports["DAPR_HTTP_PORT"]), timeout=1)
    with suppress(OSError, HTTPException):
        for name, value in (("cliPID", os.getpid()), ("appPID", app), ("appCommand", " ".join(command))):
            connection.request("PUT", f"/v1.0/metadata/{name}", str(value).encode(), headers)
            connection.getresponse().read()
    connection.close()
