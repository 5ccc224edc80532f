"""A route: the verbs and the path that an answer is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any

    from dapr_state.serving.http.message import Response
    from dapr_state.serving.http.request import Request

    Answering = Coroutine[Any, Any, Response]
    Answer = Callable[["Call"], Answering]

ANY = "GET HEAD POST PUT PATCH DELETE OPTIONS"
WRITE = "POST PUT"


class Call(NamedTuple):
    """A request and what its path and query say."""

    request: Request
    params: Mapping[str, str]
    query: Mapping[str, str]


class Route(NamedTuple):
    """`pattern` is made of plain segments, `{named}` ones, and at the end perhaps `*` for one or more."""

    verbs: str
    pattern: str
    answer: Answer
