"""The Actors building block: what each call does, for gRPC and HTTP alike."""

from __future__ import annotations

import posixpath
import re
from functools import partial
from typing import TYPE_CHECKING, Final

from dapr_state import errors
from dapr_state.actors.gate import AwayError
from dapr_state.actors.placement.base import LostError, NoHostError
from dapr_state.actors.router import RemoteError
from dapr_state.actors.runtime import ClosingError
from dapr_state.actors.state import MISSING_KEY, ActorState, NoStoreError, Put, Remove
from dapr_state.actors.turns import TooDeepError
from dapr_state.app.model import ActorCall, ActorId, AppAnswer, AppError
from dapr_state.golang.quoting import quote
from dapr_state.stores.base import EtagInvalid, EtagMismatch, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.actors.resilient import ResilientCalls
    from dapr_state.actors.router import ActorRouter
    from dapr_state.app.model import Headers
    from dapr_state.stores.model import StoredValue

__all__ = ["MISSING_KEY", "ActorId", "Actors", "Put", "Remove"]

RESERVED: Final = "dapr.internal."

LONGEST_NAME: Final = 16_384  # of a type, an id, a method: more than servers take of a path

# Nothing here needs another look
_PLAIN_NAME: Final = re.compile(r"[^#?.\\/\x00-\x1f\x7f]+")
_PLAIN_METHOD: Final = re.compile(r"[^#?./\x00-\x1f\x7f]+")
_FORBIDDEN: Final = re.compile(r"[#?\\/\x00]")
_FORBIDDEN_IN_METHOD: Final = re.compile(r"[#?\x00]")
_CONTROL: Final = re.compile(r"[\x01-\x1f\x7f]")
_UPWARDS: Final = re.compile(r"\A(?:\.\./)+")
_TRAVERSALS: Final = frozenset({".", ".."})


class Actors:
    """`router` None: there is neither an application nor a store for actors."""

    def __init__(self, router: ActorRouter | None = None, state: ActorState | None = None) -> None:
        self._router = router
        self._calls: ActorRouter | ResilientCalls | None = router  # what calls of methods pass
        self._state = state or ActorState("", lambda: None)

    def pass_through(self, calls: ResilientCalls | None) -> None:
        """Have calls of methods pass these policies, or none."""
        self._calls = calls or self._router

    async def invoke(
        self, actor: ActorId, method: str, body: bytes, headers: Headers, *, query: str = "", body_error: str = ""
    ) -> AppAnswer:
        """Call a method of the actor; of what the application answers only a status of 200 is an answer."""
        router = self._router
        if router is None or not router.local.is_open:
            await self.ready(len(body))
        method = _checked(actor, method)
        if body_error:
            raise errors.ACTOR_BODY(cause=body_error)
        try:
            return await self._calls.invoke(ActorCall(actor, method, body, headers, query))  # type: ignore[union-attr]  # else it raised
        except RemoteError as error:
            raise errors.ACTOR_INVOKE.of_peer(error.code)(cause=error, details=error.details) from error
        except AppError as error:
            raise errors.ACTOR_INVOKE(cause=error) from error
        except AwayError as error:
            raise errors.ACTOR_APP_AWAY(cause=error) from error
        except NoHostError as error:
            raise errors.ACTOR_NO_HOST(cause=error) from error
        except TooDeepError as error:
            raise errors.ACTOR_STACK_DEPTH() from error  # noqa: RSE102  a row is called to make its error
        except ClosingError as error:
            raise errors.ACTOR_RUNTIME_CLOSED() from error  # noqa: RSE102  a row is called to make its error

    async def get_state(self, actor: ActorId, key: str) -> StoredValue | None:
        """The value under `key`, or None; the actor need not be active."""
        check_type(actor.type)
        router = self._router
        if router is None or not router.local.is_ready:  # a coroutine less for nearly all
            await self.ready(len(key))
        try:
            return await self._state.get(actor, key)
        except StoreError as error:
            raise errors.ACTOR_STATE_GET(cause=error) from error
        except NoStoreError as error:
            raise errors.ACTOR_NO_STATE_STORE() from error  # noqa: RSE102  a row is called to make its error

    async def check_active(self, actor: ActorId, octets: int) -> None:
        """Raise unless the actor is active on this sidecar alone; said before the operations, of `octets`, are read."""
        router = self._router
        if router is None or not router.local.is_ready:
            router = await self.ready(octets)
        if not router.may_write(actor):
            raise errors.ACTOR_INSTANCE_MISSING()  # noqa: RSE102  a row is called to make its error

    async def transact(self, actor: ActorId, changes: Sequence[Put | Remove]) -> None:
        """All changes in their order, or none; not for an actor that others may have by now."""
        router = self._router
        if router is None or not router.local.is_ready:
            router = await self.ready()
        try:
            await self._state.transact(actor, changes, partial(router.may_write, actor))
        except LostError as error:
            raise errors.ACTOR_INSTANCE_MISSING() from error  # noqa: RSE102  a row is called to make its error
        except StoreError as error:
            raise _row_for(error)(cause=error) from error
        except NoStoreError as error:
            raise errors.ACTOR_NO_STATE_STORE() from error  # noqa: RSE102  a row is called to make its error

    async def ready(self, octets: int = 0) -> ActorRouter:
        """Wait until it is known what the application hosts; `octets` is what the caller brings."""
        router = self._router
        if router is None:
            raise errors.ACTOR_NO_PLACEMENT()  # noqa: RSE102  a row is called to make its error
        if not router.local.is_ready:
            try:
                await router.local.ready(octets)
            except AwayError as error:
                raise errors.ACTOR_APP_AWAY(cause=error) from error
        return router


