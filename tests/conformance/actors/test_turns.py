"""Turns under a random load: of method calls, reminders and timers, with callers that leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.actors.side import hosted, sidecar
from tests.conformance.actors.turns import CountingApp, Load, check
from tests.support.processes import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.redis import RedisServer


def test_an_actor_has_one_turn_at_a_time(tmp_path: Path, redis: RedisServer | None) -> None:
    """No turn overlaps another, no update is lost or doubled, every call is answered, every reminder comes."""
    port = free_port()
    server = sidecar(tmp_path, None, port, redis=redis)
    with CountingApp(tmp_path, port, server) as app, server:
        until(lambda: "counter" in hosted(server), what="the actors are hosted")
        with Load(server, "load") as load:
            load.wait_for(600)
        check(server, app, load)

    assert load.unanswered == 0
    assert load.reminders
