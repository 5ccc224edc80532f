"""The worst requests for actors, whose reminders and state the place's store keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state_proto.runtime.v1 import actors_pb2

from tests.fairness.bodies import SIZE, filled, numbered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.fairness.place import Place

    Request = Callable[[Place], object]

BASE = "actors/cart/1"
LONG = {
    "hours": filled(b"1h"),
    "nothing": filled(b"0h"),
    "ISO hours": b"PT" + filled(b"1H"),
    "digits": filled(b"9"),
    "letters": filled(b"a"),
    "a time's fraction": b"2030-01-01T00:00:00." + filled(b"9") + b"Z",
}


def _texts(kind: str, field: str, text: bytes) -> Request:
    body = b'{"%b":"%b"%b}' % (field.encode(), text, b"" if field == "dueTime" else b',"dueTime":"1h"')
    return lambda place: place.http("POST", f"{BASE}/{kind}/n", body)


def _of(message: type, **fields: object) -> object:
    return message(actor_type="cart", actor_id="1", **fields)


def _invoke(method: str) -> Request:
    return lambda place: place.grpc("InvokeActor", _of(actors_pb2.InvokeActorRequest, method=method))  # type: ignore[arg-type]  # of this kind


def _active(request: Request) -> Request:
    """What only an active actor may do."""

    def act(place: Place) -> None:
        place.http("POST", f"{BASE}/method/m")
        request(place)

    return act


def _transact(form: bytes) -> Request:
    return _active(lambda place: place.http("POST", f"{BASE}/state", b"[" + numbered(form) + b"]"))


def _operations(**fields: object) -> Request:
    operations = [
        actors_pb2.TransactionalActorStateOperation(operationType="upsert", key=f"k{number}", **fields)  # type: ignore[arg-type]
        for number in range(SIZE // 24)
    ]
    message = _of(actors_pb2.ExecuteActorStateTransactionRequest, operations=operations)
    return _active(lambda place: place.grpc("ExecuteActorStateTransaction", message))  # type: ignore[arg-type]


ACTORS: Mapping[str, Callable[[], Request]] = {
    **{
        f"{kind}: {field} of {name}": lambda kind=kind, field=field, name=name: _texts(kind, field, LONG[name])  # type: ignore[misc]
        for kind in ("reminders", "timers")
        for field in ("dueTime", "period", "ttl")
        for name in LONG
    },
    "a method of dots": lambda: _invoke("." * SIZE),
    "a method of dots and slashes": lambda: _invoke("../" * (SIZE // 3)),
    "a method of slashes": lambda: _invoke("/" * SIZE),
    "a long method": lambda: _invoke("m" * SIZE),
    "a long actor": lambda: (
        lambda place: place.grpc(
            "InvokeActor", actors_pb2.InvokeActorRequest(actor_type="cart", actor_id="#" * SIZE, method="m")
        )
    ),
    "a long type": lambda: (
        lambda place: place.grpc(
            "InvokeActor", actors_pb2.InvokeActorRequest(actor_type="|" * SIZE, actor_id="1", method="m")
        )
    ),
    "a long name": lambda: (
        lambda place: place.grpc(
            "RegisterActorReminder",
            _of(actors_pb2.RegisterActorReminderRequest, name="|" * SIZE, due_time="1h"),  # type: ignore[arg-type]
        )
    ),
    "a long key": lambda: (
        lambda place: place.grpc(
            "GetActorState",
            _of(actors_pb2.GetActorStateRequest, key="|" * SIZE),  # type: ignore[arg-type]
        )
    ),
    "transaction: most operations over HTTP": lambda: _transact(b'{"operation":"upsert","request":{"key":"%d"}}'),
    "transaction: most deletes over HTTP": lambda: _transact(b'{"operation":"delete","request":{"key":"%d"}}'),
    "transaction: most operations": _operations,
    "transaction: values": lambda: _operations(value={"value": b"1"}),
    "transaction: most empty operations": lambda: _active(
        lambda place: place.grpc("ExecuteActorStateTransaction", b"\x0a\x04cart\x12\x011" + filled(b"\x1a\x00"))
    ),
}
