"""Keys and values as the administration API shows and changes them: the same over gRPC and HTTP."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.admin import Admin, Refused, http
from tests.support.client import item

if TYPE_CHECKING:
    from tests.support.sidecar import Sidecar

LAST_SECOND = 253_402_300_799  # of the year 9999
UGLY = [
    "a/b",
    "%2F",
    "..",
    ".",
    "a b",
    "\u202eright",
    "\U0001f600",
    'q"',
    "new\nline",
    "<script>",
    "k" * 1024,
    "%",
    "_",
    "*",
    "[",
    "\\",
]


def save(admin: Admin, store: str, **values: bytes) -> None:
    for key, value in values.items():
        admin.call("SaveEntry", store_name=store, key=key, value=value)


def pages(admin: Admin, store: str, **wish: Any) -> list[Any]:
    found = [admin.call("ListKeys", store_name=store, **wish)]
    while found[-1].next_page_token:
        found.append(admin.call("ListKeys", store_name=store, page_token=found[-1].next_page_token, **wish))
    return found


def keys(answers: list[Any]) -> list[str]:
    return [entry.key for answer in answers for entry in answer.entries]


def test_keys_are_listed_in_pages(admin: Admin, store: str) -> None:
    """Each of them, whatever it is made of; in order where the store has one."""
    for key in UGLY:
        admin.call("SaveEntry", store_name=store, key=key, value=b"v")
    answers = pages(admin, store, page_size=3)

    listed = keys(answers)
    assert sorted(set(listed)) == sorted(UGLY)
    assert answers[0].ordered == (store != "redis")
    if answers[0].ordered:
        assert listed == sorted(UGLY)
        assert keys(pages(admin, store, page_size=3, reverse=True)) == sorted(UGLY, reverse=True)


@pytest.mark.parametrize("key", UGLY)
def test_an_ugly_key_is_saved_read_and_deleted(key: str, admin: Admin) -> None:
    """Keys travel in queries and bodies, which nobody cleans."""
    saved = admin.call("SaveEntry", store_name="memory", key=key, value=b"\xff\0")
    read = admin.call("GetEntry", store_name="memory", key=key)
    admin.call("DeleteEntry", store_name="memory", key=key, etag=saved.entry.etag)

    assert read.entry.key == saved.entry.key == key
    assert (read.entry.value, read.entry.etag, read.entry.stored_key) == (b"\xff\0", saved.entry.etag, f"app||{key}")
    with pytest.raises(Refused) as refused:
        admin.call("GetEntry", store_name="memory", key=key)
    assert refused.value.code == "ERR_ADMIN_NOT_FOUND"


def test_keys_of_others_are_not_shown(writable: Sidecar, admin: Admin, store: str) -> None:
    """Neither those of actors nor of applications with longer names; only with a scope of its own all that there is."""
    save(admin, store, mine=b"v")
    with pytest.raises(Refused) as refused:
        admin.call("ListKeys", store_name=store, space="STORE")

    assert refused.value.code == "ERR_ADMIN_SCOPE"
    assert keys(pages(admin, store)) == ["mine"]
    assert not keys(pages(admin, store, space="ACTORS"))
    assert writable.app_id == "app"


@pytest.mark.parametrize("reverse", [False, True])
def test_keys_with_a_common_beginning_are_groups(admin: Admin, ordered: str, reverse: bool) -> None:
    """One for each, with its number; exact up to a thousand."""
    many = [item(f"big:{number}", b"v") for number in range(1001)]
    with admin.sidecar.client() as client:
        client.save(ordered, *many, *(item(key, b"v") for key in ("a", "a:", "a:1", "a:1:x", "b", "c:1")))
    answers = pages(admin, ordered, delimiter=":", page_size=2, reverse=reverse)
    below = pages(admin, ordered, delimiter=":", prefix="a:", reverse=reverse)

    groups = [(group.prefix, group.count, group.at_least) for answer in answers for group in answer.groups]
    expected = [("a:", 3, False), ("big:", 1000, True), ("c:", 1, False)]
    assert groups == (expected[::-1] if reverse else expected)
    assert sorted(keys(answers)) == ["a", "b"]
    assert [(group.prefix, group.count) for group in below[0].groups] == [("a:1:", 1)]
    assert sorted(keys(below)) == ["a:", "a:1"]


def test_groups_of_a_store_without_order_are_told_as_far_as_they_were_met(admin: Admin) -> None:
    """Their number is at least what this page has seen."""
    admin.call("DeleteByPrefix", store_name="redis", everything=True)
    for number in range(5):
        save(admin, "redis", **{f"a:{number}": b"v"})
    (answer,) = pages(admin, "redis", delimiter=":")

    assert [(group.prefix, group.count, group.at_least) for group in answer.groups] == [("a:", 5, True)]
    with pytest.raises(Refused) as refused:
        admin.call("ListKeys", store_name="redis", reverse=True)
    assert refused.value.code == "ERR_ADMIN_NOT_SUPPORTED"
    assert "ORDER" in refused.value.text


def test_values_come_with_their_keys_if_asked(admin: Admin, store: str) -> None:
    """As much of each as was asked for, and how long it is."""
    save(admin, store, short=b"12", long=b"x" * 5000)
    (plain,) = pages(admin, store)
    (with_sizes,) = pages(admin, store, with_sizes=True)
    (with_values,) = pages(admin, store, with_values=True, max_value_bytes=10)

    assert not any(entry.HasField("size") or entry.HasField("value") for entry in plain.entries)
    assert {entry.key: entry.size for entry in with_sizes.entries} == {"short": 2, "long": 5000}
    shown = {entry.key: (entry.value, entry.value_truncated, entry.size) for entry in with_values.entries}
    assert shown == {"short": (b"12", False, 2), "long": (b"x" * 10, True, 5000)}


@pytest.mark.parametrize("change", ["prefix", "reverse", "store", "forged", "garbage"])
def test_a_token_is_good_for_its_list_alone(change: str, admin: Admin, ordered: str) -> None:
    """Another list, or a token that nobody gave, is refused rather than begun somewhere."""
    save(admin, ordered, k1=b"v", k2=b"v")
    token = admin.call("ListKeys", store_name=ordered, page_size=1, prefix="k").next_page_token
    wish: dict[str, Any] = {"store_name": ordered, "prefix": "k", "page_token": token}
    wish |= {
        "prefix": {"prefix": ""},
        "reverse": {"reverse": True},
        "store": {"store_name": "sqlite"},
        "forged": {"page_token": ("B" if token[0] == "A" else "A") + token[1:]},
        "garbage": {"page_token": "no token"},
    }[change]

    with pytest.raises(Refused) as refused:
        admin.call("ListKeys", **wish)
    assert refused.value.code == "ERR_ADMIN_BAD_REQUEST"


def test_a_part_of_a_value_is_read(admin: Admin, store: str) -> None:
    """From an offset, so many octets; what it is as a whole is told."""
    admin.call("SaveEntry", store_name=store, key="json", json='{"id": 9007199254740993, "f": 1.10}')
    admin.call("SaveEntry", store_name=store, key="octets", value=bytes(range(256)) * 1000)
    whole = admin.call("GetEntry", store_name=store, key="json")
    part = admin.call("GetEntry", store_name=store, key="octets", offset=255, max_bytes=3)
    first = admin.call("GetEntry", store_name=store, key="octets")

    assert (whole.is_json, whole.is_utf8, whole.entry.value_truncated) == (True, True, False)
    assert json.loads(whole.entry.value)["id"] == 9007199254740993
    assert b"1.10" in whole.entry.value
    assert (part.entry.value, part.total_size, part.entry.value_truncated) == (b"\xff\x00\x01", 256_000, True)
    assert (part.is_json, part.is_utf8) == (False, False)
    assert len(first.entry.value) == 65536


def test_an_etag_guards_a_save_and_a_delete(admin: Admin, store: str) -> None:
    """The answer to a save has the etag for the next one; what others wrote meanwhile is not overwritten."""
    first = admin.call("SaveEntry", store_name=store, key="k", value=b"1", only_new=True).entry
    second = admin.call("SaveEntry", store_name=store, key="k", value=b"2", etag=first.etag).entry
    for refused_call in (
        {"name": "SaveEntry", "value": b"3", "etag": first.etag},
        {"name": "SaveEntry", "value": b"3", "only_new": True},
        {"name": "DeleteEntry", "etag": first.etag},
    ):
        with pytest.raises(Refused) as refused:
            admin.call(refused_call.pop("name"), store_name=store, key="k", **refused_call)
        assert (refused.value.code, refused.value.status) in {
            ("ERR_ADMIN_STORE", "ABORTED"),
            ("ERR_ADMIN_STORE", "409"),
        }
    third = admin.call("SaveEntry", store_name=store, key="k", value=b"3", etag=second.etag).entry

    assert third.etag not in {first.etag, second.etag, ""}
    assert admin.call("GetEntry", store_name=store, key="k").entry.value == b"3"


def test_a_value_gets_another_time_to_live(admin: Admin, store: str) -> None:
    """Value and etag stay; of none that is there is made one."""
    saved = admin.call("SaveEntry", store_name=store, key="k", value=b"v", expire_in=timedelta(seconds=100)).entry
    touched = admin.call("Touch", store_name=store, key="k", expire_in=timedelta(seconds=1000), etag=saved.etag)
    kept = admin.call("Touch", store_name=store, key="k", persist=True)
    read = admin.call("GetEntry", store_name=store, key="k").entry

    assert 895 < touched.expires_at.seconds - saved.expires_at.seconds < 905
    assert not kept.HasField("expires_at")
    assert (read.value, read.etag, read.HasField("expires_at")) == (b"v", saved.etag, False)
    for wrong in ({"key": "none", "persist": True}, {"key": "k", "persist": True, "etag": "99"}, {"key": "k"}):
        with pytest.raises(Refused):
            admin.call("Touch", store_name=store, **wrong)


def test_keys_are_counted(admin: Admin, store: str) -> None:
    """With the octets of their values if that is asked."""
    save(admin, store, a1=b"12", a2=b"345", b=b"6")
    count = admin.call("CountKeys", store_name=store, prefix="a", with_bytes=True)

    assert (count.count, count.bytes, count.complete) == (2, 5, True)
    assert not admin.call("CountKeys", store_name=store).HasField("bytes")
    assert admin.call("CountKeys", store_name=store).count == 3


def test_a_removal_is_looked_at_first(admin: Admin, store: str) -> None:
    """The dry run counts and shows, and removes nothing; its token is good for this removal alone."""
    save(admin, store, a1=b"v", a2=b"v", b=b"v")
    look = admin.call("DeleteByPrefix", store_name=store, prefix="a", dry_run=True)

    assert (look.matched, look.deleted, sorted(look.sample)) == (2, 0, ["a1", "a2"])
    for wish in ({}, {"confirm_token": "x"}, {"prefix": "b", "confirm_token": look.confirm_token}):
        with pytest.raises(Refused) as refused:
            admin.call("DeleteByPrefix", store_name=store, **({"prefix": "a"} | wish))
        assert refused.value.code in {"ERR_ADMIN_UNCONFIRMED", "ERR_ADMIN_BAD_REQUEST"}
    save(admin, store, a3=b"v")
    with pytest.raises(Refused) as refused:
        admin.call("DeleteByPrefix", store_name=store, prefix="a", expect_count=2, confirm_token=look.confirm_token)
    assert refused.value.code == "ERR_ADMIN_TOO_MANY"
    done = admin.call("DeleteByPrefix", store_name=store, prefix="a", expect_count=3, confirm_token=look.confirm_token)
    assert (done.deleted, done.complete) == (3, True)
    assert keys(pages(admin, store)) == ["b"]


def test_the_state_of_actors_is_a_space_of_its_own(admin: Admin) -> None:
    """Shown and removed by type and id, and never with the application's keys."""
    admin.call("DeleteByPrefix", store_name="sqlite", space="ACTORS", everything=True)
    with admin.sidecar.client() as client:
        client.save("sqlite", item("plain", b"v"))
    for number in range(3):
        admin.call("SaveEntry", store_name="sqlite", space="ACTORS", key=f"Cart||{number}||items", json="[]")
    listed = pages(admin, "sqlite", space="ACTORS")
    admin.call("DeleteByPrefix", store_name="sqlite", space="ACTORS", prefix="Cart||1||", everything=True)

    assert keys(listed) == [f"Cart||{number}||items" for number in range(3)]
    assert listed[0].entries[0].stored_key == "app||Cart||0||items"
    assert keys(pages(admin, "sqlite", space="ACTORS")) == ["Cart||0||items", "Cart||2||items"]
    assert "plain" in keys(pages(admin, "sqlite"))
    for key in ("Cart||0", "plain", "dapr.internal.reminders||a||b"):
        with pytest.raises(Refused):
            admin.call("SaveEntry", store_name="sqlite", space="ACTORS", key=key, json="1")
    with pytest.raises(Refused):
        admin.call("SaveEntry", store_name="sqlite", key="Cart||0||items", json="1")


