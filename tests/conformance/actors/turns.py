"""A load of calls on few actors, with reminders and timers among them, and what must hold afterwards."""

from __future__ import annotations

import random
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dapr_state_proto.common.v1 import common_pb2
from dapr_state_proto.runtime.v1 import actors_pb2

from tests.conformance.actors.counting_app import VIOLATION
from tests.support.http import Socket, ask, request
from tests.support.processes import Process
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.sidecar import Sidecar

ACTORS = [("counter", "a"), ("counter", "b"), ("nested", "c")]
WORKERS = 6

Call = tuple[str, str, str]  # actor type, actor id, the key that the call writes


class CountingApp(Process):
    """The application of counting_app.py."""

    def __init__(self, folder: Path, port: int, server: Sidecar) -> None:
        program = Path(__file__).with_name("counting_app.py")
        super().__init__([sys.executable, program, str(port), str(server.http_port)], folder / f"counting-{port}.log")
        self.port = port

    def is_ready(self) -> bool:
        try:
            return ask(self.port, "GET", "/dapr/config").code == 200
        except OSError:
            return False


@dataclass
class Load:
    """Workers that call until they are told to end. What is answered with 200 has happened; the rest may have."""

    server: Sidecar
    name: str
    acknowledged: list[Call] = field(default_factory=list)
    attempted: list[Call] = field(default_factory=list)
    reminders: list[Call] = field(default_factory=list)
    unanswered: int = 0
    _threads: list[threading.Thread] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(WORKERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a call hangs"

    def wait_for(self, calls: int) -> None:
        """Return when so many calls more than now are acknowledged."""
        wanted = len(self.acknowledged) + calls
        until(lambda: len(self.acknowledged) >= wanted, 30, what=f"{calls} more calls are acknowledged")

    def _work(self, worker: int) -> None:
        chance = random.Random(f"{self.name} {worker}")
        number = 0
        while not self._ending.is_set():
            number += 1
            kind, actor = chance.choice(ACTORS)
            try:
                self._act(chance, (kind, actor, f"{self.name}-{worker}-{number}"))
            except ConnectionError:  # nobody there, or gone in the middle; one who keeps silent is a failure
                self.unanswered += 1
                self._ending.wait(0.01)

    def _act(self, chance: random.Random, call: Call) -> None:
        kind, actor, _ = call
        what = chance.random()
        if what < 0.05:
            self._remind(call)
        elif what < 0.1:
            body = '{"dueTime":"1ms","period":"20ms","ttl":"100ms"}'
            ask(self.server.http_port, "POST", f"/v1.0/actors/{kind}/{actor}/timers/t", body)
        else:
            self._call(call, is_leaving=what > 0.95, depth=chance.randint(0, 3))

    def _call(self, call: Call, *, is_leaving: bool, depth: int) -> None:
        kind, actor, key = call
        method = f"nest%2F{key}%2F{depth}" if kind == "nested" else f"add%2F{key}"
        inner = (
            [f"{key}-{'-'.join(map(str, range(depth, low, -1)))}" for low in range(depth)] if kind == "nested" else []
        )
        calls = [call, *((kind, actor, name) for name in inner)]
        self.attempted += calls
        with Socket(self.server.http_port) as connection:
            connection.send(request("POST", f"/v1.0/actors/{kind}/{actor}/method/{method}", b""))
            if is_leaving:  # a caller that does not wait for its turn
                return
            if connection.answer("POST").code == 200:
                self.acknowledged += calls

    def _remind(self, call: Call) -> None:
        """Register one that is tried again until the application takes it."""
        kind, actor, key = call
        policy = common_pb2.JobFailurePolicy(constant=common_pb2.JobFailurePolicyConstant(interval={"nanos": 10**8}))
        wanted = actors_pb2.RegisterActorReminderRequest(
            actor_type=kind, actor_id=actor, name=key, due_time="20ms", failure_policy=policy
        )
        with self.server.client() as client:
            if client.call("RegisterActorReminder", wanted, timeout=5).ok:
                self.reminders.append((kind, actor, f"remind-{key}"))


def check(server: Sidecar, app: CountingApp, *loads: Load) -> None:
    """Nothing acknowledged is lost, nothing happened twice, and no actor had two turns at once."""
    assert VIOLATION not in app.log_file.read_text()
    has = _Reader(server.http_port)
    lost = {call for load in loads for call in load.acknowledged if not has(call)}
    assert lost == set()
    for kind, actor in ACTORS:
        calls = {call for load in loads for call in load.attempted if call[:2] == (kind, actor)}
        # in the end: the turn of a caller who left may still be to come
        until(
            lambda kind=kind, actor=actor, calls=calls: (
                int(has((kind, actor, "count")) or 0) == sum(map(bool, map(has, calls)))
            ),
            what=f"{kind}/{actor} has counted each call once",
        )
    for reminder in {reminder for load in loads for reminder in load.reminders}:
        until(lambda wanted=reminder: has(wanted), what=f"{reminder} has fired")


class _Reader:
    """Actor state, read by anybody."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __call__(self, call: Call) -> bytes:
        kind, actor, key = call
        return ask(self._port, "GET", f"/v1.0/actors/{kind}/{actor}/state/{key}").body
