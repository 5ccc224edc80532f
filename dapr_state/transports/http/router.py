"""Which answer belongs to which path and verb.

The routes are those of `operations.py` that somebody answers, under their first two segments. Before the table, plain
gets of state and whatever else names a store alone (they cost one look into a dict) and plain calls of actors are
matched by hand. Wrong verbs and unknown paths are one and the same to daprd: it takes them for service invocation.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from dapr_state import errors
from dapr_state.operations import ANY, OPERATIONS, UNKNOWN, Operation
from dapr_state.transports.http import target
from dapr_state.transports.http.labels import MAX_TARGET
from dapr_state.transports.http.route import Call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dapr_state.serving.http.request import Request
    from dapr_state.transports.http.actors import ActorRoutes
    from dapr_state.transports.http.console import Page
    from dapr_state.transports.http.route import Answer, Answering
    from dapr_state.transports.http.state import StateRoutes

    class OwnRoutes(Protocol):
        """Those that are not of Dapr."""

        def find(self, request: Request, /) -> Answering | None: ...

        def name(self, verb: str, path: bytes, /) -> str: ...


APP_ID = "dapr-app-id"  # the header that makes any path a service invocation

# Nothing here needs cleaning or decoding
_PLAIN_STORE = re.compile(rb"/v1\.0/state/((?!\.\.?/)[^/%+?]+)/")
_UNCLEAN = frozenset({b"", b".", b".."})  # segments that are not what they seem
_NO_QUERY: Mapping[str, str] = {}
_STORE = frozenset({"store"})
MAX_STORES = 256  # a caller can make up names
_PLAIN_ACTOR = re.compile(
    rb"/v1\.0/actors/((?!\.\.?/)[^/%+?]+)/((?!\.\.?/)[^/%+?]+)"
    rb"/(?:method/((?!\.\.?$)[^/%+?]+)|state/((?!\.\.?$)[^/%+?]+)|state)"
)
_CALLS = frozenset({"GET", "POST", "PUT", "DELETE"})
_WRITES = frozenset({"POST", "PUT"})


class Route(Struct, frozen=True):
    """An operation in one version: what is called how among its path's segments, and what those behind the second are.

    An open one takes any number of segments at its end, but one at least.
    """

    operation: Operation
    answer: Answer
    length: int
    is_open: bool
    fixed: tuple[tuple[int, bytes], ...]
    named: tuple[tuple[int, str], ...]

    @classmethod
    def of(cls, operation: Operation, answer: Answer, segments: list[bytes]) -> Route:
        named = {at: part[1:-1].decode() for at, part in enumerate(segments) if part[:1] == b"{"}
        is_open = segments[-1] == b"*"
        fixed = ((at, part) for at, part in enumerate(segments) if at > 1 and at not in named and part != b"*")
        return cls(operation, answer, len(segments), is_open, tuple(fixed), tuple(named.items()))

    def fits(self, parts: list[bytes]) -> bool:
        for at, text in self.fixed:  # noqa: SIM110  a generator takes twice as long
            if parts[at] != text:
                return False
        return True

    def params(self, parts: list[bytes]) -> dict[str, str]:
        return {name: target.decode(parts[at]) for at, name in self.named}


class Router:
    def __init__(
        self,
        answers: Mapping[str, Answer],
        app_id: str = "",
        *,
        state: StateRoutes | None = None,
        actors: ActorRoutes | None = None,
        page: Page | None = None,
        admin: OwnRoutes | None = None,
    ) -> None:
        """`answers` are by the operations' keys; what plain gets and calls ask of `state` and `actors` is there too."""
        self._state = state
        self._stores: dict[bytes, str] = {}  # by what comes before a key in a plain path
        self._of_store: dict[tuple[str, bytes], tuple[Answer, Mapping[str, str]]] = {}  # by verb and plain path
        self._actors = actors
        self._page = page
        self._admin = admin
        self._app_id = app_id
        # by the verb, the first two segments and the number of all; those that are open by the number 0
        self._routes: dict[tuple[str, bytes, bytes, int], list[Route]] = {}
        for operation in OPERATIONS:
            for path in operation.paths() if operation.key in answers else ():
                segments = path.encode().split(b"/")[1:]
                route = Route.of(operation, answers[operation.key], segments)
                for verb in operation.verbs.split():
                    known_by = verb, segments[0], segments[1], 0 if route.is_open else route.length
                    self._routes.setdefault(known_by, []).append(route)

    def __call__(self, request: Request) -> Answering:
        """Answer as daprd, also where there is no such route. Nothing is awaited here: the route's own answer is."""
        if request.is_plain:
            path = request.target
            end = path.rfind(b"/") + 1
            before = path[:end]
            if self._state and request.method == "GET" and (store := self._stores.get(before) or self._learn(before)):
                if (key := path[end:]) not in _UNCLEAN:
                    if end <= MAX_TARGET:
                        request.counted_as = before
                    return self._state.get(store, key.decode("utf-8", "surrogateescape"))
            elif found := self._of_store.get((request.method, path)):
                answering, params = found
                return answering(Call(request, params, _NO_QUERY))
            elif self._actors and (answer := self._of_actors(self._actors, request)):
                return answer
        if answer := self.find(request):
            return answer
        if self._page and (answer := self._page.find(request)):
            return answer
        if self._admin and (answer := self._admin.find(request)):
            return answer
        raise errors.not_invoked(request.headers.get(APP_ID, ""), self._app_id)

    def find(self, request: Request) -> Answering | None:
        """The route's answer, or None if there is no such route."""
        path, query = request.target, _NO_QUERY
        if not request.is_plain:
            path, raw_query = target.split(path)
            query = target.parameters(raw_query)
        parts = target.segments(path)
        if route := self.route(request.method, parts):
            params = route.params(parts)
            if request.is_plain and params.keys() == _STORE and len(path) <= MAX_TARGET:
                if len(self._of_store) >= MAX_STORES:
                    self._of_store.clear()
                self._of_store[request.method, path] = route.answer, params
            return route.answer(Call(request, params, query))
        return None

    def route(self, verb: str, parts: list[bytes]) -> Route | None:
        """The first whose path these segments fit."""
        if (length := len(parts)) < 2:  # noqa: PLR2004  version and subject
            return None
        for route in self._routes.get((verb, parts[0], parts[1], length), ()):
            if not route.fixed or route.fits(parts):
                return route
        for route in self._routes.get((verb, parts[0], parts[1], 0), ()):
            if route.length <= length and route.fits(parts):
                return route
        return None

    def verbs(self, request: Request) -> list[str]:
        """The verbs that this path has a route for, sorted."""
        parts = target.segments(target.split(request.target)[0])
        return sorted(verb for verb in ANY.split() if self.route(verb, parts))

    def name(self, verb: str, parts: list[bytes]) -> str:
        """What the API log calls a request in place of its path."""
        if self._admin and (name := self._admin.name(verb, b"/" + b"/".join(parts))):
            return name
        route = self.route(verb, parts)
        return route.operation.shown.format_map(route.params(parts)) if route else UNKNOWN

    def _learn(self, before: bytes) -> str | None:
        """The store that the path before a key names."""
        if not (found := _PLAIN_STORE.fullmatch(before)):
            return None
        if len(self._stores) >= MAX_STORES:
            self._stores.clear()
        store = self._stores[before] = target.decode(found[1])
        return store

    @staticmethod
    def _of_actors(actors: ActorRoutes, request: Request) -> Answering | None:
        if not (plain := _PLAIN_ACTOR.fullmatch(request.target)):
            return None
        actor_type, actor_id, method, key = plain.groups()
        if len(actor_type) <= MAX_TARGET:
            request.counted_as = request.method, actor_type, method is None
        decode = target.decode
        if method and request.method in _CALLS:
            return actors.invoke(decode(actor_type), decode(actor_id), decode(method), request)
        if key and request.method == "GET":
            return actors.get_state(decode(actor_type), decode(actor_id), decode(key))
        if not (method or key) and request.method in _WRITES:
            return actors.transact(decode(actor_type), decode(actor_id), request)
        return None
