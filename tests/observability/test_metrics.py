"""The metrics port of a running sidecar, read by the official client, and beside daprd's."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.client import item
from tests.support.components import component
from tests.support.configured import MEMORY, metrics, metrics_port, ours, page, samples, the_real, write_configurations
from tests.support.http import Socket, ask, request
from tests.support.recorded import data
from tests.support.sidecar import Sidecar

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.recorded import Recorded

DAPR = "/dapr.proto.runtime.v1.Dapr/"
ALL = "spec: {metric: {recordErrorCodes: true}}"

# Requests that daprd and we answer alike
HTTP = (
    ("GET", "/v1.0/state/mem/k", None),
    ("POST", "/v1.0/state/mem", '[{"key":"k","value":1}]'),
    ("GET", "/v1.0/state/mem/k", None),
    ("GET", "//v1.0//state/mem/k", None),
    ("GET", "/v1.0/state/mem/a%2Fb/?metadata.x=1", None),
    ("DELETE", "/v1.0/state/mem/k", None),
    ("POST", "/v1.0/state/mem/bulk", '{"keys":["a"]}'),
    ("POST", "/v1.0-alpha1/state/nope/query", "{}"),
    ("POST", "/v1.0/state/mem", "bad"),
    ("GET", "/v1.0/state/nostore/a", None),
    ("FOO", "/v1.0/healthz", None),
    ("OPTIONS", "/v1.0/state/mem", None),
    ("GET", "/v1.0/healthz/outbound", None),
    ("PUT", "/v1.0/metadata/foo", "x"),
    ("GET", "/v1.0/secrets/foo/bar", None),
    ("POST", "/v1.0/publish/ps/t", "x"),
    ("POST", "/v1.0/actors/T/1/method/m", ""),
    ("GET", "/v1.0/actors/T/1/state/k", None),
    ("PUT", "/v1.0/actors/T/1/reminders/r", "{}"),
    ("POST", "/v1.0/workflows/c/n/start", ""),
    ("GET", "/v1.0/workflows/c/i", None),
    ("POST", "/v1.0/workflows/c/i/pause", ""),
    ("POST", "/v1.0/workflows/c/i/raiseEvent/e", ""),
    ("POST", "/v1.0/bindings/b", '{"operation":"get"}'),
    ("POST", "/v1.0-alpha1/unlock/l", "{}"),
    ("PUT", "/v1.0-alpha1/crypto/c/encrypt", "x"),
    ("POST", "/v1.0-alpha1/conversation/c/converse", "{}"),
    ("GET", "/v1.0/configuration/c", None),
    ("GET", "/v1.0-alpha1/jobs/j", None),
    ("GET", "/nope", None),
    ("GET", "/items/5", None),
)


def use(sidecar: Sidecar) -> None:
    """Make calls of every kind, good and bad, over both transports."""
    with sidecar.client() as client:
        client.get("mem", "k")
        client.save("mem", item("k", b"x" * 5000))
        client.get("mem", "k")
        client.bulk_get("mem", "k", "l")
        client.delete("mem", "k")
        client.save("mem", item("k", b"x", etag="7"))
        client.save("mem")
        client.get("nope", "x")
        client.query("nope", "{}")
        client.transact("mem", ("upsert", item("q", b"1")))
        client.bulk_delete("mem", item("q"))
        client.bulk_get("mem")
        client.transact("mem")
        client.call("GetState", b"\xff\xff")
    for method, target, body in HTTP:
        ask(sidecar.http_port, method, target, body)


COMPARED = (
    "dapr_component_state_count",
    "dapr_error_code_total",
    "dapr_grpc_io_server_completed_rpcs",
    "dapr_grpc_io_server_server_latency_count",
    "dapr_grpc_io_server_received_bytes_per_rpc_sum",
    "dapr_grpc_io_server_received_bytes_per_rpc_bucket",
    "dapr_grpc_io_server_sent_bytes_per_rpc_count",
    "dapr_http_server_latency_count",
    "dapr_http_server_request_count",
    "dapr_http_server_response_count",
    "dapr_http_server_request_bytes_count",
    "dapr_http_server_request_bytes_bucket",
    "dapr_http_server_response_bytes_count",
    "dapr_runtime_component_init_total",
    "dapr_runtime_component_loaded",
)
CONFIGURATIONS = {
    "default": ALL,
    "low cardinality": "spec: {metric: {http: {increasedCardinality: false}, latencyDistributionBuckets: [5, 50]}}",
    "patterns": (
        "spec: {metric: {http: {increasedCardinality: false, "
        'pathMatching: ["/v1.0/state/mem/{k}", "/items/{id}", "/v1.0/metadata/"]}}}'
    ),
    "patterns beside all paths": (
        "spec: {metric: {http: {increasedCardinality: true, excludeVerbs: true, "
        'pathMatching: ["/v1.0/state/{s}/k", "/v1.0/{rest...}"]}}}'
    ),
    "rules": (
        'spec: {metric: {rules: [{name: dapr_http_server_request_count, labels: [{name: path, regex: {ST: "/v1.0/sta.*"'
        "}}]}, {name: dapr_component_state_count, labels: [{name: component, regex: {mm: m.m}}]}]}}"
    ),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_same_calls_are_counted_as_in_daprd(
    name: str, tmp_path: Path, grpc_server: str, recorded: Recorded
) -> None:
    """Names, labels and numbers are equal, whatever the Configuration makes of the labels."""

    def counted(server: Sidecar) -> dict[str, dict[str, float]]:
        with server:
            use(server)
            return {each: {" ".join(of): n for of, n in samples(server, each).items()} for each in COMPARED}

    text = CONFIGURATIONS[name]
    theirs = recorded(f"counted: {name}", lambda binary: counted(the_real(binary, tmp_path, text)), of="daprd_binary")

    assert theirs["dapr_http_server_request_count"]
    assert theirs["dapr_component_state_count"]
    assert counted(ours(tmp_path, text, grpc_server=grpc_server)) == theirs


def test_the_page_is_sent_as_daprd_sends_it(tmp_path: Path, recorded: Recorded) -> None:
    """Content type, and an answer on any path."""

    def pages(server: Sidecar) -> list[tuple[object, ...]]:
        with server:
            answers = [ask(metrics_port(server), "GET", path) for path in ("/", "/metrics", "/any/thing?x=1")]
        return [(each.code, each.header("Content-Type")) for each in answers]

    theirs = recorded("the page", lambda binary: pages(the_real(binary, tmp_path)), of="daprd_binary")

    assert data(pages(ours(tmp_path))) == theirs


def test_every_histogram_has_daprds_buckets(tmp_path: Path, grpc_server: str, recorded: Recorded) -> None:
    """The `le` of each bucket is the same text."""

    def bounds(server: Sidecar) -> dict[str, list[str]]:
        with server:
            use(server)
            return _bounds(server)

    theirs = recorded("buckets", lambda binary: bounds(the_real(binary, tmp_path, ALL)), of="daprd_binary")
    mine = bounds(ours(tmp_path, ALL, grpc_server=grpc_server))

    assert {name: mine.get(name) for name in theirs} == theirs


def _bounds(sidecar: Sidecar) -> dict[str, list[str]]:
    return {
        metric.name: sorted({sample.labels["le"] for sample in metric.samples if "le" in sample.labels}, key=float)
        for metric in metrics(sidecar).values()
        if metric.type == "histogram" and metric.name.startswith(("dapr_http_server", "dapr_grpc_io_server"))
    }


def test_the_process_is_described_as_by_every_client(tmp_path: Path) -> None:
    """Dashboards ask for memory, CPU time, files and start."""
    with ours(tmp_path) as sidecar:
        found = metrics(sidecar)

    assert {"process_cpu_seconds", "process_resident_memory_bytes", "process_open_fds"} <= set(found)
    assert {"process_start_time_seconds", "process_virtual_memory_bytes", "process_max_fds"} <= set(found)
    assert found["process_resident_memory_bytes"].samples[0].value > 1 << 20


def test_switched_off_in_the_configuration_the_process_is_still_described(tmp_path: Path) -> None:
    """The port answers, without Dapr's own metrics, as daprd's does."""
    with ours(tmp_path, "spec: {metric: {enabled: false}}") as sidecar:
        use(sidecar)
        names = set(metrics(sidecar))

    assert "process_cpu_seconds" in names
    assert not [name for name in names if name.startswith("dapr_")]


def test_switched_off_by_the_flag_there_is_no_port(tmp_path: Path) -> None:
    """--enable-metrics=false: nobody listens."""
    with ours(tmp_path, flags=["--enable-metrics=false"]) as sidecar, pytest.raises(ConnectionRefusedError):
        page(sidecar)


def test_a_busy_metrics_port_ends_the_start(tmp_path: Path) -> None:
    """At once, with exit code 1, in daprd's words."""
    with ours(tmp_path) as first:
        port = metrics_port(first)
        second = ours(tmp_path, flags=["--metrics-port", str(port)]).launch()
        code = second.wait()

    assert code == 1
    where = f"127.0.0.1:{port}"
    assert f"failed to listen on {where}: listen tcp {where}: bind: address already in use" in second.log()


