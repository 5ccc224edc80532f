"""The way to an actor that lives elsewhere: how often it is looked for, and what the caller is told in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dapr_state.actors.placement.base import Claim, Placement
from dapr_state.actors.router import AGAIN_AFTER, ActorRouter, AgainError, RemoteError
from dapr_state.actors.runtime import ActorRuntime
from dapr_state.app.model import ActorCall, ActorId, AppAnswer
from tests.support.unhurried import Unhurried

if TYPE_CHECKING:
    from dapr_state.app.model import Trigger

CALL = ActorCall(ActorId("cart", "1"), "m", b"", (), "")


class Elsewhere(Placement):
    """Each time that it is asked it names another sidecar."""

    def __init__(self) -> None:
        self.asked = 0

    def lookup_now(self, _: ActorId) -> Claim:
        self.asked += 1
        return Claim(f"10.0.0.{self.asked}:1", "app")

    async def lookup(self, actor: ActorId) -> Claim:
        return self.lookup_now(actor)


class Moving(Elsewhere):
    """Where it lives is not known yet; it was at a sidecar that is named."""

    def lookup_now(self, _: ActorId) -> None:  # type: ignore[override]  # it is not known
        return None

    async def lookup(self, actor: ActorId) -> Claim:
        return super().lookup_now(actor)

    def before(self, _: ActorId) -> Claim:
        return Claim("10.0.0.0:1", "app")


class Peers:
    """They answer with these errors, and then with an answer."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked: list[str] = []

    async def invoke(self, claim: Claim, _: ActorCall) -> AppAnswer:
        self.asked.append(claim.address)
        if self.errors:
            raise self.errors.pop(0)
        return AppAnswer()

    async def deliver_reminder(self, claim: Claim, _: Trigger) -> AppAnswer:
        return await self.invoke(claim, CALL)

    deliver_timer = deliver_reminder


def again(text: str) -> AgainError:
    return AgainError(RemoteError(14, "Unavailable", text))


async def test_a_peer_that_is_away_is_looked_for_anew() -> None:
    """Each time where placement says by then."""
    peers, clock = Peers(again("a"), again("b")), Unhurried()
    router = ActorRouter(ActorRuntime(has_app=False), Elsewhere(), peers, clock)

    assert await router.invoke(CALL) == AppAnswer()
    assert peers.asked == ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]
    assert clock.pauses == [*AGAIN_AFTER[:2]]


async def test_it_is_looked_for_five_times_more_and_never_again() -> None:
    """Within as many seconds as daprd, and in its words."""
    peers, clock = Peers(*(again(f"number {number}") for number in range(10))), Unhurried()
    router = ActorRouter(ActorRuntime(has_app=False), Elsewhere(), peers, clock)

    with pytest.raises(RemoteError) as raised:
        await router.invoke(CALL)
    assert raised.value.details == (
        "failed to invoke target 10.0.0.6:1 after 5 retries. Error: rpc error: code = Unavailable desc = number 5"
    )
    assert (raised.value.code, len(peers.asked)) == (14, 6)
    assert sum(clock.pauses) == 5


async def test_what_a_peer_says_of_the_application_is_final() -> None:
    """It is not asked again: the method may have run."""
    peers = Peers(RemoteError(13, "Internal", "error invoke actor method: ill"))
    router = ActorRouter(ActorRuntime(has_app=False), Elsewhere(), peers, Unhurried())

    with pytest.raises(RemoteError, match="ill"):
        await router.invoke(CALL)
    assert len(peers.asked) == 1


@pytest.mark.parametrize(
    ("errors", "headers", "asked"),
    [
        ([], [("dapr-reentrancy-id", "x")], ["10.0.0.0:1"]),
        ([again("moved")], [("dapr-reentrancy-id", "x")], ["10.0.0.0:1", "10.0.0.1:1"]),
        ([again("moved"), again("moved")], [("dapr-reentrancy-id", "x")], ["10.0.0.0:1", "10.0.0.1:1", "10.0.0.2:1"]),
        ([], [], ["10.0.0.1:1"]),
    ],
    ids=["joins", "the turn is over", "asked once", "of no turn"],
)
async def test_while_an_actor_moves_its_own_calls_go_where_it_was(
    errors: list[Exception], headers: list[tuple[str, str]], asked: list[str]
) -> None:
    """The round waits for its turn to end, and that for this call; all others wait for the round."""
    peers = Peers(*errors)
    router = ActorRouter(ActorRuntime(has_app=False), Moving(), peers, Unhurried())
    await router.invoke(ActorCall(CALL.actor, "m", b"", tuple(headers), ""))

    assert peers.asked == asked