@pytest.mark.parametrize(
    ("name", "fields", "code"),
    [
        ("ListKeys", {"store_name": "none"}, "ERR_STATE_STORE_NOT_FOUND"),
        ("GetEntry", {"store_name": "memory"}, "ERR_ADMIN_BAD_REQUEST"),
        ("GetEntry", {"store_name": "memory", "key": "a||b"}, "ERR_ADMIN_BAD_REQUEST"),
        ("SaveEntry", {"store_name": "memory", "key": "k", "json": "{"}, "ERR_ADMIN_BAD_REQUEST"),
        ("SaveEntry", {"store_name": "memory", "key": "k", "expire_in": timedelta(seconds=0)}, "ERR_ADMIN_BAD_REQUEST"),
    ],
)
def test_what_cannot_be_meant_is_refused(name: str, fields: dict[str, Any], code: str, admin: Admin) -> None:
    """With the same code on both transports."""
    with pytest.raises(Refused) as refused:
        admin.call(name, **fields)

    assert refused.value.code in {code, code.replace("ERR_", "DAPR_").replace("STORE_NOT", "NOT")}


def test_a_list_beside_random_writes_has_each_key_that_stays(admin: Admin, ordered: str) -> None:
    """Once, whatever comes and goes between its pages."""
    dice = random.Random(17)
    staying = {f"s{number:03}" for number in range(60)}
    with admin.sidecar.client() as client:
        client.save(ordered, *(item(key, b"v") for key in staying))
        answer = admin.call("ListKeys", store_name=ordered, page_size=7)
        listed = keys([answer])
        while answer.next_page_token:
            other = f"s{dice.randrange(60):03}x{dice.randrange(3)}"
            client.save(ordered, item(other, b"v"))
            client.delete(ordered, f"s{dice.randrange(60):03}x{dice.randrange(3)}")
            answer = admin.call("ListKeys", store_name=ordered, page_size=7, page_token=answer.next_page_token)
            listed += keys([answer])

    assert [key for key in listed if key in staying] == sorted(staying)
    assert len(set(listed)) == len(listed)


