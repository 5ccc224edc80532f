"""The gRPC API of one sidecar, put together. It is imported in a thread, while HTTP is answered already: 45 ms."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import grpc

from dapr_state.serving.grpc.server import NativeServer
from dapr_state.transports.grpc.dapr import DaprServicer
from dapr_state.transports.grpc.server import GrpcServer
from dapr_state.transports.grpc.unconfigured import UnconfiguredBlocks

if TYPE_CHECKING:
    from dapr_state.admin.table import Answers
    from dapr_state.api.lifecycle import Lifecycle
    from dapr_state.api.metadata import Metadata
    from dapr_state.api.state import State
    from dapr_state.runtime.actors import ActorServices
    from dapr_state.runtime.options import Options
    from dapr_state.serving.request_memory import RequestMemory
    from dapr_state.transports.middleware import Middleware

# Octets of a gRPC header list, with 32 for each field: this, or twice the limit for HTTP if that is more. daprd says
# 1024 times that limit, 4 MiB: octets that a client makes a header stand for, and has us keep, before it is asked for
# its token.
GRPC_HEADERS: Final = 65_536
GRPC_HEADER_FACTOR: Final = 2


def build(  # noqa: PLR0917  each of them is one of its kind
    options: Options,
    layers: Middleware,
    memory: RequestMemory,
    state: State,
    metadata: Metadata,
    lifecycle: Lifecycle,
    actors: ActorServices,
    answers: Answers,
) -> GrpcServer:
    """`answers` are the administration's, as far as this port has them."""
    servicer = DaprServicer(
        state,
        metadata,
        lifecycle,
        actors.api,
        reminders=actors.reminders,
        subscribe=actors.subscribe,
        traces=layers.echoes_context,
        answers=memory.answers,
    )
    own: dict[str, Any] = {}
    if answers:
        from dapr_state.transports.grpc import admin  # noqa: PLC0415  whoever has it off does not pay for it

        own = {"own": admin.services(answers), "own_module": admin.MODULE}
    return GrpcServer(
        servicer,
        options.max_body_size,
        max(GRPC_HEADERS, options.read_buffer_size * GRPC_HEADER_FACTOR),
        layers,
        make=partial(NativeServer, memory=memory) if options.grpc_server != "grpcio" else grpc.aio.server,
        absent=UnconfiguredBlocks(options.app_id, options.namespace),
        **own,
    )
