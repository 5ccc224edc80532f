"""What every call has in common: an error of the API becomes the call's status."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, TypeVar, cast

from dapr_state.errors import DaprError
from dapr_state.transports.grpc import status

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import grpc

log = logging.getLogger("dapr.grpc.api")

C = TypeVar("C", bound="Callable[..., Coroutine[Any, Any, Any]]")


def answers(call: C) -> C:
    """Wrap a servicer's method: call(servicer, request, context)."""

    @functools.wraps(call)
    async def answered(servicer: Any, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await call(servicer, request, context)
        except DaprError as error:
            log.debug("%s: %s", call.__name__, error)
            await context.abort_with_status(status.of(error))

    return cast("C", answered)
