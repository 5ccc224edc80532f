"""The address under which other machines reach this one."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# TEST-NET-1 (RFC 5737): connecting a UDP socket sends nothing, and shows which address would be used
_ELSEWHERE: Final = ("192.0.2.1", 9)


def host_address(environ: Mapping[str, str]) -> str:
    """DAPR_HOST_IP if it is set, else the address of the way out, else loopback."""
    given = environ.get("DAPR_HOST_IP", "")
    if given:
        return given
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:
            return "127.0.0.1"
        found: str = probe.getsockname()[0]
        return found
