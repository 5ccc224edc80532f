"""Reminders as jobs, and back."""

from __future__ import annotations

from typing import Any

import pytest
from dapr_state_proto.scheduler.v1 import scheduler_pb2 as pb
from google.protobuf.json_format import MessageToDict
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from dapr_state.actors.reminders import DROP, Policy, ReminderRequest
from dapr_state.actors.schedule import ScheduleError
from dapr_state.actors.scheduler import jobs
from dapr_state.app.model import ActorId
from tests.actors.scheduler.service import ACTOR, ME


def job(**fields: Any) -> dict[str, Any]:
    """What is sent of a registration."""
    request = jobs.registration(ReminderRequest(ACTOR, "n", **fields), ME)
    return {
        name: getattr(request.job, name)
        for name in ("schedule", "repeats", "due_time", "ttl")
        if request.job.HasField(name)
    }


@pytest.mark.parametrize(
    ("period", "schedule", "repeats"),
    [
        ("PT1H", "1h0m0s", None),
        ("P0DT1H", "1h0m0s", None),
        ("1h", "1h0m0s", None),
        ("PT90M", "1h30m0s", None),
        ("1m30s", "1m30s", None),
        ("500ms", "500ms", None),
        ("1.5s", "1.5s", None),
        ("24h", "24h0m0s", None),
        ("1us", "1µs", None),
        ("0h0m5s0ms", "5s", None),
        ("R5/PT2S", "2s", 5),
        ("R1/PT5S", "5s", 1),
        ("R0/PT5S", "5s", None),
        ("R5000000000/PT5S", "5s", (1 << 32) - 1),
    ],
)
def test_a_period_becomes_a_schedule(period: str, schedule: str, repeats: int | None) -> None:
    """In Go's words, as daprd sends it."""
    expected = {"schedule": f"@every {schedule}", **({"repeats": repeats} if repeats else {})}

    assert job(period=period) == expected


@pytest.mark.parametrize("period", ["PT0S", "0s", "-1s", "R4", "R4/PT0S"])
def test_a_period_that_gets_nowhere_is_due_once(period: str) -> None:
    """The scheduler would fire it without a pause."""
    assert job(period=period) == {"due_time": "0s"}
    assert job(period=period, due_time="5s", ttl="9s") == {"due_time": "5s"}


@pytest.mark.parametrize("text", ["bad", " 5s", "2024-01-01T00:00:00.5Z"])
def test_other_texts_go_as_they_are(text: str) -> None:
    """The scheduler judges them."""
    assert job(due_time=text, period="1s", ttl=text) == {"due_time": text, "ttl": text, "schedule": "@every 1s"}


@pytest.mark.parametrize(
    ("policy", "sent"),
    [
        (Policy(), None),
        (DROP, {"drop": {}}),
        (Policy(None, 0.25), {"constant": {"interval": "0.250s"}}),
        (Policy(7, 2.0), {"constant": {"interval": "2s", "maxRetries": 7}}),
        (Policy(1, -5.0), {"constant": {"interval": "0s", "maxRetries": 1}}),
    ],
)
def test_a_failure_policy_is_sent(policy: Policy, sent: object) -> None:
    """The default is the scheduler's own."""
    request = jobs.registration(ReminderRequest(ACTOR, "n", due_time="1s", policy=policy), ME)
    found = MessageToDict(request.job.failure_policy) if request.job.HasField("failure_policy") else None

    assert found == sent


def test_a_registration_says_whose_it_is() -> None:
    """With the client's own bytes as data, in the form of daprd."""
    request = jobs.registration(ReminderRequest(ACTOR, "n", due_time="1s", data=b"[1, 2]", overwrite=False), ME)
    target = request.metadata.target.actor

    assert (request.name, request.overwrite) == ("n", False)
    assert (request.metadata.app_id, request.metadata.namespace, target.type, target.id) == (
        "app",
        "default",
        "ta",
        "1",
    )
    assert request.job.data.type_url == "type.googleapis.com/google.protobuf.BytesValue"
    assert BytesValue.FromString(request.job.data.value).value == b"[1, 2]"


@pytest.mark.parametrize(
    ("actor", "name"), [(ACTOR, "a||b"), (ActorId("t||a", "1"), "n"), (ActorId("ta", "1||2"), "n"), (ACTOR, "\ud800")]
)
def test_what_the_scheduler_could_not_list_is_refused(actor: ActorId, name: str) -> None:
    """A separator in a name would make every list of the type fail."""
    with pytest.raises(ScheduleError):
        jobs.registration(ReminderRequest(actor, name, due_time="1s"), ME)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (jobs.packed(b'{"a": 1}'), b'{"a": 1}'),
        ({"type_url": jobs.STRING_VALUE, "value": StringValue(value="s").SerializeToString()}, b'"s"'),
        (None, b""),
        (jobs.packed(b"{no"), None),
        ({"type_url": "type.googleapis.com/x.Y", "value": b"1"}, None),
    ],
)
def test_data_is_shown_if_json_can_hold_it(data: Any, shown: bytes | None) -> None:
    """None: it cannot, which is an error and no lie."""
    kept = pb.Job(due_time="1s", data=data)
    if shown is None:
        with pytest.raises(ValueError, match="its data"):
            jobs.view(ACTOR, "n", kept)
    else:
        assert bytes(jobs.view(ACTOR, "n", kept).data) == shown
