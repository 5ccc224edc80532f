"""Calls of actors: what reaches the application, and what its answers become."""

from __future__ import annotations

from tests.conformance.actors.steps import answers, grpc, http, invoke, rules, seen, start
from tests.conformance.scenario import scenario

INVOKE = [
    scenario("every verb", *(http(verb, "method/m", b"x") for verb in ("GET", "POST", "PUT", "DELETE")), seen()),
    scenario("a verb that there is not", http("PATCH", "method/m", b"x"), http("HEAD", "method/m")),
    scenario("an answer without a body", rules({"match": "/ID/", "body": ""}), invoke()),
    scenario("a request without a body", http("POST", "method/m"), seen()),
    scenario("bytes", http("POST", "method/m", b"\x00\xff{", Content_Type="application/octet-stream"), seen()),
    scenario(
        "headers of the request",
        invoke(X_Own="a", x_lower="b", Content_Type="text/x", Te="trailers", Keep_Alive="1", X_Bin_bin="AA"),
        invoke(Connection="X-Gone", X_Gone="a", X_Kept="b", Dapr_Reentrancy_Id="r", Accept="*/*"),
        seen(times=2),
    ),
    scenario(
        "headers of the answer",
        rules(
            {
                "match": "/ID/",
                "headers": [
                    ("X-Own", "a"),
                    ("x-lower", "b"),
                    ("Content-Type", "text/x"),
                    ("Keep-Alive", "1"),
                    ("X-bin", "x"),
                ],
            }
        ),
        invoke(),
    ),
    scenario("an answer without a content type", rules({"match": "/ID/", "body": "plain"}), invoke()),
    scenario(
        "the query",
        *(invoke(f"m{query}") for query in ("?a=1&b=2", "?", "?a=%20b+c", "?a=%2F&a=2", "?x%20y=1")),
        seen(times=5),
    ),
    *(
        scenario(
            f"the application answers {status}", rules({"match": "/ID/", "status": status, "body": "why"}), invoke()
        )
        for status in (201, 202, 302, 400, 401, 403, 404, 409, 500, 503)
    ),
    scenario("the application answers 204", rules({"match": "/ID/", "status": 204, "body": ""}), invoke()),
    scenario(
        "an error header",
        rules(
            {
                "match": "/ID/",
                "body": "oops",
                "headers": [("X-DaprErrorResponseHeader", "true"), ("Content-Type", "text/x")],
            }
        ),
        invoke(),
        grpc("InvokeActor", method="m", data=b"x"),
    ),
    scenario(
        "a cancel header on a call",
        *(
            step
            for value in ("true", "Y", "on", "1", "false", "0")
            for step in (rules({"match": "/ID/", "headers": [("X-DaprReminderCancel", value)]}), invoke())
        ),
    ),
    scenario("a chunked answer", rules({"match": "/ID/", "body": "x" * 20, "chunked": True}), invoke()),
    scenario(
        "an answer that ends with its connection", rules({"match": "/ID/", "body": "x", "until_close": True}), invoke()
    ),
    scenario(
        "odd methods",
        *(
            invoke(method)
            for method in (
                "a%2Fb",
                "a+b",
                "a%20b",
                "..%2F..%2Fx",
                "a%2F..%2Fb",
                "%C3%A9",
                "a%23b",
                "a%3Fb",
                "a%00b",
                "a%0Ab",
                "%7F",
                "a:b",
                "a;b",
                "a&b=c",
                "~a",
            )
        ),
        seen(times=8),
    ),
    scenario(
        "no method", *(http("POST", f"method{tail}", b"") for tail in ("", "/", "/a/b", "/a/", "/.", "/..", "/%2E"))
    ),
    scenario(
        "odd ids",
        *(
            http("POST", f"/v1.0/actors/cart/{actor}/method/m", b"x")
            for actor in (
                "ID%2F1",
                "ID%23",
                "ID%3F",
                "ID%5C",
                "ID%00",
                "ID%01",
                "ID%7F",
                "%2E",
                "..",
                "%2E%2E",
                "ID%7C%7C1",
                "ID%20a",
                "ID+a",
                "ID%C3%A9",
                "ID%40",
                "ID%7E",
                "ID,",
                "ID%2541",
                "",
                "ID//",
                "/ID",
            )
        ),
    ),
    scenario(
        "how ids reach the application",
        *(
            http("POST", f"/v1.0/actors/cart/{actor}/method/m", b"x")
            for actor in ("ID%7C%7C1", "ID%20a", "ID+a", "ID%C3%A9", "ID%40", "ID~", "ID,;=", "ID$&:")
        ),
        seen(times=8),
    ),
    scenario(
        "marks that need not be written in hexadecimal",
        http("POST", "/v1.0/actors/cart/ID!'()*/method/m", b"x"),
        seen(),
    ),
    scenario("a percent sign", invoke("a%25b"), http("POST", "/v1.0/actors/cart/ID%25/method/m", b"x")),
    scenario(
        "a type that is refused",
        *(
            http("POST", f"/v1.0/actors/{kind}/ID/method/m", b"x")
            for kind in ("a%2Fb", "a%23", "a%00", "..", "%2E%2E", "%2E")
        ),
    ),
    scenario(
        "a type of Dapr's own",
        *(
            http(verb, f"/v1.0/actors/dapr.internal.x/ID/{tail}", b"{}" if verb == "POST" else None)
            for verb, tail in (
                ("POST", "state"),
                ("GET", "state/k"),
                ("POST", "reminders/r"),
                ("GET", "reminders/r"),
                ("DELETE", "reminders/r"),
                ("POST", "timers/t"),
                ("DELETE", "timers/t"),
            )
        ),
    ),
    scenario(
        "calls over gRPC",
        grpc("InvokeActor", method="m", data=b"\x00x"),
        grpc("InvokeActor", method="m"),
        grpc("InvokeActor", method="a/b", data=b"x", metadata={"X-Own": "a", "x-lower": "b", "content-type": "text/x"}),
        grpc("InvokeActor", method="a b", data=b"x", metadata={"Dapr-Reentrancy-Id": "r"}),
        seen(times=4),
    ),
    scenario(
        "refusals over gRPC",
        *(grpc("InvokeActor", method=method) for method in ("a#", "a?", "a\x01")),
        *(grpc("InvokeActor", actor_id=actor, method="m") for actor in ("a/b", "a#", "..", ".", "a\x7f", "a\\")),
    ),
    *(
        scenario(
            f"the application answers {status} to gRPC",
            rules({"match": "/ID/", "status": status, "body": "why"}),
            grpc("InvokeActor", method="m"),
        )
        for status in (201, 404, 500)
    ),
    scenario(
        "a cancelled call over gRPC",
        rules({"match": "/ID/", "headers": [("X-DaprReminderCancel", "1")]}),
        grpc("InvokeActor", method="m"),
    ),
    scenario(
        "paths that there are not",
        *(
            http(verb, path, b"" if verb in {"POST", "PUT"} else None)
            for verb, path in (
                ("DELETE", "state/k"),
                ("GET", "timers/t"),
                ("GET", "reminders"),
                ("GET", "state"),
                ("PATCH", "state"),
                ("POST", "/v1.0/actors/cart/ID"),
                ("POST", "/v1.0/actors/cart"),
                ("POST", "/v1.0/actors"),
                ("GET", "/v1.0-alpha1/actors/cart/ID/state/k"),
                ("DELETE", "reminders"),
                ("POST", "state/k"),
            )
        ),
    ),
    scenario(
        "paths that are cleaned",
        *(
            http("POST", path, b"x")
            for path in (
                "/v1.0//actors/cart/ID/method/m",
                "/v1.0/actors/cart/ID/./method/m",
                "/v1.0/x/../actors/cart/ID/method/m",
                "/v1.0/actors/cart/ID/method/m/",
                "/v1.0/actors/cart/ID/method/m//",
                "/v1.0/actors//cart/ID/method/m",
            )
        ),
    ),
]

NOBODY = [
    scenario(
        "a type that nobody hosts",
        start(http("POST", "/v1.0/actors/nobody/ID/method/m", b"")),  # daprd looks for five seconds
        grpc("InvokeActor", actor_type="nobody", method="m"),
        answers(),
        http("GET", "/v1.0/actors/nobody/ID/state/k"),
        http("POST", "/v1.0/actors/nobody/ID/state", "[]"),
    ),
]
