"""What a redis component says: its metadata fields, by daprd's rules (state-stores.md 1.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dapr_state.golang import strconv
from dapr_state.resources.properties import Properties, PropertiesError, StrictFields
from dapr_state.stores.ttl import lifetime

if TYPE_CHECKING:
    from collections.abc import Callable

_DEFAULT_HOST: Final = "localhost:6379"
_DEFAULT_PORT: Final = 6379
_LAST_PORT: Final = 65535
_NANOSECONDS: Final = 1e-9

# Fields of a pool of connections. There is one connection here, which all requests share: they are read, so that a
# bad value is found as daprd finds it, and change nothing.
_OF_A_POOL: Final[dict[str, Callable[[StrictFields, str], object]]] = {
    "poolSize": lambda fields, name: fields.int(name, default=None),
    "minIdleConns": lambda fields, name: fields.int(name, default=None),
    "poolTimeout": lambda fields, name: fields.duration(name, default=None),
    "maxConnAge": lambda fields, name: fields.duration(name, default=None),
    "idleTimeout": lambda fields, name: fields.duration(name, default=None),
    "idleCheckFrequency": lambda fields, name: fields.duration(name, default=None),
}
# sentinelMasterName, sentinelUsername and sentinelPassword mean nothing without `failover`, as in daprd; with it,
# redisType means nothing: reads are the master's too, as those of replicas are behind what was just written.
# redeliverInterval, processingTimeout, queueDepth, concurrency, maxLenApprox, streamTTL and consumerID are of pub/sub.


@dataclass(frozen=True, slots=True)
class Sentinel:
    """How sentinels are asked for the master."""

    master: str
    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Options:
    """The component's settings; durations in seconds, None = no limit."""

    address: str = _DEFAULT_HOST  # as daprd prints it: host:port, several with commas, or the path of a unix socket
    cluster: bool = False
    sentinel: Sentinel | None = None  # where `address` is that of sentinels
    actor_hash_tag: bool = False
    username: str = ""
    password: str = field(default="", repr=False)
    database: int = 0
    tls: bool = False
    verify: bool = True
    certificate: str = field(default="", repr=False)  # PEM, both or none
    key: str = field(default="", repr=False)
    retries: int = 3
    retry_interval: float = 0.512
    dial_timeout: float | None = 5.0
    read_timeout: float | None = 3.0
    write_timeout: float | None = 3.0
    ttl: int | None = None  # for requests without one

    @property
    def addresses(self) -> list[str]:
        """Those of sentinels, or of nodes of a cluster by which the others are found."""
        return [address for address in self.address.split(",") if address]

    @property
    def unix_path(self) -> str | None:
        return self.address if self.address.startswith("/") else None

    @property
    def host_and_port(self) -> tuple[str, int]:
        host, _, port = self.address.rpartition(":")
        if ":" in host.strip("[]") and not host.startswith("["):
            raise PropertiesError(f"address {self.address}: too many colons in address")
        if port and not re.fullmatch("[0-9]+", port):
            raise PropertiesError(f"lookup tcp/{port}: unknown port")
        if port and int(port) > _LAST_PORT:
            raise PropertiesError(f"address {port}: invalid port")
        return host.strip("[]") or "localhost", int(port or 0)


