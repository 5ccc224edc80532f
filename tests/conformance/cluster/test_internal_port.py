"""The internal port as a peer sees it: ours and daprd's answer the same requests alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from dapr_state_proto.common.v1.common_pb2 import InvokeRequest
from dapr_state_proto.internals.v1.apiversion_pb2 import V1
from dapr_state_proto.internals.v1.reminders_pb2 import Reminder
from dapr_state_proto.internals.v1.service_invocation_pb2 import Actor, InternalInvokeRequest, ListStringValue
from dapr_state_proto.internals.v1.service_invocation_pb2_grpc import ServiceInvocationStub
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from tests.support import oracle
from tests.support.cluster import TYPE, Member, wait_connected
from tests.support.control_plane import OwnPlacement, Placement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BYTES, STRING = (f"type.googleapis.com/google.protobuf.{name}Value" for name in ("Bytes", "String"))
ERROR = "error invoke actor method: "


@pytest.fixture(scope="module", params=["ours", pytest.param("daprd", marks=pytest.mark.oracle)])
def member(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    """A sidecar alone in its cluster."""
    folder = tmp_path_factory.mktemp("member")
    is_ours = request.param == "ours"
    service = OwnPlacement(folder) if is_ours else Placement(oracle.program("placement"), folder)
    binary = None if is_ours else oracle.program("daprd")
    with service, Member(folder, service.address, daprd=binary) as member:
        wait_connected(member)
        yield member


def ask(member: Member, method: str, request: Any) -> tuple[str, Any]:
    """The code's name, and the answer or the text."""
    with grpc.insecure_channel(member.name) as channel:
        call = getattr(ServiceInvocationStub(channel), method)  # type: ignore[arg-type]  # ours are for grpc.aio
        try:
            answer = call(request, timeout=20)
            return "OK", list(answer) if method.endswith("Stream") else answer
        except grpc.RpcError as error:
            return error.code().name, error.details()  # type: ignore[attr-defined]  # a call is one, too


def invocation(**changes: Any) -> InternalInvokeRequest:
    fields = {
        "ver": V1,
        "actor": Actor(actor_type=TYPE, actor_id="1"),
        "message": InvokeRequest(method="m", data={"value": b"body"}, content_type="text/x"),
        **changes,
    }
    return InternalInvokeRequest(**{name: value for name, value in fields.items() if value is not None})


@pytest.mark.parametrize(
    ("rule", "request_", "answer"),
    [
        ({}, {"ver": 0}, ("UNIMPLEMENTED", "Unsupported spec version: 0")),
        ({}, {"ver": 2}, ("UNIMPLEMENTED", "Unsupported spec version: 2")),
        (
            {},
            {"message": None},
            ("INTERNAL", f"{ERROR}failed to create InvokeMethodRequest: field Message is nil"),
        ),
        ({"status": 404}, {}, ("INTERNAL", f"{ERROR}actor method not found: actors/{TYPE}/1/method/m")),
        ({"status": 201, "body": "b"}, {}, ("INTERNAL", f"{ERROR}error from actor service: (201) b")),
        ({"status": 500, "body": "b"}, {}, ("INTERNAL", f"{ERROR}error from actor service: (500) b")),
    ],
)
def test_a_call_that_fails_has_daprds_words(
    member: Member, rule: Mapping[str, object], request_: Mapping[str, object], answer: tuple[str, str]
) -> None:
    """By some of them callers know what to do next."""
    member.app.obey({"match": "/method/", **rule})

    assert ask(member, "CallActor", invocation(**request_)) == answer


def test_a_call_that_is_answered(member: Member) -> None:
    """With a status, the application's headers in Go's letters, and its body beside its type."""
    member.app.obey({"match": "/method/", "headers": [["x-mine", "a"], ["content-type", "text/y"]], "body": "back"})
    code, answer = ask(member, "CallActor", invocation())

    assert code == "OK"
    assert (answer.status.code, answer.message.data.value, answer.message.content_type) == (200, b"back", "text/y")
    assert answer.message.data.type_url == ""
    assert [*answer.headers["X-Mine"].values] == ["a"]