def test_a_token_survives_a_restart_where_the_list_is_in_order(admin: Admin) -> None:
    """It says behind which key the list goes on, and who has signed it."""
    admin.call("DeleteByPrefix", store_name="sqlite", everything=True)
    save(admin, "sqlite", a=b"v", b=b"v", c=b"v")
    token = admin.call("ListKeys", store_name="sqlite", page_size=1).next_page_token
    admin.sidecar.stop()
    admin.sidecar.start()

    assert keys([admin.call("ListKeys", store_name="sqlite", page_size=5, page_token=token)]) == ["b", "c"]


def test_octets_alone_are_given_to_whoever_wants_them(writable: Sidecar) -> None:
    """For a download: nothing that a page could run."""
    Admin(writable, "http").call("SaveEntry", store_name="memory", key="page", value=b"<script>")
    answer = http(
        writable.http_port, "GET", "/dapr-state/v1/state/memory/entry?key=page", accept="application/octet-stream"
    )

    assert answer.body == b"<script>"
    assert answer.header("Content-Type") == "application/octet-stream"
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert answer.header("Content-Disposition") == "attachment"


def test_numbers_are_told_as_they_are_written(writable: Sidecar) -> None:
    """Digit by digit, beside the octets: a page must not lose what it parses."""
    text = '{"id": 9007199254740993, "f": 1.10, "e": 1E400}'
    Admin(writable, "http").call("SaveEntry", store_name="memory", key="numbers", json=text)
    answer = http(writable.http_port, "GET", "/dapr-state/v1/state/memory/entry?key=numbers")

    assert answer.json["entry"]["json"] == text


