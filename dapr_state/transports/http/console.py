"""The console's page over HTTP: its files, and what a page must know before it may ask anything."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from dapr_state.golang.marshal import encode
from dapr_state.serving.http.response import JSON, NO_SNIFF, TEXT, Response, line
from dapr_state.transports.http import target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dapr_state.console.files import File
    from dapr_state.serving.http.request import Request
    from dapr_state.transports.http.route import Answering

ROOT: Final = b"/dapr-state/"
INDEX: Final = "index.html"
ABOUT: Final = "about.json"
_METHODS: Final = frozenset({"GET", "HEAD"})

# Nothing from elsewhere, nothing inline, no page around this one, and no text that becomes a script
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
GUARDS: Final = (
    NO_SNIFF,
    line("Content-Security-Policy", POLICY),
    line("Cross-Origin-Opener-Policy", "same-origin"),
    line("Cross-Origin-Resource-Policy", "same-origin"),
    line("Referrer-Policy", "no-referrer"),
)
NO_STORE: Final = line("Cache-Control", "no-store")
_ASK_AGAIN: Final = line("Cache-Control", "no-cache")  # a page of yesterday with today's API would be a riddle
_VARY: Final = line("Vary", "Accept-Encoding")
_GZIP: Final = line("Content-Encoding", "gzip")


class Page:
    """`about` is asked anew each time; the files are read when the first of them is asked for."""

    def __init__(self, about: Callable[[], Mapping[str, Any]]) -> None:
        self._about = about
        self._files: Mapping[str, File] | None = None

    def find(self, request: Request) -> Answering | None:
        """The answer, or None where the path is none of the page's."""
        return self._answer(request) if self.owns(request) else None

    @staticmethod
    def owns(request: Request) -> bool:
        """Whether this is for the page: which is there for all, as a browser has no token to show when it opens it."""
        path = request.target
        if not path.startswith(ROOT[:-1]) or path.startswith(target.ADMIN_ROOT) or "dapr-app-id" in request.headers:
            return False
        return path[len(ROOT) - 1 : len(ROOT)] in {b"", b"/", b"?"}

    async def _answer(self, request: Request) -> Response:
        if request.method not in _METHODS:
            return Response(405, [line("Allow", "GET, HEAD"), *GUARDS])
        path, _ = target.split(request.target)
        if path == ROOT[:-1]:
            return Response(308, [line("Location", ROOT.decode()), *GUARDS])
        if self._files is None:
            self._files = await asyncio.to_thread(_load)
        name = path[len(ROOT) :].decode("utf-8", "replace") or INDEX
        if name == ABOUT:
            return Response(200, [JSON, NO_STORE, *GUARDS], encode(self._about()))
        if file := self._files.get(name):
            return _file(request, file)
        return Response(404, [TEXT, *GUARDS], b"404 page not found\n")


def _load() -> Mapping[str, File]:
    from dapr_state.console import files  # noqa: PLC0415  gzip, for whoever looks at the page

    return files.load()


def _file(request: Request, file: File) -> Response:
    is_zipped = "gzip" in request.headers.get("accept-encoding", "")
    etag = file.zipped_etag if is_zipped else file.etag
    lines = [line("ETag", etag), _ASK_AGAIN, _VARY, *GUARDS]
    if etag in request.headers.get("if-none-match", ""):
        return Response(304, lines)
    lines.append(line("Content-Type", file.content_type))
    if is_zipped:
        lines.append(_GZIP)
    return Response(200, lines, file.zipped if is_zipped else file.body)
