"""Around each gRPC call of a sidecar in test mode: it is recorded, and meets the faults that a test has put in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dapr_state import errors
from dapr_state.operations import OPERATIONS
from dapr_state.serving.grpc.observed import behavior_of, with_behavior
from dapr_state.testmode.store import is_looking

if TYPE_CHECKING:
    import grpc

    from dapr_state.testmode.service import TestMode

    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]

LOOKS: Final = "dapr-state-test"
UNRECORDED: Final = frozenset({"GetMetadata"})
_APIS: Final = {rpc: each.groups.partition(".")[0] for each in OPERATIONS for rpc in each.rpcs.split()}
_SUBJECT: Final = ("store_name", "actor_type", "actor_id", "key", "method", "name")  # fields that say what it is about


def tested(method: str, handler: Handler, test: TestMode) -> Handler:
    """The handler, if it has one message in and one out."""
    operation = method.rpartition("/")[2]
    if handler.request_streaming or handler.response_streaming or operation in UNRECORDED:
        return handler
    behavior = behavior_of(handler)

    async def around(request: Any, context: Context) -> Any:
        if operation not in _APIS or any(name == LOOKS for name, _ in context.invocation_metadata() or ()):
            is_looking.set(True)
            return await behavior(request, context)
        about = "/".join(str(getattr(request, name)) for name in _SUBJECT if getattr(request, name, ""))
        with test.calls.recorded(_APIS.get(operation, ""), operation, about, "grpc"):
            fault = test.faults.of_api(operation)
            if fault is None or not await fault.wait():
                return await behavior(request, context)
            if fault.effect == "after_commit":
                await behavior(request, context)
            if fault.effect == "goaway":
                _on_connection(context, "go_away")
                return await behavior(request, context)
            if fault.effect == "drop_connection":
                _on_connection(context, "cut_off")
            raise errors.TEST_UNAVAILABLE(reason=fault.text)

    return with_behavior(handler, around)


def _on_connection(context: Any, what: str) -> None:
    """Of our own server; grpc's does not let its connections be touched."""
    if act := getattr(context, what, None):
        act()
