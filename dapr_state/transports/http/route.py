"""What a route's answer is given: the request, and what its path and query say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any

    from dapr_state.serving.http.request import Request
    from dapr_state.serving.http.response import Response

    Answering = Coroutine[Any, Any, Response]
    Answer = Callable[["Call"], Answering]


class Call(NamedTuple):
    """A request and what its path and query say."""

    request: Request
    params: Mapping[str, str]
    query: Mapping[str, str]
