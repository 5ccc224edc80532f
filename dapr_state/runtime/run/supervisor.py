"""A run: the sidecar first, then the application, which can call it from its first line; they end the other way round.

Before the application is asked to end, the sidecar lets go of its actors: it calls the application once more for each.
Ctrl-C in a terminal goes to the application itself; then, as when it ends of its own, the sidecar hears of it.

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
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from dapr_state.clock import WAITING
from dapr_state.runtime.run import editor
from dapr_state.runtime.run import plan as planning
from dapr_state.runtime.run.child import Child
from dapr_state.runtime.run.guarded import Guardian
from dapr_state.runtime.run.messages import Messages
from dapr_state.runtime.run.output import Relay, mark, say, standard
from dapr_state.runtime.run.restart import Restarts
from dapr_state.runtime.run.screen import Screen
from dapr_state.runtime.run.sources import Sources
from dapr_state.runtime.run.stages import READY, STARTED, Stages
from dapr_state.runtime.run.terminal import Terminal
from dapr_state.runtime.run.wishes import Wishes
from dapr_state.runtime.supervised import COMES, ENDS, LEAVES, NOTIFY_SOCKET, RUN, RUN_AS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dapr_state.runtime.run.plan import Plan

FAILED: Final = 125  # `run` itself, or the sidecar, as env, timeout and docker
SIDECAR_GRACE: Final = 10.0  # seconds: its own are five, and two to close
COPYING: Final = 1.0  # seconds for the last lines of a child that has ended


class Shared(NamedTuple):
    """What all applications of a run have together; without a screen the terminal is the application's."""

    guardian: Guardian
    wishes: Wishes
    stages: Stages
    screen: Screen | None


