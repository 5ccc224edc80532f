"""Sidecars that prove who they are: certificates of the real sentry, with placement, with daprd, and among ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import pytest

from dapr_state.actors.placement.ring import Ring
from tests.support import oracle
from tests.support.cluster import Member, wait_connected
from tests.support.control_plane import Placement, Sentry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.oracle

IDS = [str(number) for number in range(40)]


class Secured:
    """A sentry and a placement service that it has signed."""

    def __init__(self, folder: Path, lifetime: str = "24h") -> None:
        self.folder = folder
        self.sentry = Sentry(folder, lifetime=lifetime)

    def __enter__(self) -> Self:
        self.sentry.__enter__()
        try:
            self.placement = Placement(oracle.program("placement"), self.folder, *self.sentry.flags)
            self.placement.__enter__()
        except BaseException:
            self.sentry.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.placement.close()
        self.sentry.close()

    def member(self, **changes: Any) -> Member:
        environment = self.sentry.environment | changes.pop("environment", {})
        return Member(
            self.folder,
            self.placement.address,
            environment=environment,
            flags=self.sentry.sidecar_flags,
            **changes,
        )


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with Secured(tmp_path_factory.mktemp("secured")) as secured:
        yield secured


@pytest.mark.parametrize("kind", ["ours", "daprd"])
def test_calls_go_both_ways(secured: Secured, kind: str) -> None:
    """Each sidecar finds placement and its peers under their names, and lets them in."""
    daprd = oracle.program("daprd") if kind == "daprd" else None
    with secured.member() as one, secured.member(daprd=daprd) as two:
        wait_connected(one, two)
        ring = Ring((one.name, two.name), 100)
        answers = {asked.call(each, body=b'"x"').code for asked in (one, two) for each in IDS}

        assert answers == {200}
        for member in (one, two):
            assert {*member.ran()} == {each for each in IDS if ring.owner(each) == member.name}
        assert "mTLS is disabled" not in one.sidecar.log()
