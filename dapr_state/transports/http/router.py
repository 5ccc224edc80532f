"""Which answer belongs to which path and verb.

The state routes are matched by hand (a hot get costs one look into a dict), and those of actors where nothing needs
cleaning; all others by the table, under their first two segments. Wrong verbs and unknown paths are one and the same
to daprd: it takes them for service invocation.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from dapr_state import errors
from dapr_state.transports.http import target
from dapr_state.transports.http.route import Call

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dapr_state.serving.http.request import Request
    from dapr_state.transports.http.actors import ActorRoutes
    from dapr_state.transports.http.route import Answer, Answering, Route
    from dapr_state.transports.http.state import StateRoutes

APP_ID = "dapr-app-id"  # the header that makes any path a service invocation

# Nothing here needs cleaning or decoding
_PLAIN_STORE = re.compile(rb"/v1\.0/state/((?!\.\.?/)[^/%+?]+)/")
_UNCLEAN = frozenset({b"", b".", b".."})  # segments that are not what they seem
_NO_QUERY: Mapping[str, str] = {}
MAX_STORES = 256  # a caller can make up names
_PLAIN_ACTOR = re.compile(
    rb"/v1\.0/actors/((?!\.\.?/)[^/%+?]+)/((?!\.\.?/)[^/%+?]+)"
    rb"/(?:method/((?!\.\.?$)[^/%+?]+)|state/((?!\.\.?$)[^/%+?]+)|state)"
)
_CALLS = frozenset({"GET", "POST", "PUT", "DELETE"})
_WRITES = frozenset({"POST", "PUT"})


class _Row(NamedTuple):
    verbs: frozenset[str]
    segments: tuple[str, ...]
    is_open: bool
    answer: Answer

    def match(self, parts: list[bytes]) -> dict[str, str] | None:
        if len(parts) != len(self.segments) and not (self.is_open and len(parts) > len(self.segments)):
            return None
        params = {}
        for segment, part in zip(self.segments, parts, strict=False):
            if segment.startswith("{"):
                params[segment[1:-1]] = target.decode(part)
            elif segment.encode() != part:
                return None
        return params


class Router:
    def __init__(
        self,
        state: StateRoutes | None,
        routes: Iterable[Route],
        app_id: str = "",
        actors: ActorRoutes | None = None,
    ) -> None:
        """Without `state` there are no State routes, as on the public port; `actors` have theirs in `routes` too."""
        self._state = state
        self._stores: dict[bytes, str] = {}  # by what comes before a key in a plain path
        self._actors = actors
        self._app_id = app_id
        self._rows: dict[tuple[bytes, bytes], list[_Row]] = {}
        for verbs, pattern, answer in routes:
            segments = tuple(pattern.strip("/").removesuffix("/*").split("/"))
            is_open = pattern.endswith("/*")
            row = _Row(frozenset(verbs.split()), (*segments, "{*}") if is_open else segments, is_open, answer)
            self._rows.setdefault((segments[0].encode(), segments[1].encode()), []).append(row)

    def __call__(self, request: Request) -> Answering:
        """Answer as daprd, also where there is no such route. Nothing is awaited here: the route's own answer is."""
        if request.is_plain:
            path = request.target
            end = path.rfind(b"/") + 1
            before = path[:end]
            if self._state and request.method == "GET" and (store := self._stores.get(before) or self._learn(before)):
                if (key := path[end:]) not in _UNCLEAN:
                    request.common_path = before
                    return self._state.get(store, key.decode("utf-8", "surrogateescape"))
            elif self._actors and (answer := self._of_actors(self._actors, request)):
                return answer
        if answer := self.find(request):
            return answer
        raise errors.not_invoked(request.headers.get(APP_ID, ""), self._app_id)

    def find(self, request: Request) -> Answering | None:
        """The route's answer, or None if there is no such route."""
        path, query = request.target, _NO_QUERY
        if not request.is_plain:
            path, raw_query = target.split(path)
            query = target.parameters(raw_query)
        parts = target.segments(path)
        if self._state and parts[1:2] == [b"state"] and (answer := self._of_state(self._state, request, parts, query)):
            return answer
        for row in self._rows.get((parts[0], parts[1]), ()) if len(parts) > 1 else ():
            if request.method in row.verbs and (params := row.match(parts)) is not None:
                return row.answer(Call(request, params, query))
        return None

    def verbs(self, request: Request) -> list[str]:
        """The verbs that this path has a route for, sorted."""
        parts = target.segments(target.split(request.target)[0])
        rows = self._rows.get((parts[0], parts[1]), ()) if len(parts) > 1 else ()
        found = {verb for row in rows if row.match(parts) is not None for verb in row.verbs}
        match parts:
            case b"v1.0", b"state", _ if self._state:
                found |= {"POST", "PUT"}
            case b"v1.0", b"state", _, key if self._state:
                found |= {"GET", "DELETE"} | ({"POST", "PUT"} if key in {b"bulk", b"transaction"} else set())
            case b"v1.0-alpha1", b"state", _, b"query" if self._state:
                found |= {"POST", "PUT"}
        return sorted(found)

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
        kind, name, method, key = plain.groups()
        decode = target.decode
        if method and request.method in _CALLS:
            return actors.invoke(decode(kind), decode(name), decode(method), request)
        if key and request.method == "GET":
            return actors.get_state(decode(kind), decode(name), decode(key))
        if not (method or key) and request.method in _WRITES:
            return actors.transact(decode(kind), decode(name), request)
        return None

    @staticmethod
    def _of_state(
        state: StateRoutes, request: Request, parts: list[bytes], query: Mapping[str, str]
    ) -> Answering | None:
        decode = target.decode
        verb, writes = request.method, request.method in {"POST", "PUT"}
        answer: Answering | None = None
        match parts:
            case b"v1.0", _, store, key if verb == "GET":
                answer = state.get(decode(store), decode(key))
            case b"v1.0", _, store if writes:
                answer = state.save(decode(store), request, query)
            case b"v1.0", _, store, key if verb == "DELETE":
                answer = state.delete(decode(store), decode(key), request, query)
            case b"v1.0", _, store, b"bulk" if writes:
                answer = state.bulk_get(decode(store), request)
            case b"v1.0", _, store, b"transaction" if writes:
                answer = state.transact(decode(store), request, query)
            case b"v1.0-alpha1", _, store, b"query" if writes:
                answer = state.query(decode(store), request)
        return answer
