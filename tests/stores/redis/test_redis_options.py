"""The metadata of a redis component: daprd's rules and daprd's texts."""

from __future__ import annotations

import re

import pytest

from dapr_state.resources.properties import Properties, PropertiesError
from dapr_state.stores.redis import options
from tests.stores.redis.conftest import create

CLIENT = "redis client configuration error: "
DECODING = CLIENT + "decode failed. 1 error(s) decoding:\n\n* error decoding "


@pytest.mark.parametrize(
    ("properties", "address"),
    [
        ({}, "localhost:6379"),
        ({"redisHost": "h"}, "h:6379"),
        ({"redisHost": "h", "redisPort": "7000"}, "h:7000"),
        ({"redisHost": "h", "redisPort": "0"}, "h:6379"),
        ({"redisHost": "h:7000"}, "h:7000"),
        ({"redisHost": "h:7000", "redisPort": "7000"}, "h:7000"),
        ({"redisHost": "::1", "redisPort": "7000"}, "[::1]:7000"),
        ({"redisHost": "[::1]:7000"}, "[::1]:7000"),
        ({"redisHost": "a, b"}, "a:6379,b:6379"),
        ({"redisHost": "/run/redis.sock"}, "/run/redis.sock:6379"),
    ],
)
def test_the_address_has_a_port(properties: dict[str, str], address: str) -> None:
    """Every host gets redisPort or 6379 unless it brings its own, the path of a unix socket included."""
    assert options.read(Properties(properties)).address == address


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, (5.0, 3.0, 3.0)),
        ({"readTimeout": "1s"}, (5.0, 1.0, 1.0)),
        ({"dialTimeout": "250", "readTimeout": "2m", "writeTimeout": "1.5s"}, (0.25, 120.0, 1.5)),
        ({"dialTimeout": "-1", "readTimeout": "-1"}, (None, None, None)),
        ({"dialTimeout": "0", "readTimeout": "0s"}, (5.0, 3.0, 3.0)),
    ],
)
def test_timeouts(properties: dict[str, str], expected: tuple[float | None, ...]) -> None:
    """Bare numbers are milliseconds, negative ones no limit, and writing waits as long as reading."""
    found = options.read(Properties(properties))

    assert (found.dial_timeout, found.read_timeout, found.write_timeout) == expected


