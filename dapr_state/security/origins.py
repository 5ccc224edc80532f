"""Whose web pages may call: which `Host` a request may be for, and which pages a browser may send it from.

A browser that runs on the same machine reaches loopback for every page that is open in it. A page may write without
asking (`POST` with `text/plain`), and one whose name is pointed at 127.0.0.1 may read (DNS rebinding). Both show in
what the browser sends along, and other clients do not send.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from dapr_state import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dapr_state.errors import DaprError

ANY: Final = "*"
MAX_KNOWN: Final = 256  # hosts that were found to be good; a caller can make up names below .localhost
LONGEST_KNOWN: Final = 256  # a name of DNS has 253 octets

_PORT = re.compile(r":[0-9]*\Z")


class AllowedOrigins:
    """`--allowed-origins`, as daprd reads it: names, names with one `*` in them, or `*` for all."""

    def __init__(self, listed: str) -> None:
        entries = _listed(listed)
        self.all = ANY in entries
        self._exact = frozenset(entry for entry in entries if ANY not in entry)
        self._wild = [tuple(entry.split(ANY, 1)) for entry in entries if ANY in entry]

    def __bool__(self) -> bool:
        return self.all or bool(self._exact or self._wild)

    def allow(self, origin: str) -> bool:
        if not origin:
            return False
        lowered = origin.lower()
        return self.all or lowered in self._exact or any(_matches(lowered, *parts) for parts in self._wild)


class Origins:
    """What `Host`, `Origin` and `Sec-Fetch-Site` say of a request; a client that is no browser is never refused.

    The `Host` is looked at only while every address that is listened on is loopback and no token is set: who is
    reached from elsewhere cannot know under which names, and a page does not know the token.
    """

    def __init__(
        self, listen: Iterable[str], *, allowed_hosts: str = "", allowed_origins: str = "", has_token: bool = False
    ) -> None:
        addresses = [_bare(address) for address in listen]
        entries = _listed(allowed_hosts)
        self._exact = frozenset([*addresses, *(entry for entry in entries if ANY not in entry)])
        self._wild = [tuple(entry.split(ANY, 1)) for entry in entries if ANY in entry and entry != ANY]
        self._allowed_origins = AllowedOrigins(allowed_origins)
        is_local = bool(addresses) and all(map(_is_loopback, addresses))
        self._looks_at_host = is_local and not has_token and ANY not in entries
        self._known: set[str] = {""}  # who names no host has no browser

    def __repr__(self) -> str:
        return f"<Origins{' of loopback' * self._looks_at_host}>"

    def problem(self, headers: Mapping[str, str]) -> DaprError | None:
        """Why the request is refused, or None."""
        host = headers.get("host", "")
        if host not in self._known and self._looks_at_host and not self._learn(host):
            return errors.FOREIGN_HOST(host=host)
        if "origin" not in headers and "sec-fetch-site" not in headers:
            return None
        origin = headers.get("origin", "")
        is_foreign = headers.get("sec-fetch-site", "").lower() == "cross-site" or self._is_foreign(origin, host)
        if is_foreign and not (self._allowed_origins.all or self._allowed_origins.allow(origin)):
            return errors.FOREIGN_ORIGIN(origin=origin or "another site")
        return None

    def _learn(self, host: str) -> bool:
        if not self._is_ours(_bare(host)):
            return False
        if len(host) <= LONGEST_KNOWN:
            if len(self._known) >= MAX_KNOWN:
                self._known = {""}
            self._known.add(host)
        return True

    def _is_foreign(self, origin: str, host: str) -> bool:
        if not origin:
            return False
        try:
            named = urlsplit(origin).netloc
        except ValueError:
            return True
        if not named:  # "null": a page that hides where it comes from
            return True
        # where the Host is not looked at, a page of the very same host has been served through it
        is_same = not self._looks_at_host and _bare(named) == _bare(host)
        return not is_same and not self._is_ours(_bare(named))

    def _is_ours(self, host: str) -> bool:
        return host in self._exact or _is_loopback(host) or any(_matches(host, *parts) for parts in self._wild)


def _listed(text: str) -> list[str]:
    return [entry.strip().lower() for entry in text.split(",") if entry.strip()]


def _matches(text: str, start: str, end: str) -> bool:
    return len(text) >= len(start) + len(end) and text.startswith(start) and text.endswith(end)


def _bare(host: str) -> str:
    """The host without its port, brackets, and the dot of a full name."""
    name = host.strip().lower()
    if not name.startswith("[") and name.count(":") > 1:  # an IPv6 address as flags give it
        return name
    name = _PORT.sub("", name)
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name.removesuffix(".")


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches what listens there."""
    return _is_loopback(_bare(address))


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = IPv6Address(host) if ":" in host else IPv4Address(host)
    except AddressValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
