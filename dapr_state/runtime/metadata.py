"""What the options and the components say about this sidecar, as its metadata tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.api.metadata import (
    TEST_MODE,
    AppConnectionHealthProperties,
    AppConnectionProperties,
    Metadata,
    RegisteredComponent,
    capabilities,
)
from dapr_state.golang.duration import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.runtime.actors import ActorServices
    from dapr_state.runtime.components import Components
    from dapr_state.runtime.options import Options
    from dapr_state.runtime.resiliency import Resiliency


def build_metadata(
    options: Options,
    components: Components,
    actors: ActorServices,
    policies: Resiliency,
    features: Sequence[str] = (),
) -> Metadata:
    def registered() -> list[RegisteredComponent]:
        secrets = [(opened.component, opened.store.capabilities) for opened in components.secret_stores.values()]
        stores = [
            (each, capabilities(each.type, each.version, components.stores[each.name].store))
            for each in components.loaded
        ]
        return [RegisteredComponent(each.name, each.type, each.version, can) for each, can in (*secrets, *stores)]

    return Metadata(
        options.app_id,
        registered,
        app=_app(options),
        features=features,
        actors=actors.metadata,
        schedulers=lambda: actors.schedulers,
        resiliencies=lambda: policies.names,
        own_notes=TEST_MODE if options.test_mode else {},
    )


def _app(options: Options) -> AppConnectionProperties:
    health = None
    if options.app_health_check:
        health = AppConnectionHealthProperties(
            options.app_health_check_path if options.app_protocol.startswith("http") else "",
            format_duration(options.app_health_probe_interval),
            format_duration(options.app_health_probe_timeout),
            options.app_health_threshold,
        )
    return AppConnectionProperties(
        options.app_port, options.app_protocol, options.app_channel_address, options.app_max_concurrency, health
    )
