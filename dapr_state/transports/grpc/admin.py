"""The administration API over gRPC: its services, as far as somebody answers."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc
from dapr_state_proto.admin.v1 import admin_pb2

from dapr_state.admin import table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dapr_state.admin.table import Answers, Rpc, Streaming, Unary

    Context = grpc.aio.ServicerContext[Any, Any]

MODULE = admin_pb2


def services(answers: Answers) -> dict[str, grpc.GenericRpcHandler]:
    """A handler for each service that has a call, by its full name."""
    methods: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
    for rpc, answer in table.served(answers):
        methods.setdefault(f"{table.PACKAGE}.{rpc.service}", {})[rpc.name] = _handler(rpc, answer)
    return {name: grpc.method_handlers_generic_handler(name, found) for name, found in methods.items()}


def _handler(rpc: Rpc, answer: Any) -> grpc.RpcMethodHandler[Any, Any]:
    coders: Any = (rpc.request.FromString, rpc.response.SerializeToString)
    if rpc.is_stream:
        return grpc.unary_stream_rpc_method_handler(_stream(answer), *coders)
    return grpc.unary_unary_rpc_method_handler(_unary(answer), *coders)


def _unary(answer: Unary) -> Any:
    async def call(request: Any, _: Context) -> Any:
        return await answer(request)

    return call


def _stream(answer: Streaming) -> Any:
    async def call(request: Any, _: Context) -> AsyncIterator[Any]:
        async with aclosing(answer(request)) as messages:  # a watcher who goes leaves his place at once
            async for message in messages:
                yield message

    return call
