"""How long the headers of a gRPC request may be: 64 KiB, or twice --read-buffer-size; beyond it the call alone ends."""

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
        ((), 70_000, "RESOURCE_EXHAUSTED"),
        ((), 200_000, "RESOURCE_EXHAUSTED"),
        (("--read-buffer-size", "64Ki"), 120_000, "OK"),
        (("--read-buffer-size", "64Ki"), 140_000, "RESOURCE_EXHAUSTED"),
    ],
)
def test_headers_beyond_the_limit_are_refused(
    flags: tuple[str, ...], octets: int, expected: str, tmp_path: Path
) -> None:
    """The call ends, and says why."""
    with Sidecar(tmp_path, COMPONENTS, flags=flags) as sidecar:
        assert outcome(sidecar, octets) == expected


@pytest.mark.parametrize("octets", [70_000, 100_000, 200_000])
def test_others_on_the_connection_notice_nothing(octets: int, tmp_path: Path) -> None:
    """The calls of a channel share one connection: what one of them does wrong is not theirs to pay."""
    long = [("x", "v" * octets)]
    with Sidecar(tmp_path, COMPONENTS) as sidecar, grpc.insecure_channel(sidecar.address, NEVER_TOLD) as channel:
        dapr = dapr_pb2_grpc.DaprStub(channel)
        calls = [
            dapr.GetMetadata.future(empty_pb2.Empty(), metadata=long if number == 10 else (), timeout=30)
            for number in range(20)
        ]
        codes = [call.code().name for call in calls]

    assert codes == ["OK"] * 10 + ["RESOURCE_EXHAUSTED"] + ["OK"] * 9


def test_daprd_takes_more(daprd_binary: Path, tmp_path: Path) -> None:
    """4 MiB, unless told otherwise."""
    with Daprd(daprd_binary, tmp_path, COMPONENTS) as daprd:
        assert outcome(daprd, 70_000) == "OK"
