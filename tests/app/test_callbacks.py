"""Paths, headers and bodies of what the application is asked, and what of its answers goes on."""

from __future__ import annotations

import json

import pytest

from dapr_state.app import callbacks
from dapr_state.app.callbacks import Caller, Reply
from dapr_state.app.model import ActorCall, ActorId, AppAnswer, AppError, Trigger

CART = ActorId("cart", "1")
CALLER = Caller("shop", "default", "secret")
OWN = {
    "Dapr-Api-Call": "true",
    "Dapr-Caller-App-Id": "shop",
    "Dapr-Caller-Namespace": "default",
    "Dapr-Api-Token": "secret",
}
VOID_TRACE = "00-00000000000000000000000000000000-0000000000000000-00"


@pytest.mark.parametrize(
    ("identity", "written"),
    [
        ("a-1_b.c~d", "a-1_b.c~d"),
        ("a||1", "a%7C%7C1"),
        ("two words", "two%20words"),
        ("a/b", "a%2Fb"),
        ("50%", "50%25"),
        ("x:@,;=$&", "x:@,;=$&"),
        ("!*()[]'", "%21%2A%28%29%5B%5D%27"),
        ("1+1", "1%2B1"),  # daprd leaves it, and some applications read a blank
        ("?#", "%3F%23"),
        ("é", "%C3%A9"),
        ("\udcff", "%FF"),  # a byte that is no UTF-8
        ("\r\n", "%0D%0A"),
        ("", ""),
    ],
)
def test_an_identity_is_one_segment_of_the_path(identity: str, written: str) -> None:
    """Whatever is in it, nothing of it is read as syntax, and what daprd leaves as it is stays so."""
    assert callbacks.actor_path(ActorId("cart", identity)) == f"/actors/cart/{written}"
    assert callbacks.reminder_path(Trigger(CART, identity)) == f"/actors/cart/1/method/remind/{written}"
    assert callbacks.timer_path(Trigger(CART, identity)) == f"/actors/cart/1/method/timer/{written}"


def test_slashes_in_a_method_stay_and_the_query_follows() -> None:
    """A method may be a path; the query is the caller's own text."""
    call = ActorCall(CART, "add/two items", query="n=1&x=%20")

    assert callbacks.method_path(call) == "/actors/cart/1/method/add/two%20items?n=1&x=%20"


def test_a_callers_headers_go_on() -> None:
    """In Go's spelling, followed by what the sidecar says of itself."""
    given = (("x-a", "1"), ("content-type", "text/plain"), ("traceparent", "00-1-2-01"), ("x-empty", ""))

    headers = CALLER.method_headers(given)

    assert dict(headers) == {
        "X-A": "1",
        "Content-Type": "text/plain",
        "Traceparent": "00-1-2-01",
        "X-Empty": "",
        **OWN,
    }
    assert len(headers) == len(dict(headers))


def test_a_call_without_a_trace_has_a_void_one() -> None:
    """As daprd while it does not trace."""
    assert dict(CALLER.method_headers(())) == {"Traceparent": VOID_TRACE, **OWN}