def read(properties: Properties) -> Options:
    """Raise PropertiesError with daprd's text for a wrong value, and by name for what is not supported."""
    fields = StrictFields(_with_legacy_names(properties))
    port = fields.port("redisPort", default=None)
    retries = fields.int("redisMaxRetries", default=3)
    shortest = fields.duration("redisMinRetryInterval", default=None)
    longest = fields.duration("redisMaxRetryInterval", default=0.512)
    dial = fields.duration("dialTimeout", default=0.0)
    reading = fields.duration("readTimeout", default=0.0)
    writing = fields.duration("writeTimeout", default=0.0)
    ttl = fields.int("ttlInSeconds", default=None)
    database = fields.int("redisDB", default=0)
    tls = fields.bool("enableTLS")
    insecure = fields.bool("insecureSkipTLSVerify")
    failover = fields.bool("failover")
    entra_id = fields.bool("useEntraID")
    actor_hash_tag = fields.bool("actorHashTag")
    for name, parse in _OF_A_POOL.items():
        parse(fields, name)
    try:
        fields.check()
        address = _address(properties.get("redisHost", _DEFAULT_HOST), port)
    except PropertiesError as error:
        raise PropertiesError(f"redis client configuration error: {error}") from None
    cluster = properties.get("redisType") == "cluster" and not failover  # any other text is a single node
    if entra_id:
        raise PropertiesError("redis store: not supported: useEntraID; remove it from the component")
    shortest = _backoff_in_nanoseconds(properties) if shortest is None else shortest

    certificate, key = properties.get("clientCert", ""), properties.get("clientKey", "")
    return Options(
        address=address,
        cluster=cluster,
        sentinel=_sentinel(properties) if failover else None,
        actor_hash_tag=actor_hash_tag,
        username=properties.get("redisUsername", ""),
        password=properties.get("redisPassword", ""),
        database=0 if cluster else database,  # a cluster has no other; daprd heeds none either
        tls=tls,
        verify=not insecure,
        certificate=certificate if key else "",
        key=key if certificate else "",
        retries=max(retries or 3, 0),  # as daprd's client: 0 is "not set", -1 is none
        retry_interval=_interval(shortest, longest),
        dial_timeout=_limit(dial, 5.0),
        read_timeout=_limit(reading, 3.0),
        write_timeout=_limit(writing, _limit(reading, 3.0)),
        ttl=None if ttl is None else lifetime(ttl),
    )


def _with_legacy_names(properties: Properties) -> Properties:
    """`maxRetries`, in exactly this case, stands in for an absent or empty redisMaxRetries."""
    if properties.get("redisMaxRetries") or "maxRetries" not in list(properties):
        return properties
    return Properties({**properties, "redisMaxRetries": properties["maxRetries"]})


def _backoff_in_nanoseconds(properties: Properties) -> float | None:
    if "maxRetryBackoff" not in list(properties) or not properties["maxRetryBackoff"]:
        return None
    try:
        return strconv.parse_int(properties["maxRetryBackoff"]) * _NANOSECONDS
    except ValueError as error:
        raise PropertiesError(f"redis store error: can't parse maxRetryBackoff field: {error}") from None


def _interval(shortest: float | None, longest: float) -> float:
    """Between two attempts daprd's client never waits longer than the longest, whatever is the shortest."""
    wanted = 2.0 if shortest is None else max(shortest, 0.0)
    return min(wanted, max(longest, 0.0))


def _limit(given: float, default: float | None) -> float | None:
    if given < 0:
        return None
    return given or default


def _address(host: str, port: int | None) -> str:
    """The address with its port; a path of a unix socket gets one too, as daprd's quirk is."""
    return ",".join(_with_port(each.strip() if "," in host else each, port) for each in host.split(","))


def _with_port(host: str, port: int | None) -> str:
    name, colon, given = host.rpartition(":")
    has_port = bool(colon) and (":" not in name or name.endswith("]"))
    if not has_port:
        bare = f"[{host}]" if ":" in host and not host.startswith("[") else host
        return f"{bare}:{port or _DEFAULT_PORT}"
    if port and given != str(port):
        raise PropertiesError(
            f'redis host "{host}" already contains port {given}, but redisPort is set to {port}; '
            "either remove the port from redisHost or remove the redisPort setting"
        )
    return host


def _sentinel(properties: Properties) -> Sentinel:
    return Sentinel(
        properties.get("sentinelMasterName", ""),
        properties.get("sentinelUsername", ""),
        properties.get("sentinelPassword", ""),
    )