def test_a_large_value_is_saved_and_read_in_parts(admin: Admin) -> None:
    """As octets and as JSON; no part is larger than what holds nobody up."""
    octets, text = bytes(range(256)) * 10_000, "[" + "1.10," * 500_000 + '"é"]'
    admin.call("SaveEntry", store_name="memory", key="octets", value=octets, expire_in=timedelta(seconds=90))
    saved = admin.call("SaveEntry", store_name="memory", key="text", json=text)
    parts, size = [], len(text.encode())
    while (done := sum(map(len, parts))) < size:
        wish = {"store_name": "memory", "key": "text", "offset": done, "max_bytes": 4 << 20}
        parts.append(admin.call("GetEntry", **wish).entry.value)
    read = admin.call("GetEntry", store_name="memory", key="octets", max_bytes=4 << 20)

    assert saved.entry.size == size
    assert b"".join(parts) == text.encode()
    assert max(map(len, parts)) == 1 << 20
    assert (read.total_size, read.entry.value) == (len(octets), octets[: 1 << 20])
    assert read.entry.HasField("expires_at")


def test_a_large_request_that_needs_not_be_is_refused(writable: Sidecar) -> None:
    """To read it would hold everybody up; so is a large one that is no JSON."""
    for target, body in (
        ("/dapr-state/v1/state/memory:touch", b'{"key": "' + b"k" * 100_000 + b'"}'),
        ("/dapr-state/v1/state/memory/entry", b'{"key": "k", "json": "' + b"k" * 100_000),
        ("/dapr-state/v1/state/memory/entry", b"[" * 100_000),
        ("/dapr-state/v1/state/memory/entry", b'{"key": "k", "what": "' + b"k" * 100_000 + b'"}'),
    ):
        answer = http(writable.http_port, "POST", target, body)
        assert (answer.code, answer.json["errorCode"]) == (400, "ERR_ADMIN_BAD_REQUEST")


