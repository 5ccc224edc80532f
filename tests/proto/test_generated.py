"""generated/ is what scripts/generate makes of proto/, and lives beside Dapr's own SDK."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import grpc
from dapr_state_proto import POOL
from dapr_state_proto.common.v1 import common_pb2
from dapr_state_proto.runtime.v1 import dapr_pb2, dapr_pb2_grpc, state_pb2
from google.protobuf import descriptor_pool, empty_pb2

ROOT = Path(__file__).resolve().parents[2]


def _files(folder: Path) -> dict[str, str]:
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_text() for path in paths}


def test_generated_code_is_up_to_date(tmp_path: Path) -> None:
    """Running the generator again changes nothing."""
    subprocess.run([ROOT / "scripts" / "generate", tmp_path], check=True)

    assert _files(ROOT / "generated" / "dapr_state_proto") == _files(tmp_path)


def test_the_default_pool_knows_nothing_of_ours() -> None:
    """No file of ours is in the pool that other stubs of Dapr fill."""
    default = descriptor_pool.Default()
    ours = [common_pb2.DESCRIPTOR, state_pb2.DESCRIPTOR, dapr_pb2.DESCRIPTOR]

    assert all(POOL.FindFileByName(file.name) is file for file in ours)
    for file in ours:
        try:
            found = default.FindFileByName(file.name)
        except KeyError:
            found = None
        assert found is None


def test_messages_survive_the_wire() -> None:
    """What was serialised is read back equal, nested messages included."""
    item = common_pb2.StateItem(key="k", value=b"\x00\xff", etag=common_pb2.Etag(value="1"), metadata={"a": "b"})
    request = state_pb2.SaveStateRequest(store_name="s", states=[item])

    assert state_pb2.SaveStateRequest.FromString(request.SerializeToString()) == request


async def test_a_servicer_answers_with_the_empty_message_of_protobuf() -> None:
    """Calls that return google.protobuf.Empty are answered with the ordinary class of that name."""

    class Servicer(dapr_pb2_grpc.DaprServicer):
        async def SaveState(self, request: Any, context: Any) -> empty_pb2.Empty:  # noqa: ARG002, N802 - as generated
            return empty_pb2.Empty()

    server = grpc.aio.server()
    dapr_pb2_grpc.add_DaprServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = await dapr_pb2_grpc.DaprStub(channel).SaveState(state_pb2.SaveStateRequest())
    await server.stop(None)

    assert answer == empty_pb2.Empty()


def test_the_declared_dependencies_suffice_for_the_generated_code() -> None:
    """The lowest versions that pyproject.toml admits are those that the generated modules were made for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    floors = dict(dependency.split(">=") for dependency in project["dependencies"])
    text = Path(dapr_pb2.__file__).read_text()
    protobuf = text.partition("# Protobuf Python Version: ")[2].partition("\n")[0]

    assert floors["protobuf"] == protobuf
    assert floors["grpcio"] == vars(dapr_pb2_grpc)["GRPC_GENERATED_VERSION"]
