"""Cross-origin calls from browsers, where `--allowed-origins` allows them (state-api.md 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.serving.http.response import Line, Response, line

if TYPE_CHECKING:
    from dapr_state.security.origins import AllowedOrigins
    from dapr_state.serving.http.request import Request

METHODS = frozenset({"HEAD", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_VARY = line("Vary", "Origin")
# three lines in one: lines are sorted when they are sent, and these have an order of their own
_VARY_PREFLIGHT = Line(
    _VARY + line("Vary", "Access-Control-Request-Method") + line("Vary", "Access-Control-Request-Headers")
)


class Cors:
    """`check` answers pre-flights, before any token is asked for; `after` marks all other answers."""

    def __init__(self, allowed: AllowedOrigins) -> None:
        self._allowed_origins = allowed

    def check(self, request: Request) -> Response | None:
        asked = request.headers.get("access-control-request-method")
        if request.method != "OPTIONS" or not asked:
            return None
        response = Response(200, [_VARY_PREFLIGHT])
        origin = request.headers.get("origin", "")
        if not self._allowed_origins.allow(origin) or asked.upper() not in METHODS:
            return response
        response.lines.append(self._allowed(origin))
        response.lines.append(line("Access-Control-Allow-Methods", asked.upper()))
        if wanted := request.headers.get("access-control-request-headers"):
            names = ", ".join(_canonical(name.strip()) for name in wanted.split(",") if name.strip())
            response.lines.append(line("Access-Control-Allow-Headers", names))
        return response

    def after(self, request: Request, response: Response) -> None:
        if _VARY_PREFLIGHT in response.lines:
            return
        response.lines.append(_VARY)
        if self._allowed_origins.allow(origin := request.headers.get("origin", "")):
            response.lines.append(self._allowed(origin))

    def _allowed(self, origin: str) -> Line:
        return line("Access-Control-Allow-Origin", "*" if self._allowed_origins.all else origin)


def _canonical(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))
