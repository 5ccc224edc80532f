"""Calls of building blocks that are not built here, beside daprd where they are not configured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from tests.support.configured import MEMORY, ours, samples, the_real
from tests.support.recorded import data
from tests.support.sidecar import Daprd, Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.recorded import Recorded

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
    ("ScheduleJob", b"\n\0"),
    ("ScheduleJob", b"\n\3\n\1j"),
    ("ScheduleJob", b"\n\6\n\1j\x12\1@"),
    ("ScheduleJob", b"\n\6\n\1j\x22\x011"),
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
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    with Sidecar(tmp_path_factory.mktemp("blocks"), [MEMORY]) as server, grpc.insecure_channel(server.address) as made:
        yield made


@pytest.fixture(scope="module")
def to_daprd(daprd_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    folder = tmp_path_factory.mktemp("blocks")
    with Daprd(daprd_binary, folder, [MEMORY]) as server, grpc.insecure_channel(server.address) as made:
        yield made


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


@pytest.mark.parametrize(("method", "message"), CALLS, ids=lambda value: value if isinstance(value, str) else "")
def test_the_answer_is_that_of_daprd_without_a_component(
    channel: grpc.Channel, method: str, message: bytes, recorded: Recorded
) -> None:
    """A client of such a building block learns the same, in the same words, from either sidecar."""
    theirs = recorded(f"{method} {message!r}", lambda to_daprd: answer(to_daprd, method, message), of="to_daprd")

    assert data(answer(channel, method, message)) == theirs


def test_the_calls_are_counted_as_by_daprd(tmp_path: Path, grpc_server: str, recorded: Recorded) -> None:
    """Whoever watches the metrics sees a client that asks in vain, and for what."""
    text = "spec: {metric: {recordErrorCodes: true}}"

    def counted(server: Sidecar) -> dict[str, dict[str, float]]:
        with server, grpc.insecure_channel(server.address) as channel:
            for method, message in CALLS:
                answer(channel, method, message)
            return {name: {"/".join(of): n for of, n in samples(server, name).items()} for name in COUNTED}

    theirs = recorded(
        "what is counted", lambda daprd_binary: counted(the_real(daprd_binary, tmp_path, text)), of="daprd_binary"
    )
    # daprd counts an error there although it answers the call
    in_vain = {**theirs["dapr_error_code_total"]}
    in_vain.pop("configuration/ERR_CONFIGURATION_UNSUBSCRIBE")

    mine = counted(ours(tmp_path, text, grpc_server=grpc_server))
    assert mine == {**theirs, "dapr_error_code_total": in_vain}


def test_a_service_that_nobody_serves(channel: grpc.Channel) -> None:
    """An invocation names the service; daprd's text depends on the network that it asks."""
    code, text, _ = answer(channel, "InvokeService", NAMED)
    assert (code, text) == (grpc.StatusCode.INTERNAL, "failed to invoke, id: nm, err: couldn't find service: nm")
