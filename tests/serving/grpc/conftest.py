"""One server for the tests that do it no harm, and channels to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.serving.grpc.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    import grpc


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("native")) as running:
        yield running


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    with server.channel() as open_channel:
        yield open_channel
