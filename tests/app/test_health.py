"""Health checks: when the application counts as well, and when no longer."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from dapr_state.app.client import Http1Client
from dapr_state.app.health import HealthCheck, Pace, UnwellError, probe_http
from dapr_state.app.model import AppError
from dapr_state.clock import ManualClock
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.rawapp import RawApp

PACE = Pace(interval=5, timeout=0.5, threshold=3)


class Patient:
    """Answers each probe with the next of its `states`, the last one for ever: an empty text is well."""

    def __init__(self, *states: str | Exception) -> None:
        self.states = list(states)
        self.clock = ManualClock()
        self.asked: list[float] = []
        self.changes: list[tuple[float, bool]] = []

    async def probe(self) -> None:
        self.asked.append(self.clock.monotonic())
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state:
            raise state if isinstance(state, Exception) else UnwellError(state)

    async def changed(self, is_well: bool) -> None:
        self.changes.append((self.clock.monotonic(), is_well))

    async def watch(self, seconds: int) -> None:
        """Check its health for so long."""
        task = asyncio.create_task(HealthCheck(self.probe, PACE, self.changed, self.clock).run())
        for _ in range(seconds):
            await eventually(lambda: self.clock.waiting)
            self.clock.advance(1)
        await eventually(lambda: self.clock.waiting)
        task.cancel()
        await asyncio.wait([task])


async def test_it_is_asked_at_once_and_at_every_interval() -> None:
    """The first success makes it well; more of them change nothing."""
    patient = Patient("")
    await patient.watch(12)

    assert patient.asked == [0, 5, 10]
    assert patient.changes == [(0, True)]


async def test_some_failures_in_a_row_make_it_unwell() -> None:
    """Three, counted anew after each success; one success makes it well again."""
    patient = Patient("", "ill", "ill", "", "ill", "ill", "ill", "ill", "")
    await patient.watch(42)

    assert patient.changes == [(0, True), (30, False), (40, True)]


async def test_it_is_unwell_at_first() -> None:
    """Failures before the first success are no change."""
    patient = Patient("ill", "ill", "ill", "ill", "")
    await patient.watch(22)

    assert patient.changes == [(20, True)]


async def test_what_the_log_says(caplog: pytest.LogCaptureFixture) -> None:
    """The changes, in daprd's words."""
    with caplog.at_level(logging.INFO, "dapr.apphealth"):
        await Patient("", "Health check failed with status code: 503").watch(17)
        await Patient("", AppError("EOF")).watch(17)

    assert [record.message for record in caplog.records] == [
        "App entered healthy status",
        "App entered un-healthy status: Health check failed with status code: 503",
        "App entered healthy status",
        "App entered un-healthy status: Network error: EOF",
    ]


async def test_a_slow_answer_is_a_failure(app: RawApp) -> None:
    """A probe is given up after its time, and its connection with it."""
    app.obey({"match": "/healthz", "hold": True})
    client, changes = Http1Client("127.0.0.1", app.port), list[bool]()

    async def changed(is_well: bool) -> None:
        changes.append(is_well)

    check = HealthCheck(lambda: probe_http(client, "/healthz"), Pace(0.01, 0.01, 2), changed)
    task = asyncio.create_task(check.run())
    await asyncio.to_thread(app.holding, 3)
    app.obey()
    await eventually(lambda: changes)
    task.cancel()
    await asyncio.wait([task])
    await client.close()

    assert changes == [True]
    assert repr(check) == "<HealthCheck well, 0 failures>"


@pytest.mark.parametrize("status", [200, 204, 299])
async def test_every_success_will_do(app: RawApp, status: int) -> None:
    """Any status of the 200s; the path is taken with and without its slash; daprd sends no token, and so do we."""
    app.obey({"match": "/ok", "status": status})
    client = Http1Client("127.0.0.1", app.port)
    await probe_http(client, "/ok")
    await probe_http(client, "ok")
    await client.close()

    assert [(each.method, each.target) for each in app.seen()] == [("GET", "/ok")] * 2
    assert {name for each in app.seen() for name, _ in each.headers} == {"Host"}


@pytest.mark.parametrize("status", [300, 404, 503])
async def test_every_other_answer_is_a_failure(app: RawApp, status: int) -> None:
    """The status is told."""
    app.obey({"match": "/healthz", "raw": f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n"})
    client = Http1Client("127.0.0.1", app.port)
    with pytest.raises(UnwellError) as raised:
        await probe_http(client, "/healthz")
    await client.close()

    assert str(raised.value) == f"Health check failed with status code: {status}"
