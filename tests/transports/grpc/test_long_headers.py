"""How long the headers of a gRPC request may be: 64 KiB, or twice --read-buffer-size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from dapr_state_proto.runtime.v1 import dapr_pb2_grpc
from google.protobuf import empty_pb2

from tests.support.components import component
from tests.support.sidecar import Daprd, Sidecar

if TYPE_CHECKING:
    from pathlib import Path

COMPONENTS = [component("mem", "state.in-memory")]
NEVER_TOLD = [("grpc.max_metadata_size", 1 << 24)]  # how long an answer's may be


def outcome(sidecar: Sidecar, octets: int) -> str:
    """How a call with metadata of so many octets ends, in values of 1 kB each."""
    metadata = [("x", "v" * 1_000)] * (octets // 1_000)
    with grpc.insecure_channel(sidecar.address, NEVER_TOLD) as channel:
        try:
            dapr_pb2_grpc.DaprStub(channel).GetMetadata(empty_pb2.Empty(), metadata=metadata, timeout=30)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


@pytest.mark.parametrize(
    ("flags", "octets", "expected"),
    [
        ((), 60_000, "OK"),
        ((), 70_000, "UNAVAILABLE"),
        (("--read-buffer-size", "64Ki"), 120_000, "OK"),
        (("--read-buffer-size", "64Ki"), 140_000, "UNAVAILABLE"),
    ],
)
def test_headers_beyond_the_limit_are_refused(
    flags: tuple[str, ...], octets: int, expected: str, tmp_path: Path
) -> None:
    """A header block is not read beyond the limit, so its connection is of no more use: the client opens another."""
    with Sidecar(tmp_path, COMPONENTS, flags=flags) as sidecar:
        assert outcome(sidecar, octets) == expected


def test_daprd_takes_more(daprd_binary: Path, tmp_path: Path) -> None:
    """4 MiB, unless told otherwise."""
    with Daprd(daprd_binary, tmp_path, COMPONENTS) as daprd:
        assert outcome(daprd, 70_000) == "OK"