def test_a_key_for_ever_is_shown_like_others(admin: Admin, store: str) -> None:
    """Anybody may save one for longer than calendars go: the page it is on is shown, and who watches goes on."""
    with admin.sidecar.client() as client, admin.stream("Watch", store_name=store, prefix="") as messages:
        next(messages)
        admin.call("SaveEntry", store_name=store, key="long", value=b"1", expire_in=timedelta(seconds=300_000_000_000))
        client.save(store, item("short", b"1"))
        seen = [change.entry.key for change in islice((each for told in messages for each in told.changes), 2)]
    answer = admin.call("ListKeys", store_name=store)

    assert sorted(seen) == sorted(entry.key for entry in answer.entries) == ["long", "short"]
    assert all(entry.expires_at.seconds <= LAST_SECOND for entry in answer.entries)


def test_what_a_store_failed_with_is_told(admin: Admin) -> None:
    """In a call of an application, while it is well; not that two callers have raced each other."""
    with admin.sidecar.client() as client:
        client.save("sqlite", item("k", b"1", metadata={"ttlInSeconds": "1000000000000"}))
        client.save("sqlite", item("k", b"1", etag="00000000-0000-4000-8000-000000000000"))
    stores = {store.name: store for store in admin.call("GetOverview").stores}

    assert "ttlInSeconds" in stores["sqlite"].last_error
    assert stores["sqlite"].healthy
    assert stores["sqlite"].last_error_at.seconds > 0
    assert not stores["memory"].last_error
