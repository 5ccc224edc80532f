"""What is told of a gRPC call to whoever looks at the traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf.message import DecodeError

from dapr_state.clock import WAITING
from dapr_state.observability.tap import Ended
from dapr_state.operations import grpc_groups

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.observability.tap import Tap

_NAMES: Final = {code.value[0]: code.name for code in grpc.StatusCode}
_GROUPS: Final = {rpc: group.partition(".")[0] for group, rpcs in grpc_groups().items() for rpc in rpcs}
_KEYS_SHOWN: Final = 3  # of a call about many


class TappedCalls:
    """Tells the calls of one method; `decode` reads its request."""

    def __init__(self, method: str, tap: Tap, decode: Callable[[bytes], Any] | None) -> None:
        self._operation = method.rpartition("/")[2]
        self._api = _GROUPS.get(self._operation, "admin")
        self._tap = tap
        self._decode = decode
        self.listeners = tap.listeners

    def __repr__(self) -> str:
        return f"<TappedCalls of {self._operation}>"

    def tell(  # noqa: PLR0917  as the server calls it
        self, context: Any, code: int, received: int, sent: int, seconds: float, error: BaseException | None
    ) -> None:
        """As the server calls what is told of each call's end."""
        if not self.listeners:
            return
        trace = next((value for name, value in context.invocation_metadata() or () if name == "traceparent"), "")
        self._tap.tell(
            Ended(
                "grpc",
                self._api,
                self._operation,
                self._target(getattr(context, "octets", b"")),
                _NAMES.get(code, str(code)),
                bool(code),
                WAITING.wall(),
                seconds,
                received,
                sent,
                str(error or ""),
                trace[3:35] if isinstance(trace, str) else "",
                context.peer(),
            )
        )

    def _target(self, octets: bytes) -> str:
        """What the call was about, if its request is small enough to be read again."""
        if not (self._decode and octets) or len(octets) > 1 << 16:
            return ""
        try:
            return _target(self._decode(octets))
        except DecodeError:
            return ""


def _target(request: Any) -> str:
    if actor_type := getattr(request, "actor_type", ""):
        parts = (
            actor_type,
            getattr(request, "actor_id", ""),
            getattr(request, "method", "") or getattr(request, "name", ""),
        )
        return "/".join(filter(None, parts))
    store = getattr(request, "store_name", "") or getattr(request, "storeName", "")
    keys = [key] if (key := getattr(request, "key", "")) else [*getattr(request, "keys", ())]
    keys = keys or [each.key for each in getattr(request, "states", ())]
    shown = ",".join(keys[:_KEYS_SHOWN]) + (f" and {len(keys) - _KEYS_SHOWN} more" if len(keys) > _KEYS_SHOWN else "")
    return f"{store}/{shown}" if store and shown else store
