"""What is asked of an application over HTTP: paths, headers and bodies, and which answers are a success."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from msgspec import Raw, Struct, json

from dapr_state.app.model import AppAnswer, AppError
from dapr_state.app.remembered import Remembered, octets_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dapr_state.app.model import ActorCall, ActorId, Headers, Trigger

OK: Final = 200
NOT_FOUND: Final = 404

TOKEN_HEADER: Final = "dapr-api-token"  # noqa: S105 - the name of a header

# What belongs to one connection (actors.md 1.2), or is said anew on the next one
_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "content-length",
    }
)
# `expect` would make the application wait for a word that never comes
_SAID_ANEW: Final = _HOP_BY_HOP | {
    "host",
    "expect",
    TOKEN_HEADER,
    "dapr-api-call",
    "dapr-caller-app-id",
    "dapr-caller-namespace",
}
_VOID_TRACE: Final = f"00-{'0' * 32}-{'0' * 16}-00"
_DEFAULT_TYPE: Final = ("Content-Type", "application/json")

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.\-~]*")
_SAFE: Final = "$&,:;=@"  # as Go; but `+` is encoded, because some applications take it for a blank


class Caller(Struct, frozen=True):
    """Who calls the application."""

    app_id: str
    namespace: str
    token: str = ""

    def token_headers(self) -> Headers:
        return (("Dapr-Api-Token", self.token),) if self.token else ()

    def method_headers(self, given: Headers) -> Headers:
        """The headers of a method call: the caller's own, and what the sidecar says of itself. Raises AppError."""
        headers = passed_on.of(given)
        trace = () if any(name == "Traceparent" for name, _ in headers) else (("Traceparent", _VOID_TRACE),)
        return (
            *headers,
            *trace,
            ("Dapr-Api-Call", "true"),
            ("Dapr-Caller-App-Id", self.app_id),
            ("Dapr-Caller-Namespace", self.namespace),
            *self.token_headers(),
        )

    def trigger_headers(self) -> Headers:
        return (_DEFAULT_TYPE, *self.token_headers())

    def deactivation_headers(self) -> Headers:
        return (("Content-Type", "application/x-protobuf"), *self.token_headers())

    def config_headers(self) -> Headers:
        return (_DEFAULT_TYPE, ("Dapr-App-Id", self.app_id), *self.token_headers())


_ONCE = frozenset({"Baggage", "Content-Type", "Traceparent", "Tracestate", "User-Agent"})


def _passed_on(given: Headers) -> Headers:
    """What the application is shown of a caller's headers: every line, but of a few names the first only, as daprd.

    Raises AppError if one of them cannot be written into a request.
    """
    headers = [(canonical(name), value) for name, value in given]
    first = dict(reversed(headers))
    nominated = _nominated(first.get("Connection", ""))
    found = []
    for name, value in headers:
        if name in _ONCE and first.pop(name, None) is None:
            continue
        lowered = name.lower()
        if lowered in _SAID_ANEW or lowered in nominated or lowered.endswith("-bin"):
            continue
        _check(name, value)
        found.append((name, value))
    return tuple(found)


passed_on: Final = Remembered(_passed_on, octets_of)


def canonical(name: str) -> str:
    """A header's name as Go writes it: `x-a` becomes `X-A`."""
    return "-".join(part.capitalize() for part in name.split("-")) if _NAME.fullmatch(name) else name


def _nominated(connection: str) -> frozenset[str]:
    """The headers that a `Connection` header declares its own."""
    return frozenset(word.strip().lower() for word in connection.split(",")) if connection else frozenset()


def _check(name: str, value: str) -> None:
    if not _NAME.fullmatch(name):
        raise AppError(f'net/http: invalid header field name "{name}"')
    if _BAD_VALUE.search(value):
        raise AppError(f'net/http: invalid header field value for "{name}"')


def actor_path(actor: ActorId) -> str:
    return f"/actors/{_segment(actor.type)}/{_segment(actor.id)}"


def method_path(call: ActorCall) -> str:
    """A slash within the method's name stays one."""
    path = f"{actor_path(call.actor)}/method/{'/'.join(map(_segment, call.method.split('/')))}"
    return f"{path}?{call.query}" if call.query else path


def reminder_path(trigger: Trigger) -> str:
    return f"{actor_path(trigger.actor)}/method/remind/{_segment(trigger.name)}"


def timer_path(trigger: Trigger) -> str:
    return f"{actor_path(trigger.actor)}/method/timer/{_segment(trigger.name)}"


def _segment(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return quote(text.encode("utf-8", "surrogateescape"), safe=_SAFE)


def reminder_body(trigger: Trigger) -> bytes:
    return json.encode({**_data(trigger), "dueTime": trigger.due_time, "period": trigger.period})


def timer_body(trigger: Trigger) -> bytes:
    return json.encode(
        {**_data(trigger), "callback": trigger.callback, "dueTime": trigger.due_time, "period": trigger.period},
    )


def _data(trigger: Trigger) -> dict[str, Raw]:
    return {} if trigger.data is None else {"data": Raw(trigger.data)}


class Reply(Struct):
    """One HTTP answer as it came."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def to_answer(self) -> AppAnswer:
        """As success. Raises AppError with daprd's detail for every status but 200."""
        if self.status != OK:
            raise AppError(f"error from actor service: ({self.status}) {self.body.decode(errors='replace')}")
        return AppAnswer(_forwarded(self.headers), self.body)


def _forwarded(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """What goes on to the caller, of each name the first; with a content type in any case."""
    found: dict[str, str] = {}
    for raw_name, value in headers:
        name = _FORWARDED.get(raw_name)
        if name is None:
            name = _learn(raw_name)
        if name:
            found.setdefault(name, value.decode("utf-8", "surrogateescape"))
    found.setdefault(*_DEFAULT_TYPE)
    if "Connection" not in found:
        return tuple(found.items())
    nominated = _nominated(found.pop("Connection"))
    return tuple(pair for pair in found.items() if pair[0].lower() not in nominated)


_FORWARDED: Final[dict[bytes, str]] = {}  # names as they came, and as they go on; empty: they do not
_MAX_FORWARDED: Final = 1024  # names are the application's choice


def _learn(raw_name: bytes) -> str:
    name = canonical(raw_name.decode("latin-1"))
    lowered = name.lower()
    if (lowered in _HOP_BY_HOP and lowered != "connection") or lowered.endswith("-bin"):
        name = ""
    if len(_FORWARDED) >= _MAX_FORWARDED:
        _FORWARDED.clear()
    _FORWARDED[raw_name] = name
    return name
