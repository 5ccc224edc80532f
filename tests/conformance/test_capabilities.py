"""What metadata say that a store can do, beside daprd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.http import ask
from tests.support.sidecar import Daprd, Sidecar

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.recorded import Recorded
    from tests.support.stores import Servers


def test_every_store_can_what_daprd_says(tmp_path: Path, servers_of_stores: Servers, recorded: Recorded) -> None:
    """Names, types, versions and capabilities, in order; and queries, which every store answers here."""
    components = servers_of_stores.every(tmp_path, "capabilities", 6)

    def told(server: Sidecar) -> list[object]:
        with server:
            shown = ask(server.http_port, "GET", "/v1.0/metadata").json["components"]
        return sorted([*each.values()] for each in shown)

    theirs = recorded("components", lambda binary: told(Daprd(binary, tmp_path, components)), of="daprd_binary")

    for capabilities in (value for each in theirs for value in each if isinstance(value, list)):
        if "QUERY_API" not in capabilities:
            capabilities.insert(capabilities.index("ACTOR"), "QUERY_API")
    assert told(Sidecar(tmp_path, components)) == theirs
