"""Calls of building blocks that are not built here, beside daprd where they are not configured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from tests.support.components import component
from tests.support.configured import ours, samples, the_real
from tests.support.sidecar import Daprd, Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMED = b"\n\2nm"  # field 1, a text or a message: most requests begin with the component's name
TWO = b"\n\2nm\x12\2id"
VERSIONS = ("", "Alpha1")
WORKFLOW = ("Start", "Get", "Purge", "Terminate", "Pause", "Resume", "RaiseEvent")
SUBTLE = ("GetKey", "Encrypt", "Decrypt", "WrapKey", "UnwrapKey", "Sign", "Verify")
METHODS = [
    "PublishEvent",
    "BulkPublishEvent",
    "BulkPublishEventAlpha1",
    "InvokeBinding",
    "GetSecret",
    "GetBulkSecret",
    "TryLockAlpha1",
    "UnlockAlpha1",
    "ConverseAlpha1",
    "ConverseAlpha2",
    *(f"{call}Configuration{version}" for call in ("Get", "Subscribe", "Unsubscribe") for version in VERSIONS),
    *(f"{call}{version}" for call in ("GetJob", "DeleteJob", "DeleteJobsByPrefix", "ListJobs") for version in VERSIONS),
    *(f"{call}Workflow{version}1" for call in WORKFLOW for version in ("Alpha", "Beta")),
    *(f"Subtle{call}Alpha1" for call in SUBTLE),
]
CALLS = [(method, message) for method in METHODS for message in (b"", NAMED)]
CALLS += [
    ("EncryptAlpha1", b""),
    ("DecryptAlpha1", b""),
    ("ScheduleJob", b""),
    ("SubscribeTopicEventsAlpha1", b""),
    ("InvokeService", b""),
    ("UnsubscribeConfiguration", TWO),
    ("InvokeBinding", b'\n\2nm"\3get'),
    ("TryLockAlpha1", b"\n\2nm \x0a"),
    ("NeverHeardOf", b""),
    ("PublishEvent", b"\xff"),
    ("/dapr.proto.runtime.v1.Other/Call", b""),
    ("/dapr.proto.internals.v1.ServiceInvocation/CallLocal", b""),
    ("/dapr.proto.common.v1.Other/Call", b""),
]
COUNTED = ("dapr_error_code_total", "dapr_grpc_io_server_completed_rpcs")


@pytest.fixture(scope="module")
def both(daprd_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[grpc.Channel, grpc.Channel]]:
    folder = tmp_path_factory.mktemp("blocks")
    components = [component("mem", "state.in-memory")]
    with (
        Sidecar(folder, components) as ours,
        Daprd(daprd_binary, folder, components) as daprd,
        grpc.insecure_channel(ours.address) as our_channel,
        grpc.insecure_channel(daprd.address) as their_channel,
    ):
        yield our_channel, their_channel


def answer(channel: grpc.Channel, method: str, message: bytes) -> Any:
    """The bytes of the answer, or the error's code, text and reasons."""
    call = channel.stream_stream(method if method.startswith("/") else f"/dapr.proto.runtime.v1.Dapr/{method}")
    try:
        return next(call(iter([message]), timeout=20))
    except grpc.RpcError as error:
        return error.code(), error.details(), _details(error)


def _details(error: Any) -> list[Any]:
    text = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    found: list[Any] = []
    for packed in status_pb2.Status.FromString(text).details if text else ():
        info, resource = error_details_pb2.ErrorInfo(), error_details_pb2.ResourceInfo()
        if packed.Unpack(info):
            found.append((info.reason, dict(info.metadata)))
        elif packed.Unpack(resource):
            found.append((resource.resource_type, resource.resource_name))
    return found


@pytest.mark.oracle
@pytest.mark.parametrize(("method", "message"), CALLS, ids=lambda value: value if isinstance(value, str) else "")
def test_the_answer_is_that_of_daprd_without_a_component(
    both: tuple[grpc.Channel, grpc.Channel], method: str, message: bytes
) -> None:
    """A client of such a building block learns the same, in the same words, from either sidecar."""
    ours, theirs = both

    assert answer(ours, method, message) == answer(theirs, method, message)


@pytest.mark.oracle
def test_the_calls_are_counted_as_by_daprd(tmp_path: Path, grpc_server: str, daprd_binary: Path) -> None:
    """Whoever watches the metrics sees a client that asks in vain, and for what."""
    (tmp_path / "theirs").mkdir()
    text = "spec: {metric: {recordErrorCodes: true}}"
    with (
        ours(tmp_path, text, grpc_server=grpc_server) as sidecar,
        the_real(daprd_binary, tmp_path / "theirs", text) as daprd,
    ):
        for each in (sidecar, daprd):
            with grpc.insecure_channel(each.address) as channel:
                for method, message in CALLS:
                    answer(channel, method, message)
        mine, theirs = [{name: samples(each, name) for name in COUNTED} for each in (sidecar, daprd)]

    # daprd counts an error there although it answers the call
    theirs["dapr_error_code_total"].pop(("configuration", "ERR_CONFIGURATION_UNSUBSCRIBE"))
    assert mine == theirs


@pytest.mark.oracle
def test_a_service_that_nobody_serves(both: tuple[grpc.Channel, grpc.Channel]) -> None:
    """An invocation names the service; daprd's text depends on the network that it asks."""
    ours, _ = both

    code, text, _ = answer(ours, "InvokeService", NAMED)
    assert (code, text) == (grpc.StatusCode.INTERNAL, "failed to invoke, id: nm, err: couldn't find service: nm")
