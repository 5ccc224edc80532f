"""The API log: one line for each call of either transport, as daprd writes it (runtime.md 7)."""

from __future__ import annotations

import logging
from typing import Final

_HTTP: Final = logging.getLogger("dapr.runtime.http-info")
_GRPC: Final = logging.getLogger("dapr.runtime.grpc.api-info")


class ApiLog:
    """`obfuscate` names the operation in place of the path, which may hold keys."""

    def __init__(self, *, obfuscate: bool = False, omit_health: bool = False) -> None:
        self.obfuscate = obfuscate
        self.omit_health = omit_health
        for logger in (_HTTP, _GRPC):  # who asks for these lines gets them, whatever --log-level says
            logger.setLevel(logging.INFO)

    def http(self, method: str, code: int, seconds: float, size: int, user_agent: str) -> None:
        """`method` is the verb and the path without its query, or the operation's name."""
        _write(_HTTP, "HTTP API Called", user_agent, code=code, duration=_ms(seconds), method=method, size=size)

    def grpc(self, method: str, code: int, seconds: float, user_agent: str) -> None:
        """`method` is the full name of the method."""
        _write(_GRPC, "gRPC API Called", user_agent, code=code, duration=_ms(seconds), method=method)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _write(logger: logging.Logger, text: str, user_agent: str, **fields: str | int) -> None:
    if user_agent:
        fields["useragent"] = user_agent
    logger.info(text, extra={"fields": fields})
