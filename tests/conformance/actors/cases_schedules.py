"""Reminders and timers: what is taken and refused, read back, and told when they fire."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.actors.steps import JSON, count, finally_, grpc, http, rules, seen, sorted_json
from tests.conformance.scenario import scenario

FAR = "1h"


def compact(body: Any) -> str:
    """JSON as Go writes it, so that it comes back the same from both."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def reminder(name: str, **body: Any) -> Any:
    return http("POST", f"reminders/{name}", compact(body), **JSON)


def timer(name: str, **body: Any) -> Any:
    return http("POST", f"timers/{name}", compact(body), **JSON)


REMINDERS = [
    scenario(
        "no reminder",
        http("GET", "reminders/r"),
        http("DELETE", "reminders/r"),
        grpc("GetActorReminder", name="r"),
        grpc("UnregisterActorReminder", name="r"),
    ),
    scenario(
        "create, read, delete",
        reminder("r", dueTime=FAR, period="2h", data={"a": 1}),
        sorted_json(http("GET", "reminders/r")),
        reminder("r", dueTime=FAR, period="PT3H"),
        sorted_json(http("GET", "reminders/r")),
        http("DELETE", "reminders/r"),
        http("GET", "reminders/r"),
    ),
    scenario(
        "reading what was given",
        *(
            step
            for body in (
                {"dueTime": FAR},
                {"period": FAR},
                {"dueTime": "PT1H", "data": "text"},
                {"dueTime": FAR, "data": None},
                {"dueTime": FAR, "data": 0},
                {"dueTime": FAR, "period": "R5/PT1H"},
                {"dueTime": "2099-01-02T03:04:05Z", "period": "1m", "ttl": "2099-02-02T03:04:05Z"},
                {"dueTime": FAR, "period": "1m", "ttl": "3h"},
                {"dueTime": FAR, "period": "1h1m1.5s"},
                {"dueTime": FAR, "period": "1500ms"},
                {"dueTime": "0h59m0s0ms0μs", "period": "0h0m7s0ms0μs"},
            )
            for step in (reminder("r", **body), sorted_json(http("GET", "reminders/r")))
        ),
        http("DELETE", "reminders/r"),
    ),
    scenario(
        "not to overwrite",
        reminder("r", dueTime=FAR, overwrite=False),
        reminder("r", dueTime="2h", overwrite=False),
        sorted_json(http("GET", "reminders/r")),
        reminder("r", dueTime="3h", overwrite=True),
        sorted_json(http("GET", "reminders/r")),
        http("DELETE", "reminders/r"),
    ),
    scenario(
        "schedules that are refused",
        *(
            reminder("r", **body)
            for body in (
                {},
                {"dueTime": "abc"},
                {"dueTime": FAR, "period": "abc"},
                {"dueTime": FAR, "period": "P1D"},
                {"dueTime": FAR, "ttl": "2h"},
                {"dueTime": FAR, "period": "1h", "ttl": "abc"},
                {"dueTime": "2099-01-02T03:04:05Z", "period": "1h", "ttl": "2001-02-02T03:04:05Z"},
                {"dueTime": FAR, "period": "@every 1s"},
                {"dueTime": "R3/PT1S"},
                {"dueTime": FAR, "period": "* * * * *"},
            )
        ),
    ),
    scenario(
        "bodies of reminders that are refused",
        *(http("POST", "reminders/r", body) for body in ("", "[]", "x", '{"dueTime":1}', '"a"', '{"dueTime":"1h"')),
        http("DELETE", "reminders/r", "x"),
    ),
    scenario(
        "names that are refused",
        *(reminder(name, dueTime=FAR) for name in ("a%2Fb", "a%23", "a%3F", "a%5C", "a%00", "%7F")),
    ),
    scenario(
        "reminders of a type that nobody hosts",
        *(
            http(verb, "/v1.0/actors/nobody/ID/reminders/r", '{"dueTime":"1h"}' if verb == "POST" else None)
            for verb in ("POST", "GET", "DELETE")
        ),
        grpc("ListActorReminders", actor_type="nobody"),
        grpc("RegisterActorReminder", actor_type="nobody", name="r", due_time=FAR),
        grpc("UnregisterActorRemindersByType", actor_type="nobody"),
    ),
    scenario("a reminder fires", reminder("r", dueTime="0s", data={"a": [1, "b"]}), seen("remind/r")),
    scenario(
        "the text of the data",
        http("POST", "reminders/r", '{"dueTime":"0s","data":{"b": 1.0, "a":"<é>"}}'),
        seen("remind/r"),
    ),
    scenario("a reminder without data fires", reminder("r", dueTime="0s"), seen("remind/r")),
    scenario("a reminder with null fires", reminder("r", dueTime="0s", data=None), seen("remind/r")),
    scenario(
        "a reminder fires again",
        reminder("r", dueTime="0s", period="200ms", data=1),
        seen("remind/r", 3),
        http("DELETE", "reminders/r"),
    ),
    scenario(
        "a reminder fires as often as it says",
        reminder("r", dueTime="0s", period="R3/PT1S"),
        seen("remind/r", 3),
        finally_("404", http("GET", "reminders/r")),
        count("remind/r"),
    ),
    scenario(
        "a reminder that was due is gone",
        reminder("r", dueTime="0s"),
        seen("remind/r"),
        finally_("404", http("GET", "reminders/r")),
        count("remind/r"),
    ),
    scenario(
        "a reminder that fails is tried again",
        rules({"match": "remind/r", "status": 500, "times": 1}),
        reminder("r", dueTime="0s", data=1),
        seen("remind/r", 2),
    ),
    scenario(
        "reminders over gRPC",
        grpc("RegisterActorReminder", name="r", due_time=FAR, period="2h", data=b"hello"),
        grpc("GetActorReminder", name="r"),
        sorted_json(http("GET", "reminders/r")),
        grpc("ListActorReminders", actor_id="ID"),
        grpc("RegisterActorReminder", name="r", due_time=FAR, overwrite=False),
        grpc("UnregisterActorReminder", name="r"),
        grpc("GetActorReminder", name="r"),
    ),
    scenario(
        "a reminder over gRPC fires",
        grpc("RegisterActorReminder", name="r", due_time="0s", data=b"hello"),
        seen("remind/r"),
    ),
    scenario(
        "a reminder over HTTP read over gRPC",
        reminder("r", dueTime=FAR, data={"a": 1}),
        grpc("GetActorReminder", name="r"),
        grpc("ListActorReminders", actor_id="ID"),
        http("DELETE", "reminders/r"),
    ),
    scenario(
        "refusals of reminders over gRPC",
        grpc("RegisterActorReminder", name="r"),
        grpc("RegisterActorReminder", name="a/b", due_time=FAR),
        grpc("RegisterActorTimer", name="a/b", due_time=FAR),
        grpc("RegisterActorReminder", name="r", due_time="abc"),
        grpc("RegisterActorReminder", name="r", due_time=FAR, period="P1D"),
    ),
    scenario(
        "a list and its end",
        *(reminder(name, dueTime=FAR) for name in ("r1", "r2")),
        grpc("UnregisterActorRemindersByType", actor_id="ID"),
        grpc("ListActorReminders", actor_id="ID"),
        http("GET", "reminders/r1"),
    ),
]