def check_type(actor_type: str) -> None:
    """Raise for a type that is kept for workflows; invoking its methods is allowed."""
    if actor_type.startswith(RESERVED):
        raise errors.ACTOR_TYPE_RESERVED(type=actor_type)


def _row_for(error: StoreError) -> errors.ErrorRow:
    if isinstance(error, EtagMismatch):
        return errors.ACTOR_STATE_TRANSACTION.conflict()
    if isinstance(error, EtagInvalid):
        return errors.ACTOR_STATE_TRANSACTION.invalid()
    return errors.ACTOR_STATE_TRANSACTION


def _checked(actor: ActorId, method: str) -> str:
    """The method as it is called; raises if one of the three cannot be part of a path."""
    if len(actor.type) > LONGEST_NAME or not _PLAIN_NAME.fullmatch(actor.type):
        _check_name(actor.type, "invalid actorType: ")
    if len(actor.id) > LONGEST_NAME or not _PLAIN_NAME.fullmatch(actor.id):
        _check_name(actor.id, "invalid actorId: ")
    if len(method) > LONGEST_NAME or not _PLAIN_METHOD.fullmatch(method):
        return _clean_method(method)
    return method


def check_name(name: str) -> None:
    """Raise unless this can be the name of a reminder or timer."""
    _check_name(name, "")


def check_length(name: str) -> None:
    """Raise for an actor's id without measure; that of a reminder or timer may hold anything else."""
    if len(name) > LONGEST_NAME:
        _check_name(name, "invalid actorId: ")


def _check_name(name: str, what: str) -> None:
    if problem := _problem(name, _FORBIDDEN):
        cause = f"{what}name {problem}"
    elif name in _TRAVERSALS:
        cause = f"{what}name is a path traversal sequence: {quote(name)}"
    else:
        return
    # daprd's own: over gRPC, only the names of reminders and timers are told with these words
    raise errors.ACTOR_BAD_NAME(cause=cause if what else f"invalid request: {cause}", http_cause=cause)


def _clean_method(method: str) -> str:
    """The method without what could lead out of the actor's path."""
    if problem := _problem(method, _FORBIDDEN_IN_METHOD):
        raise errors.ACTOR_BAD_NAME(cause=f"invalid actor method: method {problem}", http_cause=f"method {problem}")
    if not method:
        return ""
    clean = _UPWARDS.sub("", posixpath.normpath(re.sub("/+", "/", method)))
    return "" if clean in _TRAVERSALS else clean


def _problem(text: str, forbidden: re.Pattern[str]) -> str:
    if len(text) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} characters"
    if forbidden.search(text):
        return f"contains forbidden character: {quote(text)}"
    if found := _CONTROL.search(text):
        position = len(text[: found.start()].encode("utf-8", "surrogateescape"))
        return f"contains control character at position {position}: {quote(text)}"
    return ""
