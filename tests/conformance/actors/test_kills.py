"""kill -9 of the sidecar, and of the application, while turns, timers and reminders run."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.conformance.actors.side import hosted, sidecar
from tests.conformance.actors.turns import CountingApp, Load, check
from tests.support.processes import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.redis import RedisServer

KILLS = 20


@pytest.mark.parametrize("victim", ["the sidecar", "the application"])
def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path, victim: str, redis: RedisServer | None) -> None:
    """After twenty kills under load every acknowledged call has happened once, and every reminder comes."""
    moments = random.Random(victim)
    port = free_port()
    server = sidecar(tmp_path, None, port, redis=redis)
    with CountingApp(tmp_path, port, server) as app, server:
        until(lambda: "counter" in hosted(server), what="the actors are hosted")
        killed = server if victim == "the sidecar" else app
        with Load(server, "load") as load:
            for _ in range(KILLS):
                load.wait_for(moments.randint(3, 20))
                killed.kill()
                killed.start()
            load.wait_for(20)
        check(server, app, load)

    assert load.reminders
