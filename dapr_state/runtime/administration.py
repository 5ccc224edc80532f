"""The administration API of one sidecar, put together: imported where it is switched on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dapr_state.admin import table
from dapr_state.admin.actors import ActorsAdmin
from dapr_state.admin.feed import Feed
from dapr_state.admin.runtime import About, RuntimeAdmin
from dapr_state.admin.state import StateAdmin
from dapr_state.admin.tokens import Seals
from dapr_state.admin.traffic import TrafficAdmin
from dapr_state.admin.watch import Watching
from dapr_state.observability.tap import Tap
from dapr_state.runtime import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.admin.table import Answers
    from dapr_state.api.lifecycle import Lifecycle
    from dapr_state.api.metadata import Metadata
    from dapr_state.api.state import State
    from dapr_state.runtime.actors import ActorServices
    from dapr_state.runtime.components import Components
    from dapr_state.runtime.options import Options
    from dapr_state.transports.middleware import Middleware

WRITE: Final = "write"


class Administration(NamedTuple):
    """`answers` are the calls that are served; `close` ends those that never end by themselves."""

    answers: Answers
    close: Callable[[], None]


def build(  # noqa: PLR0917  each of them is one of its kind
    options: Options,
    layers: Middleware,
    components: Components,
    actors: ActorServices,
    state: State,
    lifecycle: Lifecycle,
    metadata: Metadata,
    ports: Callable[[], tuple[int, int]],
) -> Administration:
    """What answers each call; where nothing may be changed, the calls that would are not there."""
    may_change = options.console == WRITE
    seals = Seals(f"{options.app_id}\0{options.api_token}")
    of_state = StateAdmin(
        options.app_id, components.stores, state.check_exists, seals, shows_all=options.console_scope == "store"
    )
    found: dict[str, Any] = {
        "ListKeys": of_state.list_keys,
        "StreamKeys": of_state.stream_keys,
        "GetEntry": of_state.get_entry,
        "CountKeys": of_state.count_keys,
        "SaveEntry": of_state.save_entry,
        "DeleteEntry": of_state.delete_entry,
        "DeleteByPrefix": of_state.delete_by_prefix,
        "Touch": of_state.touch,
    }
    feed, traffic = Feed(components.watch), TrafficAdmin(layers.tap or Tap())
    found |= {"Watch": Watching(of_state, feed).watch, "Traffic": traffic.traffic}
    of_actors = ActorsAdmin(actors.parts(), seals)
    found |= {
        "ListTypes": of_actors.list_types,
        "ListActors": of_actors.list_actors,
        "GetActor": of_actors.get_actor,
        "Deactivate": of_actors.deactivate,
        "DeleteActor": of_actors.delete_actor,
        "ListReminders": of_actors.list_reminders,
        "ListTimers": of_actors.list_timers,
        "TriggerReminder": of_actors.trigger_reminder,
        "PauseReminders": of_actors.pause_reminders,
        "Drain": of_actors.drain,
    }
    of_runtime = RuntimeAdmin(
        About(
            lifecycle=lifecycle,
            metadata=metadata,
            stores=components.stores,
            components=lambda: components.loaded,
            actor_store=lambda: components.actor_store_name,
            is_app_well=lambda: not actors.unwell.is_set(),
            reload_app=actors.reload,
            ports=ports,
            neighbors=lambda: list(registry.entries(os.environ)),
            flags=options.given,
            metrics=layers.metrics,
            is_read_only=not may_change,
            is_test=layers.test is not None,
        )
    )
    found |= {
        "GetOverview": of_runtime.get_overview,
        "GetConfiguration": of_runtime.get_configuration,
        "ReloadApp": of_runtime.reload_app,
    }
    served = {rpc.name: found[rpc.name] for rpc in table.RPCS if rpc.name in found and (may_change or not rpc.changes)}
    if layers.test:
        served |= layers.test.answers()
    of_runtime.capabilities = sorted(served)

    def close() -> None:
        feed.close()
        traffic.close()

    return Administration(served, close)