class Run:
    """One application and its sidecar: `live` it once."""

    def __init__(self, plan: Plan, environ: Mapping[str, str], shared: Shared) -> None:
        self._plan = plan
        self._environ = {**plan.defaults, **environ}
        self._guardian, self._wishes, self._stages, screen = shared
        self._screen = screen
        self._restarts = Restarts(plan.restart)
        self._began = 0.0  # the last start of the application
        self._starts = 0
        self._terminal = None if screen else Terminal()
        self._app_relay: Relay | None = None
        self._is_ending = False

    async def live(self) -> int:
        """The exit code, once everything has ended."""
        self._wishes.lives += 1
        code = FAILED
        try:
            code = await self._live()
        finally:
            self._stages.end(self._plan.app_id, is_failed=bool(code))
        return code

    async def _live(self) -> int:
        async with AsyncExitStack() as opened:
            opened.callback(self._no_more)
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
            if self._plan.opens and ports:
                editor.show_console(ports["DAPR_HTTP_PORT"])
            if not self._plan.command:
                self._say("no application command: the sidecar runs alone")
                self._up()
                self._print_environment(ports)
                await _first(sidecar.ended, self._wishes.first)
                return await self._alone(sidecar, relay, messages)
            if code := await self._others(sidecar, relay, messages):
                return code
            opened.enter_context(_Announcing(self._up, messages, waits=bool(self._plan.app_port)))
            sources = Sources(self._plan.reloads) if self._plan.reloads else None
            while True:
                try:
                    app = self._start_app(ports)
                except OSError as error:
                    self._say(f"{self._plan.command[0]}: {error.strerror}")
                    return planning.CANNOT_RUN
                try:
                    await asyncio.to_thread(_introduce, ports, self._environ, app.pid, self._plan)
                    if not await self._starts_again(app, sidecar, messages, sources):
                        return await self._end(app, sidecar, relay, messages)
                    if not app.ended.done():  # else it was told: of two signals that wait, the later one is heard first
                        _tell(sidecar, messages, LEAVES)
                finally:
                    await self._end_app(app)
                _tell(sidecar, messages, COMES)

    async def _others(self, sidecar: Child, relay: Relay, messages: Messages) -> int:
        """Wait for those that it depends on; a code where it cannot start."""
        waiting = asyncio.create_task(self._stages.wait(self._plan.depends_on))
        try:
            await _first(waiting, sidecar.ended, self._wishes.first)
            if self._wishes.first.done():
                return 128 + self._wishes.first.result()
            if sidecar.ended.done():
                return await self._sidecar_failed(sidecar, relay, messages)
            if failed := waiting.result():
                self._say(f"it depends on {failed}, which has failed")
                return FAILED
            return 0
        finally:
            waiting.cancel()

    async def _starts_again(self, app: Child, sidecar: Child, messages: Messages, sources: Sources | None) -> bool:
        """Whether the application is to start again; False once something has ended, or is to end."""
        changed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if sources:
            changed = asyncio.create_task(sources.changed())
        others = (changed, sidecar.ended, self._wishes.first)
        try:
            await _first(app.ended, *others)
            if app.ended.done():
                _tell(sidecar, messages, LEAVES)  # its callers wait for the next one, if there is one
                if not any(each.done() for each in others):
                    await self._end_app(app)  # now, while no other process can have the number of its group
                    if not await self._rests(_code(app.ended.result()), others, reloads=sources is not None):
                        return False
            if self._wishes.first.done() or sidecar.ended.done():
                return False
            if changed.done():
                self._say(f"{changed.result()} has changed: the application starts again")
            return True
        finally:
            changed.cancel()

    async def _rests(self, code: int, until: Sequence[asyncio.Future[Any]], *, reloads: bool) -> bool:
        """Wait between the end of the application and its next start; False if there is none."""
        pause = self._restarts.pause(code, WAITING.monotonic() - self._began)
        if pause is not None:
            self._say(f"the application ended with {code}: it starts again in {pause:g} s")
            await _first(*until, seconds=pause)
            return True
        if not (reloads and code):
            return False
        self._say(f"the application ended with {code}: it starts again after a change")
        await _first(*until)
        return True

    # Children

    def _start_sidecar(self, messages: Messages) -> tuple[Child, Relay]:
        plan = self._plan
        described = json.dumps(
            {
                "command": " ".join(plan.command),
                "run_file": plan.run_file,
                "run_name": plan.run_name,
                "app_log": str(plan.app_file or ""),
                "sidecar_log": str(plan.sidecar_file or ""),
            }
        )
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
            cwd=plan.folder,
        )
        if self._screen:
            return sidecar, self._screen.relay(sidecar, plan, is_app=False)
        return sidecar, Relay(sidecar.output, mark("dapr", self._environ), standard()[1])

    def _start_app(self, ports: Mapping[str, str]) -> Child:
        plan = self._plan
        self._began = WAITING.monotonic()
        self._starts += 1
        environment = {**self._environ, **plan.environment, **ports, RUN: str(os.getpid()), **plan.overriding}
        if self._screen or not sys.stdout.isatty():
            environment.setdefault("PYTHONUNBUFFERED", "1")  # else its lines come late, or never
        if self._screen:
            app = self._start(
                plan.command,
                environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=plan.folder,
            )
            self._app_relay = self._screen.relay(app, plan, is_app=True, is_first=self._starts == 1)
            self._stages.reach(plan.app_id, STARTED)
            return app
        app = self._start(plan.command, environment, on_stopped=self._suspend, cwd=plan.folder)
        if self._terminal:
            self._terminal.give(app.pid)
        return app

    def _start(self, command: Any, environment: Mapping[str, str], **more: Any) -> Child:
        with self._guardian.starting():
            child = Child(command, environment, **more)
            self._guardian.watch(child.pid)
        self._wishes.children.append(child)
        return child

    def _suspend(self, app: Child) -> None:
        """Ctrl-Z has stopped the application: stop as well, so that the shell goes on; `fg` begins here again."""
        if self._terminal:
            self._terminal.take_back()
            os.kill(os.getpid(), signal.SIGSTOP)
            self._terminal.give(app.pid)

    # The end

    async def _end(self, app: Child, sidecar: Child, relay: Relay, messages: Messages) -> int:
        wish = self._wishes.first
        self._no_more()
        if app.ended.done():
            if code := _code(app.ended.result()):
                self._say(f"the application ended with {code}")
            _tell(sidecar, messages, LEAVES)
            return code
        if not wish.done():
            code = await self._sidecar_failed(sidecar, relay, messages) if sidecar.ended.result() else 0
            await app.end(signal.SIGTERM, self._plan.grace)
            return code
        if _tell(sidecar, messages, ENDS):
            await _first(messages.drained, sidecar.ended, app.ended, seconds=SIDECAR_GRACE)
        number = signal.SIGINT if wish.result() == signal.SIGINT else signal.SIGTERM
        await app.end(number, self._plan.grace)
        return _code(app.ended.result())

    async def _alone(self, sidecar: Child, relay: Relay, messages: Messages) -> int:
        if not sidecar.ended.done():
            await sidecar.end(signal.SIGTERM, SIDECAR_GRACE)
            return _code(sidecar.ended.result())
        return await self._sidecar_failed(sidecar, relay, messages) if sidecar.ended.result() else 0

    async def _end_app(self, app: Child) -> None:
        await app.end(signal.SIGTERM, self._plan.grace)
        self._guardian.forget(app.pid)
        if self._terminal:
            self._terminal.take_back()
        if self._app_relay:
            await asyncio.to_thread(self._app_relay.join, COPYING)

    async def _end_sidecar(self, sidecar: Child, relay: Relay) -> None:
        self._no_more()
        await sidecar.end(signal.SIGTERM, SIDECAR_GRACE)
        self._guardian.forget(sidecar.pid)
        await asyncio.to_thread(relay.join, COPYING)

    async def _sidecar_failed(self, sidecar: Child, relay: Relay, messages: Messages) -> int:
        await asyncio.to_thread(relay.join, COPYING)
        why = messages.failure or (relay.last[-1].decode(errors="replace") if relay.last else "")
        self._say(f"the sidecar ended with {_code(sidecar.ended.result())}: {why}")
        return FAILED

    def _no_more(self) -> None:
        """From now on a signal means: at once."""
        if not self._is_ending:
            self._is_ending = True
            self._wishes.lives -= 1

    # What is told

    def _print_environment(self, ports: Mapping[str, str]) -> None:
        if self._plan.prints_env:
            print(*editor.lines({**self._plan.environment, **ports}, self._plan.prints_env), sep="\n", flush=True)  # noqa: T201

    def _up(self) -> None:
        self._stages.reach(self._plan.app_id, READY)
        if self._plan.command:
            self._say("up and running")

    def _say(self, sentence: str) -> None:
        say(f"{self._plan.app_id}: {sentence}")

    def _ports(self, message: Mapping[str, str]) -> dict[str, str]:
        if not self._plan.has_ports:
            return {}
        return {"DAPR_HTTP_PORT": message["X_DAPR_HTTP_PORT"], "DAPR_GRPC_PORT": message["X_DAPR_GRPC_PORT"]}

    def _announce(self, ports: Mapping[str, str]) -> None:
        where = f"HTTP {ports['DAPR_HTTP_PORT']}, gRPC {ports['DAPR_GRPC_PORT']}" if ports else "Unix sockets"
        self._say(f"{where}; components from {self._plan.resources}")


