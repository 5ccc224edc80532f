"""A client that knows nothing but the address: it learns the schema by reflection, as grpcurl does, and calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.sidecar import Sidecar

DAPR = "dapr.proto.runtime.v1.Dapr"
HEALTH = "grpc.health.v1.Health"


class Curious:
    """Calls methods by name, with requests and answers as JSON-like dicts."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address)
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = descriptor_pool.DescriptorPool(self.database)

    def call(self, service: str, method: str, request: dict[str, Any]) -> dict[str, Any]:
        described = self.pool.FindServiceByName(service).methods_by_name[method]
        asked, answer = (
            message_factory.GetMessageClass(each) for each in (described.input_type, described.output_type)
        )
        path = f"/{service}/{method}"
        send = self.channel.unary_unary(
            path, request_serializer=asked.SerializeToString, response_deserializer=answer.FromString
        )
        reply: dict[str, Any] = json_format.MessageToDict(send(json_format.ParseDict(request, asked()), timeout=10))
        return reply


@pytest.fixture
def curious(sidecar: Sidecar) -> Iterator[Curious]:
    client = Curious(sidecar.address)
    with client.channel:
        yield client


def test_the_services_are_listed(curious: Curious) -> None:
    """Dapr, health, the administration and both versions of reflection name themselves."""
    assert set(curious.database.get_services()) == {
        DAPR,
        HEALTH,
        *(f"dapr_state.admin.v1.{each}" for each in ("Actors", "Runtime", "State")),
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }


def test_state_is_saved_and_read_without_any_stub(curious: Curious) -> None:
    """The schema that is told suffices for calling."""
    saved = curious.call(
        DAPR, "SaveState", {"storeName": "mem", "states": [{"key": "reflected", "value": "aGVsbG8=", "metadata": {}}]}
    )
    found = curious.call(DAPR, "GetState", {"storeName": "mem", "key": "reflected"})

    assert saved == {}
    assert found["data"] == "aGVsbG8="


@pytest.mark.parametrize("service", ["", DAPR, HEALTH])
def test_health_is_told_and_described(service: str, curious: Curious) -> None:
    """The server, the Dapr service and the health service itself are serving; its schema is there too."""
    assert curious.call(HEALTH, "Check", {"service": service}) == {"status": "SERVING"}


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_both_versions_of_reflection_answer(version: str, curious: Curious) -> None:
    """Newer clients ask for v1, older ones for v1alpha; the messages are the same."""
    ask = curious.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    question = reflection_pb2.ServerReflectionRequest(file_containing_symbol=f"{DAPR}.SaveState")
    (answer,) = ask(iter([question]), timeout=10)

    assert b"SaveStateRequest" in b"".join(answer.file_descriptor_response.file_descriptor_proto)


@pytest.mark.parametrize("service", [DAPR, HEALTH, "grpc.reflection.v1.ServerReflection"])
def test_every_listed_service_can_be_described(service: str, curious: Curious) -> None:
    """The file of each service is found with all that it imports."""
    assert curious.pool.FindServiceByName(service).methods