@pytest.mark.parametrize(
    ("properties", "retries", "interval"),
    [
        ({}, 3, 0.512),
        ({"redisMaxRetries": "0"}, 3, 0.512),
        ({"redisMaxRetries": "-1"}, 0, 0.512),
        ({"redisMaxRetries": "7", "maxRetries": "x"}, 7, 0.512),
        ({"redisMaxRetries": "", "maxRetries": "5"}, 5, 0.512),
        ({"maxRetries": "5"}, 5, 0.512),
        ({"MaxRetries": "x"}, 3, 0.512),
        ({"redisMinRetryInterval": "100ms"}, 3, 0.1),
        ({"redisMaxRetryInterval": "3s"}, 3, 2.0),
        ({"redisMinRetryInterval": "1s", "redisMaxRetryInterval": "3s"}, 3, 1.0),
        ({"maxRetryBackoff": "50000000"}, 3, 0.05),
        ({"maxRetryBackoff": "x", "redisMinRetryInterval": "1"}, 3, 0.001),
    ],
)
def test_retries(properties: dict[str, str], retries: int, interval: float) -> None:
    """The names of today, and those of old in exactly their case; the longest interval caps the shortest."""
    found = options.read(Properties(properties))

    assert (found.retries, found.retry_interval) == (retries, pytest.approx(interval))


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        ({"enableTLS": "yes"}, DECODING + "'enableTLS': invalid bool \"yes\""),
        ({"redisDB": "x"}, DECODING + "'redisDB': invalid int \"x\""),
        ({"redisPort": ""}, DECODING + "'redisPort': invalid uint16 \"\""),
        ({"redisPort": "99999"}, DECODING + "'redisPort': invalid uint16 \"99999\""),
        ({"ttlInSeconds": ""}, DECODING + "'ttlInSeconds': invalid int \"\""),
        ({"maxRetries": "x"}, DECODING + "'redisMaxRetries': invalid int \"x\""),
        ({"dialTimeout": ""}, DECODING + '\'dialTimeout\': invalid Duration "": time: invalid duration ""'),
        ({"poolSize": "x"}, DECODING + "'poolSize': invalid int \"x\""),
        ({"maxConnAge": "x"}, DECODING + '\'maxConnAge\': invalid Duration "x": time: invalid duration "x"'),
        (
            {"maxRetryBackoff": "2s"},
            'redis store error: can\'t parse maxRetryBackoff field: strconv.ParseInt: parsing "2s": invalid syntax',
        ),
        (
            {"redisHost": "h:1", "redisPort": "2"},
            CLIENT + 'redis host "h:1" already contains port 1, but redisPort is set to 2; '
            "either remove the port from redisHost or remove the redisPort setting",
        ),
        (
            {"enableTLS": "true", "clientCert": "abc", "clientKey": "abc"},
            CLIENT + "tls: failed to find any PEM data in certificate input",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_the_text_of_daprd(properties: dict[str, str], text: str) -> None:
    """Nobody who moves from daprd has to learn new messages."""
    with pytest.raises(PropertiesError) as refused:
        create(properties.pop("redisHost", "h"), **properties)

    assert str(refused.value) == text


@pytest.mark.parametrize(
    ("name", "value"),
    [("useEntraID", "true")],
)
def test_what_is_not_supported_is_refused_by_name(name: str, value: str) -> None:
    """A component that asks for more than there is does not start and fall short."""
    with pytest.raises(PropertiesError, match=re.escape(name)):
        options.read(Properties({name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("redisType", "node"),
        ("redisType", "sentinel"),
        ("failover", "false"),
        ("queryIndexes", '[{"name":"n"}]'),
        ("odd", "x"),
    ],
)
def test_what_daprd_takes_for_a_single_node_is_one(name: str, value: str) -> None:
    """Any other redisType, features that are off, indexes that no query needs, and unknown names change nothing."""
    assert options.read(Properties({name: value})) == options.Options()


def test_a_cluster_has_one_database() -> None:
    """As in daprd, which heeds no other; the addresses are those of some nodes."""
    found = options.read(Properties({"redisType": "cluster", "redisDB": "3", "redisHost": "a,b:1"}))

    assert (found.cluster, found.database, found.addresses) == (True, 0, ["a:6379", "b:1"])


def test_sentinels_are_asked_where_failover_says_so() -> None:
    """With their own user and password; whatever the type is, and never without it."""
    fields = {"sentinelMasterName": "m", "sentinelUsername": "u", "sentinelPassword": "p", "redisHost": "a, b:1"}
    found = options.read(Properties({**fields, "failover": "true", "redisType": "cluster"}))

    assert found.sentinel == options.Sentinel("m", "u", "p")
    assert (found.addresses, found.cluster) == (["a:6379", "b:1"], False)
    assert options.read(Properties({**fields, "redisHost": "a"})) == options.Options(address="a:6379")


def test_secrets_are_not_shown() -> None:
    """The settings may be logged."""
    found = options.read(
        Properties(
            {
                "redisPassword": "hush",
                "clientCert": "hush",
                "clientKey": "hush",
                "sentinelPassword": "hush",
                "failover": "true",
            }
        )
    )

    assert "hush" not in repr(found)


@pytest.mark.parametrize(("text", "ttl"), [("60", 60), ("0", None), ("-1", None)])
def test_the_default_ttl(text: str, ttl: int | None) -> None:
    """A component's ttlInSeconds is for requests without one; none that is positive is none."""
    assert create("h", ttlInSeconds=text).ttl_rule.read({}) == ttl