TIMERS = [
    scenario("a timer fires", timer("t", dueTime="0s", data={"a": 1}, callback="cb"), seen("timer/t")),
    scenario(
        "the text of a timer's data",
        http("POST", "timers/t", '{"dueTime":"0s","data":{"b": 1.0, "a":"<é>"}}'),
        seen("timer/t"),
    ),
    scenario("a timer with nothing fires now", timer("t"), seen("timer/t")),
    scenario("a timer with null fires", timer("t", data=None, callback="cb"), seen("timer/t")),
    scenario(
        "a timer says its schedule",
        timer("t", dueTime="10ms", period="R2/PT1S", data=1, callback="cb"),
        seen("timer/t", 2),
    ),
    scenario(
        "a timer over gRPC fires",
        grpc("RegisterActorTimer", name="t", due_time="0s", data=b"hello", callback="cb"),
        seen("timer/t"),
    ),
    scenario(
        "a timer goes on after a failure",
        rules({"match": "timer/t", "status": 500}),
        timer("t", dueTime="0s", period="100ms"),
        seen("timer/t", 2),
        http("DELETE", "timers/t"),
    ),
    scenario(
        "deleting timers",
        http("DELETE", "timers/t"),
        timer("t", dueTime=FAR),
        http("DELETE", "timers/t"),
        http("DELETE", "timers/t", "x"),
        http("DELETE", "/v1.0/actors/nobody/ID/timers/t"),
        grpc("UnregisterActorTimer", name="t"),
    ),
    scenario(
        "timers that are refused",
        *(
            timer("t", **body)
            for body in (
                {"dueTime": "abc"},
                {"period": "abc"},
                {"period": "R0/PT1S"},
                {"dueTime": "R3/PT1S"},
                {"ttl": "abc", "dueTime": "1s"},
                {"period": "@every 1s"},
                {"dueTime": FAR, "ttl": "2001-02-02T03:04:05Z"},
            )
        ),
        http("POST", "/v1.0/actors/nobody/ID/timers/t", '{"dueTime":"1s"}'),
        grpc("RegisterActorTimer", actor_type="nobody", name="t", due_time="1s"),
        grpc("RegisterActorTimer", name="t", due_time="abc"),
    ),
    scenario(
        "bodies of timers that are refused",
        *(http("POST", "timers/t", body) for body in ("", "[]", "x", '{"dueTime":1}')),
    ),
    scenario("names of timers that are refused", *(timer(name, dueTime=FAR) for name in ("a%2Fb", "a%23", "a%00"))),
]