HOP_BY_HOP = [
    *("connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
    *("transfer-encoding", "upgrade", "http2-settings", "content-length", "trace-bin"),
]


@pytest.mark.parametrize("name", [*HOP_BY_HOP, "host", "expect"])
def test_what_belongs_to_the_callers_connection_stays_there(name: str) -> None:
    """In any spelling."""
    assert dict(CALLER.method_headers(((name.upper(), "x"),))) == {**OWN, "Traceparent": VOID_TRACE}


@pytest.mark.parametrize("name", HOP_BY_HOP)
def test_what_belongs_to_the_applications_connection_stays_there(name: str) -> None:
    """In any spelling."""
    answer = Reply(200, [(name.title().encode(), b"x")], b"").to_answer()

    assert answer.headers == (("Content-Type", "application/json"),)


def test_what_a_connection_header_names_stays_too() -> None:
    """`Connection: x-b` makes X-B a header of that connection only."""
    given = (("Connection", "close, x-b"), ("X-B", "1"), ("X-C", "2"))
    answer = Reply(200, [(name.encode(), value.encode()) for name, value in given], b"").to_answer()

    assert dict(CALLER.method_headers(given)) == {"X-C": "2", "Traceparent": VOID_TRACE, **OWN}
    assert answer.headers == (("X-C", "2"), ("Content-Type", "application/json"))


def test_a_caller_cannot_pose_as_the_sidecar() -> None:
    """What the sidecar says of itself is never the caller's word."""
    given = tuple((name.lower(), "forged") for name in OWN)

    assert dict(CALLER.method_headers(given)) == {"Traceparent": VOID_TRACE, **OWN}


def test_a_callers_lines_of_one_name_go_on() -> None:
    """All of them, in their order, but of a few names the first only: so daprd does."""
    once = (("baggage", "a=b"), ("baggage", "c=d"), ("User-Agent", ""), ("user-agent", "u"))
    given = (("x-a", "1"), *once, ("X-A", "2"))
    own = [pair for pair in CALLER.method_headers(given) if pair[0] in {"X-A", "Baggage", "User-Agent"}]

    assert own == [("X-A", "1"), ("Baggage", "a=b"), ("User-Agent", ""), ("X-A", "2")]


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (("x-a", "1\r\nX-Forged: 2"), 'net/http: invalid header field value for "X-A"'),
        (("x-a", "\x00"), 'net/http: invalid header field value for "X-A"'),
        (("x a", "1"), 'net/http: invalid header field name "x a"'),
        (("", "1"), 'net/http: invalid header field name ""'),
    ],
)
def test_a_header_that_cannot_be_written_is_refused(header: tuple[str, str], text: str) -> None:
    """No caller can put lines of its own into a request."""
    with pytest.raises(AppError) as raised:
        CALLER.method_headers((header,))

    assert str(raised.value) == text


def test_bodies_of_ticks() -> None:
    """Data are the JSON text as it was given; where none were given there is no member, and null is not none."""
    trigger = Trigger(CART, "n", b'{"b":1,  "a":1e400}', "1s", "R2/PT1S", "cb")

    assert callbacks.timer_body(trigger) == (
        b'{"data":{"b":1,  "a":1e400},"callback":"cb","dueTime":"1s","period":"R2/PT1S"}'
    )
    assert callbacks.reminder_body(trigger) == b'{"data":{"b":1,  "a":1e400},"dueTime":"1s","period":"R2/PT1S"}'
    assert json.loads(callbacks.reminder_body(Trigger(CART, "n"))) == {"dueTime": "", "period": ""}
    assert json.loads(callbacks.timer_body(Trigger(CART, "n", b"null"))) == {
        "data": None,
        "callback": "",
        "dueTime": "",
        "period": "",
    }


def test_other_headers() -> None:
    """Triggers are JSON, a deactivation is what daprd says it is, the configuration is asked for by name."""
    token = ("Dapr-Api-Token", "secret")

    assert CALLER.trigger_headers() == (("Content-Type", "application/json"), token)
    assert CALLER.deactivation_headers() == (("Content-Type", "application/x-protobuf"), token)
    assert CALLER.config_headers() == (("Content-Type", "application/json"), ("Dapr-App-Id", "shop"), token)
    assert Caller("shop", "default").trigger_headers() == (("Content-Type", "application/json"),)


def test_an_answers_headers_go_on() -> None:
    """The first value of each name, in Go's spelling; a content type in any case."""
    raw = [(b"x-a", b"1"), (b"X-A", b"2"), (b"SERVER", b"me"), (b"content-type", b"text/plain"), (b"x-u", b"\xc3\xa9")]

    assert Reply(200, raw, b"body").to_answer() == AppAnswer(
        (("X-A", "1"), ("Server", "me"), ("Content-Type", "text/plain"), ("X-U", "é")), b"body"
    )


@pytest.mark.parametrize(
    ("value", "cancels"),
    [("true", True), ("Yes", True), (" 1 ", True), ("on", True), ("false", False), ("", False), ("2", False)],
)
def test_the_end_of_a_reminder(value: str, *, cancels: bool) -> None:
    """Dapr's words for yes, in a header of any spelling."""
    answer = Reply(200, [(b"x-DAPRREMINDERCANCEL", value.encode())], b"").to_answer()

    assert answer.cancels_reminder is cancels