def test_components_that_fail_are_counted(tmp_path: Path) -> None:
    """One that may be missing is told apart from those that were loaded."""
    broken = component("broken", "state.sqlite", connectionString="/nonexistent/folder/x.db")
    broken["spec"]["ignoreErrors"] = True
    with Sidecar(tmp_path, [MEMORY, broken]) as sidecar:
        failed = samples(sidecar, "dapr_runtime_component_init_fail_total")
        loaded = samples(sidecar, "dapr_runtime_component_init_total")

    assert failed == {("state.sqlite", "broken", "init"): 1}
    assert loaded == {("state.in-memory",): 1}


def test_denied_components_are_not_started(tmp_path: Path) -> None:
    """`spec.components.deny` names types, with or without their version."""
    flags = write_configurations(tmp_path, ["spec: {components: {deny: [state.sqlite/v1]}}"])
    with Sidecar(tmp_path, [MEMORY, component("lite", "state.sqlite")], flags=flags) as sidecar:
        loaded = samples(sidecar, "dapr_runtime_component_init_total")

    assert loaded == {("state.in-memory",): 1}
    assert "component 'lite' cannot be loaded because components of type 'lite (state.sqlite/v1)' are not allowed" in (
        sidecar.log()
    )


def test_the_namespace_is_a_label(tmp_path: Path) -> None:
    """Where NAMESPACE is set, state metrics carry it."""
    with Sidecar(tmp_path, [MEMORY], environment={"NAMESPACE": "prod"}) as sidecar:
        ask(sidecar.http_port, "GET", "/v1.0/state/mem/k")
        counted = samples(sidecar, "dapr_component_state_count")

    assert counted == {("mem", "prod", "get", "true"): 1}


