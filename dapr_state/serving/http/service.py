"""The way of every request: checks that may answer it, then its route; its answer passes the hooks, and is sent.

Both are plain functions, chosen once at start: the API token, allow lists, logs, metrics and tracing are
such functions. With none of them a request pays for two empty loops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from dapr_state.serving.http.request import Request
    from dapr_state.serving.http.response import Response
    from dapr_state.wire.http1.request import Fields

    Handler = Callable[[Request], Coroutine[Any, Any, Response]]
    Check = Callable[[Request], Response | None]
    After = Callable[[Request, Response], None]
    Failure = Callable[[Request, BaseException], Response]


class Service(NamedTuple):
    """What a server is given: `failure` answers what `handler` raises; every answer passes all of `after`, in order.

    `failure` is asked as well where the server itself gives up a request: CancelledError when it ends, CrowdedError
    when there is no memory for it. With `names_peers` each request says its client's address.
    """

    handler: Handler
    failure: Failure
    after: Sequence[After] = ()
    names_peers: bool = False


class HeaderCheck(NamedTuple):
    """A check that has no answer to any request with the headers that it `finds_usual`."""

    check: Check
    finds_usual: Callable[[Fields], bool]


def checked(route: Handler, checks: Sequence[Check | HeaderCheck]) -> Handler:
    """The route behind checks: they are asked in order, and the first that has an answer gives it.

    Clients repeat their headers: those that every HeaderCheck finds usual are remembered as such.
    """
    of_headers = [each for each in checks if isinstance(each, HeaderCheck)]
    others = [each for each in checks if not isinstance(each, HeaderCheck)]
    every = [each.check if isinstance(each, HeaderCheck) else each for each in checks]

    def handler(request: Request) -> Coroutine[Any, Any, Response]:
        fields = request.fields
        if not fields.is_usual:
            fields.is_usual = all(each.finds_usual(fields) for each in of_headers)
        for check in others if fields.is_usual else every:
            if response := check(request):
                return _at_once(response)
        return route(request)

    return handler


async def _at_once(response: Response) -> Response:
    return response
