"""Calls to other sidecars as messages: what headers mean is remembered, and nothing else of a call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from dapr_state_proto.internals.v1.service_invocation_pb2 import InternalInvokeRequest, InternalInvokeResponse

from dapr_state.actors import peers
from dapr_state.actors.placement.base import Claim
from dapr_state.actors.router import AgainError
from dapr_state.app.model import ActorCall, ActorId, AppAnswer
from dapr_state.transports.grpc import internal

if TYPE_CHECKING:
    from dapr_state.app.model import Headers

MANY: Headers = (("x-a", "1"), ("X-A", "2"), ("content-type", "text/x"), ("My", "ü"))


class Context:
    """Of a call without metadata."""

    def invocation_metadata(self) -> tuple[()]:
        return ()


def taken(call: ActorCall) -> ActorCall:
    """As the other sidecar takes it."""
    octets = peers._request(call)[0].SerializeToString()
    context: Any = Context()
    return internal._call(InternalInvokeRequest.FromString(octets), context)


def heard(answer: AppAnswer) -> AppAnswer:
    """As the one who has called hears it."""
    octets = internal._response(answer).SerializeToString()
    return peers._answer(InternalInvokeResponse.FromString(octets))


def test_calls_with_the_same_headers_are_each_their_own() -> None:
    """One after the other: actor, method, body and query are those of the call, headers those of all."""
    calls = [
        ActorCall(ActorId("cart", "1"), "m", b"one", MANY, "q=1"),
        ActorCall(ActorId("card", "2"), "n/n", b"", MANY),
        ActorCall(ActorId("cart", "3"), "m", b"three", ()),
    ]
    found = [taken(call) for call in calls]

    assert [(each.actor, each.method, each.body, each.query) for each in found] == [
        (call.actor, call.method, call.body, call.query) for call in calls
    ]
    own = [("Content-Type", "text/x"), ("My", "ü"), ("X-A", "1"), ("X-A", "2")]
    assert [sorted(set(each.headers) - {internal.REMOTE, ("Dapr-Api-Call", "true")}) for each in found] == [
        own,
        own,
        [],
    ]


def test_answers_with_the_same_headers_are_each_their_own() -> None:
    """A body, and none."""
    answers = [AppAnswer(MANY, b"one"), AppAnswer(MANY, b""), AppAnswer((), b"three")]
    found = [heard(answer) for answer in answers]

    assert [each.body for each in found] == [b"one", b"", b"three"]
    assert [each.header("content-type") for each in found] == ["text/x", "text/x", "application/json"]
    assert sorted(value for name, value in found[1].headers if name.lower() == "x-a") == ["1", "2"]


async def test_who_is_in_no_table_is_parted_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says nothing is waited for no longer, whenever it was met; who is another now at its address is kept."""
    monkeypatch.setattr(peers, "PROBE", 0.05)
    lines: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, line: lines.append(line), "127.0.0.1", 0)
    address = "{}:{}".format(*silent.sockets[0].getsockname())
    ways = peers.Peers(1 << 20)
    call = ActorCall(ActorId("cart", "1"), "m", b"", ())
    gone, kept = (asyncio.ensure_future(ways.invoke(Claim(address, name), call)) for name in ("before", "now"))
    await asyncio.sleep(0)
    ways.keep({address: "now"})
    with pytest.raises(AgainError):
        await gone
    is_over, known = kept.done(), repr(ways).count(address)
    await ways.close()
    await asyncio.wait([kept])
    for line in lines:
        line.close()
    silent.close()

    assert (is_over, known) == (False, 1)
    assert kept.exception() is not None