def test_what_the_application_is_shown_of_a_call(member: Member) -> None:
    """All lines of a header, but not what belongs to a connection; the content type of the message is the one."""
    member.app.obey()
    member.app.forget()
    metadata = {
        "x-many": ListStringValue(values=["a", "b"]),
        "Connection": ListStringValue(values=["close"]),
        "X-Some-bin": ListStringValue(values=["AA=="]),
        "Content-Type": ListStringValue(values=["text/other"]),
        "Dapr-Api-Token": ListStringValue(values=["t"]),
    }
    message = InvokeRequest(
        method="do/it", data={"value": b"body"}, content_type="text/x", http_extension={"querystring": "q=1"}
    )
    code, _ = ask(member, "CallActor", invocation(metadata=metadata, message=message))
    (seen,) = member.app.seen("/method/")

    assert code == "OK"
    assert (seen.method, seen.target, seen.body) == ("PUT", f"/actors/{TYPE}/1/method/do/it?q=1", "body")
    assert sorted(value for name, value in seen.headers if name == "X-Many") == ["a", "b"]
    assert [seen.header(name) for name in ("Content-Type", "X-Dapr-Remote", "X-Some-bin")] == ["text/x", "true", None]


def reminder(**changes: Any) -> Reminder:
    return Reminder(**{"actor_type": TYPE, "actor_id": "1", "name": "r", **changes})


def wrapped(kind: str, value: bytes | str) -> dict[str, object]:
    packed = BytesValue(value=value) if isinstance(value, bytes) else StringValue(value=value)
    return {"type_url": kind, "value": packed.SerializeToString()}


@pytest.mark.parametrize(
    ("rule", "answer"),
    [
        ({"status": 500, "body": "b"}, ("UNKNOWN", "error from actor service: (500) b")),
        ({"status": 404}, ("UNKNOWN", f"actor method not found: actors/{TYPE}/1/method/remind/r")),
        ({"headers": [["X-DaprErrorResponseHeader", "true"]]}, ("UNKNOWN", "actor error with details in body")),
        ({"headers": [["X-DaprReminderCancel", "true"]]}, ("UNKNOWN", "reminder has been canceled")),
    ],
)
def test_a_reminder_that_fails_has_daprds_words(
    member: Member, rule: Mapping[str, object], answer: tuple[str, str]
) -> None:
    """Without the sentence around it that a call has."""
    member.app.obey({"match": "/remind/", **rule})

    assert ask(member, "CallActorReminder", reminder()) == answer


@pytest.mark.parametrize(
    ("given", "body"),
    [
        ({"data": wrapped(BYTES, b'{"a": 1}')}, '{"data":{"a":1},"dueTime":"","period":""}'),
        ({"data": wrapped(STRING, "s"), "due_time": "2s"}, '{"data":"s","dueTime":"2s","period":""}'),
        ({"period": "PT1S"}, '{"dueTime":"","period":"PT1S"}'),
    ],
)
def test_a_reminder_arrives_as_json(member: Member, given: Mapping[str, object], body: str) -> None:
    """Its data is the JSON of the sender."""
    member.app.obey()
    member.app.forget()
    code, _ = ask(member, "CallActorReminder", reminder(**given))
    (seen,) = member.app.seen("/remind/r")

    assert code == "OK"
    assert "".join(seen.body.split()) == body


def test_data_that_is_no_json_is_refused(member: Member) -> None:
    """The application is not asked."""
    member.app.obey()
    member.app.forget()
    code, text = ask(member, "CallActorReminder", reminder(data=wrapped(BYTES, b"{no")))

    assert code == "UNKNOWN"
    assert text.startswith("json: error calling MarshalJSON")
    assert member.app.seen("/remind/") == []
