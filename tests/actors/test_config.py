"""What an application says that it hosts, read as daprd reads it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from dapr_state_proto.runtime.v1.actors_pb2 import SubscribeActorEventsRequestInitialAlpha1 as Initial
from google.protobuf.json_format import ParseDict

from dapr_state.actors import config
from dapr_state.actors.config import ConfigError, Registration, TypeConfig

PYTHON_SDK = (
    '{"actorIdleTimeout":"1h0m0s0ms0\u03bcs","actorScanInterval":"0h0m30s0ms0\u03bcs","drainRebalancedActors":true,'
    '"reentrancy":{"enabled":true,"maxStackDepth":32},"entitiesConfig":[{"entities":["Demo"],'
    '"actorIdleTimeout":"0h0m5s0ms0\u03bcs","drainRebalancedActors":false}],"entities":["Demo"]}'
)


def read(document: Any) -> Registration:
    text = document if isinstance(document, str) else json.dumps(document)
    return config.of_json(text.encode(), 30)


def test_what_the_python_sdk_says() -> None:
    """Its whole document, with units of two alphabets; what is said of one type inherits nothing."""
    assert read(PYTHON_SDK) == Registration({"Demo": TypeConfig(5, 2, reentrant=False)})


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"entities": ["a", "b"]}, {"a": TypeConfig(3600, 2, reentrant=False, max_depth=32), "b": TypeConfig()}),
        ({"entities": ["a", "a"]}, {"a": TypeConfig()}),
        ({"ENTITIES": ["a"], "ActorIdleTIMEOUT": "1s"}, {"a": TypeConfig(1)}),
        ({"entities": ["a"], "actorIdleTimeout": None, "drainOngoingCallTimeout": ""}, {"a": TypeConfig()}),
        ({"entities": ["a"], "actorIdleTimeout": "1.5s", "drainOngoingCallTimeout": "7s"}, {"a": TypeConfig(1.5, 7)}),
        ({"entities": ["a"], "reentrancy": {"enabled": True}}, {"a": TypeConfig(reentrant=True)}),
        (
            {"entities": ["a"], "reentrancy": {"enabled": True, "maxStackDepth": 5}},
            {"a": TypeConfig(reentrant=True, max_depth=5)},
        ),
        ({"entities": ["a"], "reentrancy": {"enabled": None, "maxStackDepth": None}}, {"a": TypeConfig()}),
        ({"entities": ["a"], "unknown": {"entities": 1}}, {"a": TypeConfig()}),
        ({"entities": None, "entitiesConfig": None}, {}),
        ({}, {}),
        ("null", {}),
        ('  {"entities":["a"]} and what follows', {"a": TypeConfig()}),
    ],
    ids=str,
)
def test_documents(document: Any, expected: dict[str, TypeConfig]) -> None:
    """Names in any case, null as nothing, what is not known as nothing, what follows as nothing."""
    assert read(document).types == expected


def test_what_is_said_of_one_type() -> None:
    """It replaces everything that is said of all types, but for the drain timeout."""
    document = {
        "entities": ["a", "b", "c"],
        "actorIdleTimeout": "10s",
        "drainOngoingCallTimeout": "5s",
        "reentrancy": {"enabled": True, "maxStackDepth": 3},
        "entitiesConfig": [
            {"entities": ["a"], "actorIdleTimeout": "20s"},
            None,
            {"entities": ["b"], "drainOngoingCallTimeout": "6s", "reentrancy": {"enabled": True}},
        ],
    }

    assert read(document).types == {
        "a": TypeConfig(20, 5),
        "b": TypeConfig(3600, 6, reentrant=True),
        "c": TypeConfig(10, 5, reentrant=True, max_depth=3),
    }


@pytest.mark.parametrize(("said", "drains"), [({}, True), ({"drainRebalancedActors": False}, False)])
def test_whether_calls_of_moving_actors_come_to_their_end(said: dict[str, bool], *, drains: bool) -> None:
    """They do unless the application says no; what is said of one type does not count."""
    document = {"entities": ["a"], "entitiesConfig": [{"entities": ["a"], "drainRebalancedActors": not drains}], **said}

    assert read(document).drains_rebalanced is drains


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("", "the application's configuration cannot be read: "),
        ("nonsense", "the application's configuration cannot be read: "),
        ('{"entities":["a"]', "the application's configuration cannot be read: "),
        ("[]", "the application's configuration cannot be read: "),
        ({"entities": "a"}, "the application's configuration cannot be read: "),
        ({"entities": ["a"], "reentrancy": {"enabled": "yes"}}, "the application's configuration cannot be read: "),
        ({"entities": ["a"], "reentrancy": {"maxStackDepth": 3.5}}, "the application's configuration cannot be read: "),
        ({"entities": ["a"], "actorIdleTimeout": 5}, "the application's configuration cannot be read: "),
        (
            {"entities": ["a"], "actorIdleTimeout": "PT5S"},
            'failed to parse default actor idle timeout: time: invalid duration "PT5S"',
        ),
        (
            {"entities": ["a"], "drainOngoingCallTimeout": "5"},
            'failed to parse drain ongoing call timeout: time: missing unit in duration "5"',
        ),
    ],
    ids=str,
)
def test_documents_that_host_nothing(document: Any, text: str) -> None:
    """What cannot be read hosts nothing, and says why."""
    with pytest.raises(ConfigError) as raised:
        read(document)

    assert str(raised.value).startswith(text)


def test_warnings(caplog: pytest.LogCaptureFixture) -> None:
    """Each in daprd's words; the types are hosted all the same."""
    caplog.set_level(logging.WARNING)
    hosted = read(
        {
            "entities": ["a"],
            "drainOngoingCallTimeout": "40s",
            "remindersStoragePartitions": 7,
            "entitiesConfig": [
                {
                    "entities": ["a", "b"],
                    "actorIdleTimeout": "soon",
                    "drainOngoingCallTimeout": "late",
                    "remindersStoragePartitions": 7,
                }
            ],
        }
    )

    assert hosted.types == {"a": TypeConfig(3600, 24)}
    assert [record.message for record in caplog.records] == [
        (
            "drainOngoingCallTimeout (40s) for global config meets or exceeds the dissemination timeout (30s); "
            "clamping to 24s to avoid blocking placement dissemination"
        ),
        "remindersStoragePartitions is deprecated and will be removed in future versions",
        "remindersStoragePartitions is deprecated and will be removed in future versions (entity: [a b])",
        "Invalid actor idle timeout value soon, using default value 1h0m0s",
        "Invalid drain ongoing call timeout value late, using default value 24s",
        "Configuration specified for non-hosted actor type: b",
    ]


def test_a_drain_is_never_clamped_below_two_seconds() -> None:
    """Where placement waits for two seconds only, the drain takes them."""
    document = json.dumps({"entities": ["a"], "drainOngoingCallTimeout": "40s"}).encode()

    assert config.of_json(document, 2).types["a"].drain_timeout == 2


def test_the_first_message_of_a_stream_says_the_same() -> None:
    """The same settings as JSON and as a message are the same configuration."""
    message = {
        "entities": ["a", "b"],
        "actorIdleTimeout": "10.5s",
        "drainOngoingCallTimeout": "5s",
        "drainRebalancedActors": False,
        "reentrancy": {"enabled": True, "maxStackDepth": 3},
        "entitiesConfig": [{"entities": ["a"], "actorIdleTimeout": "20s", "reentrancy": {"enabled": True}}],
    }

    assert config.of_stream(ParseDict(message, Initial()), 30) == read(message)
    assert config.of_stream(Initial(entities=["a"]), 30) == read({"entities": ["a"]})