def test_calls_of_actors_are_counted_by_verb_and_type(tmp_path: Path) -> None:
    """Whatever the actor, the method and the key, also when such a call has been counted before."""
    calls = ("PUT", "m"), ("POST", "m"), ("GET", "m"), ("GET", "s"), ("POST", "s")
    paths = {"m": ("1/method/a", "2/method/b"), "s": ("1/state/k", "2/state/l")}
    with ours(tmp_path) as sidecar:
        for verb, of in calls:
            for actor_type in ("T", "U"):
                for path in paths[of]:
                    end = path if (verb, of) != ("POST", "s") else path.rpartition("/")[0]
                    ask(sidecar.http_port, verb, f"/v1.0/actors/{actor_type}/{end}", "{}" if verb != "GET" else None)
        counted = samples(sidecar, "dapr_http_server_request_count")

    kinds = {"m": "method", "s": "state"}
    wanted = {(f"/v1.0/actors/{each}/{{id}}/{kinds[of]}", verb) for verb, of in calls for each in ("T", "U")}
    assert {(path, verb): n for (*_, verb, path, _), n in counted.items() if "actors" in path} == dict.fromkeys(
        wanted, 2
    )


def test_made_up_paths_and_verbs_do_not_fill_the_memory(tmp_path: Path) -> None:
    """However many paths a caller invents, the page stays bounded, and no request is left out of the count."""
    with ours(tmp_path) as sidecar:
        with Socket(sidecar.http_port) as connection:
            for number in range(3000):
                connection.send(request("GET", f"/made/up/{number}")).answer()
        counted = samples(sidecar, "dapr_http_server_request_count")

    assert sum(counted.values()) == 3000
    assert len(counted) < 1500


def test_scrapers_that_never_finish_do_not_stop_requests(tmp_path: Path) -> None:
    """Two hundred connections that send half a request, or do not read, leave the API and other scrapers be."""
    with ours(tmp_path) as sidecar:
        port = metrics_port(sidecar)
        idlers = [Socket(port) for _ in range(100)] + [Socket(port).send(b"GET / HTTP/1.1\r\n") for _ in range(50)]
        deaf = [Socket(port).send(request("GET", "/") * 50) for _ in range(50)]
        answer = ask(sidecar.http_port, "GET", "/v1.0/state/mem/k")
        scraped = page(sidecar)
        for each in (*idlers, *deaf):
            each.raw.close()

    assert (answer.code, scraped.code) == (204, 200)


def test_scraping_under_load_reads_consistent_numbers(tmp_path: Path) -> None:
    """Every page that is read while requests are counted has buckets that add up."""
    with ours(tmp_path) as sidecar:
        stop = threading.Event()

        def call() -> None:
            with Socket(sidecar.http_port) as connection:
                while not stop.is_set():
                    connection.send(request("GET", "/v1.0/state/mem/k")).answer()

        ask(sidecar.http_port, "GET", "/v1.0/state/mem/k")
        caller = threading.Thread(target=call)
        caller.start()
        try:
            pages = [metrics(sidecar)["dapr_http_server_latency"].samples for _ in range(20)]
        finally:
            stop.set()
            caller.join()

    for read in pages:
        infinite = [sample.value for sample in read if sample.labels.get("le") == "+Inf"]
        counts = [sample.value for sample in read if sample.name.endswith("_count")]
        assert infinite == counts