class _Announcing:
    """Tells that all is up, when the application's port is open."""

    def __init__(self, tell: Callable[[], None], messages: Messages, *, waits: bool) -> None:
        self._tell = tell
        self._task = asyncio.create_task(self._announce(messages, waits=waits))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._task.cancel()

    async def _announce(self, messages: Messages, *, waits: bool) -> None:
        if waits:
            await messages.discovered.wait()
        self._tell()


def run(plans: Sequence[Plan], environ: Mapping[str, str], *, keeps_going: bool = False) -> int:
    try:
        return asyncio.run(_run(plans, environ, keeps_going=keeps_going))
    finally:
        for writer in standard():
            writer.settle(COPYING)


async def _run(plans: Sequence[Plan], environ: Mapping[str, str], *, keeps_going: bool) -> int:
    """The exit code of the one, or of the first that fails: the others end with it, unless they shall go on."""
    screen = Screen(plans, environ) if plans[0].run_file else None
    stages = Stages(plan.app_id for plan in plans)
    failure = 0
    with Wishes() as wishes, Guardian() as guardian:
        shared = Shared(guardian, wishes, stages, screen)
        lives = [asyncio.create_task(Run(plan, environ, shared).live()) for plan in plans]
        for ended in asyncio.as_completed(lives):
            code = await ended
            failure = failure or code
            if code and not keeps_going:
                wishes.end()
    return failure


async def _first(*futures: asyncio.Future[Any], seconds: float | None = None) -> None:
    await WAITING.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


def _tell(sidecar: Child, messages: Messages, what: signal.Signals) -> bool:
    """What becomes of the application; False where the sidecar has not met it, or is not there any more."""
    if not messages.discovered.is_set() or sidecar.ended.done():
        return False
    with suppress(ProcessLookupError):
        os.kill(sidecar.pid, what)
    return True


def _code(ended: int) -> int:
    """As shells tell it."""
    return ended if ended >= 0 else 128 - ended


def _introduce(ports: Mapping[str, str], environ: Mapping[str, str], app: int, plan: Plan) -> None:
    """Tell the sidecar's metadata whose it is, as the dapr command does: its `list` shows it."""
    if not ports:
        return
    from http.client import HTTPConnection, HTTPException  # noqa: PLC0415  15 ms, in which the application starts

    token = environ.get("DAPR_API_TOKEN")
    headers = {"dapr-api-token": token} if token else {}
    connection = HTTPConnection("127.0.0.1", int(ports["DAPR_HTTP_PORT"]), timeout=1)
    with suppress(OSError, HTTPException):
        said = {
            "cliPID": os.getpid(),
            "appPID": app,
            "appCommand": " ".join(plan.command),
            "runTemplatePath": plan.run_file,
            "runTemplateName": plan.run_name,
            "appLogPath": plan.app_file,
            "daprdLogPath": plan.sidecar_file,
        }
        for name, value in ((name, value) for name, value in said.items() if value):
            connection.request("PUT", f"/v1.0/metadata/{name}", str(value).encode(), headers)
            connection.getresponse().read()
    connection.close()
