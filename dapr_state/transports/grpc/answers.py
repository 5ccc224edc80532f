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
            await refuse(error, context)

    return cast("C", answered)


async def refuse(error: DaprError, context: grpc.aio.ServicerContext[Any, Any]) -> None:
    """End the call with this error."""
    await context.abort_with_status(_status(error))


def status_of(error: BaseException) -> grpc.Status | None:
    """The status that a call ends with which raised this; None if it is no error of the API."""
    return _status(error) if isinstance(error, DaprError) else None


def _status(error: DaprError) -> grpc.Status:
    log.debug("Call refused: %s", error)
    return status.of(error)


def inner(call: Any) -> Any:
    """The method that `answers` was put around, bound as `call` is; `call` itself if there is none.

    Whoever puts something of its own around a call takes the place of `answers`: each layer costs 0.15 us a call.
    """
    plain = getattr(call, "__wrapped__", None)
    return plain.__get__(call.__self__) if plain and hasattr(call, "__self__") else call
