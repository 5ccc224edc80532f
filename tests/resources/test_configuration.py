"""Configuration files: what of them counts, how several become one, and what daprd says of the same mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dapr_state.resources.configuration import (
    ApiLogging,
    ApiRule,
    Configuration,
    ConfigurationError,
    LabelRule,
    Metrics,
    Otel,
    SecretScope,
    Tracing,
)
from dapr_state.resources.configuration_files import expand, load
from tests.support.configured import the_real, write_configurations
from tests.support.processes import EndedAtStart

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.recorded import Recorded

EVERYTHING = """
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: all}
spec:
  tracing:
    samplingRate: 0.5
    stdout: yes
    zipkin: {endpointAddress: "http://localhost:9411/api/v2/spans"}
    otel: {endpointAddress: "localhost:4317", protocol: grpc, isSecure: false, headers: ["a=b"], timeout: 1m30s}
  metric:
    enabled: true
    recordErrorCodes: on
    latencyDistributionBuckets: [5, 1, 2.9, 0]
    http: {increasedCardinality: false, excludeVerbs: true, pathMatching: ["/items/{id}"]}
    rules: [{name: dapr_http_server_request_count, labels: [{name: path, regex: {X: "a.*"}}]}]
  logging: {apiLogging: {enabled: true, obfuscateURLs: true, omitHealthChecks: true}}
  api:
    allowed: [{name: state, version: v1, protocol: grpc}]
    denied: [{name: metadata, version: v1.0, protocol: http}]
  features: [{name: ActorStateTTL, enabled: true}, {name: HotReload, enabled: false}]
  secrets: {scopes: [{storeName: s, defaultAccess: Deny, allowedSecrets: [a], deniedSecrets: [b]}]}
  components: {deny: [state.redis, state.sqlite/v1]}
"""


def read(folder: Path, *texts: str, environ: Mapping[str, str] | None = None) -> Configuration:
    return load(write_configurations(folder, texts)[1::2], environ or {})


def test_without_files_the_defaults_hold() -> None:
    """No file and an empty file say the same."""
    assert load([], {}) == Configuration()


@pytest.mark.parametrize("text", ["", "# nothing\n", "spec:\n", "spec: {metric: null}", "kind: Component\n"])
def test_what_says_nothing_changes_nothing(tmp_path: Path, text: str) -> None:
    """Empty files and sections leave the defaults; kind and apiVersion are not looked at."""
    assert read(tmp_path, text) == Configuration()


def test_every_section_is_read(tmp_path: Path) -> None:
    """Each field of the schema arrives in its place, in daprd's readings of its type."""
    assert read(tmp_path, EVERYTHING) == Configuration(
        tracing=Tracing(
            sampling_rate="0.5",
            stdout=True,
            zipkin_endpoint="http://localhost:9411/api/v2/spans",
            otel=Otel("localhost:4317", "grpc", is_secure=False, headers=("a=b",), timeout=90.0),
        ),
        metrics=Metrics(
            increased_cardinality=False,
            path_matching=("/items/{id}",),
            exclude_verbs=True,
            latency_buckets=(1, 2, 5),
            record_error_codes=True,
            rules=(LabelRule("dapr_http_server_request_count", "path", (("X", "a.*"),)),),
        ),
        api_logging=ApiLogging(enabled=True, obfuscate_urls=True, omit_health_checks=True),
        api_allowed=(ApiRule("state", "v1", "grpc"),),
        api_denied=(ApiRule("metadata", "v1.0", "http"),),
        features=("ActorStateTTL", "WorkflowsRemoteActivityReminder"),
        secret_scopes=(SecretScope("s", "deny", frozenset({"a"}), frozenset({"b"})),),
        denied_components=("state.redis", "state.sqlite/v1"),
    )


def test_later_files_go_on_where_earlier_ones_end(tmp_path: Path) -> None:
    """Fields merge one by one, and lists are replaced whole."""
    first = "spec: {logging: {apiLogging: {enabled: true, obfuscateURLs: true}}, features: [{name: A, enabled: true}]}"
    second = "spec: {logging: {apiLogging: {obfuscateURLs: false}}, features: [{name: B, enabled: true}]}"

    configuration = read(tmp_path, first, second)

    assert configuration.api_logging == ApiLogging(enabled=True)
    assert configuration.features == ("B", "HotReload", "WorkflowsRemoteActivityReminder")


def test_the_newer_spelling_of_metrics_wins(tmp_path: Path) -> None:
    """`metrics` replaces what it names, and leaves the rest of `metric`."""
    both = "spec: {metric: {enabled: false, recordErrorCodes: true}, metrics: {enabled: true}}"

    assert read(tmp_path, both).metrics == Metrics(record_error_codes=True)


def test_only_the_first_document_counts(tmp_path: Path) -> None:
    """What stands behind a second --- is not read."""
    text = "spec: {features: [{name: A, enabled: true}]}\n---\nspec: {features: [{name: B, enabled: true}]}"

    assert "B" not in read(tmp_path, text).features


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    """A mapping's own fields win over those it merges in."""
    text = 'base: &b {stdout: true, samplingRate: "0"}\nspec: {tracing: {<<: *b, samplingRate: "1"}}'

    assert read(tmp_path, text).tracing == Tracing(sampling_rate="1", stdout=True)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("a $NAME b", "a value b"),
        ("${NAME}s", "values"),
        ("$NAME.$UNSET.", "value.."),
        ("costs 5$ or $ 6", "costs 5$ or $ 6"),
        ("${}|${", "|"),
        ("$1$$", ""),
    ],
)
def test_variables_are_filled_in_as_in_a_shell(text: str, filled: str) -> None:
    """$NAME and ${NAME} become their values, what is not set becomes empty, other dollars follow Go's rules."""
    assert expand(text, {"NAME": "value"}) == filled


def test_a_value_from_the_environment_is_not_shown_in_errors(tmp_path: Path) -> None:
    """A variable may hold a secret: the error names the field, not the value."""
    with pytest.raises(ConfigurationError) as raised:
        read(tmp_path, "spec: {metric: {enabled: $SECRET}}", environ={"SECRET": "hunter2"})

    assert "hunter2" not in str(raised.value)
    assert "cannot unmarshal !!str into bool (spec.metric.enabled)" in str(raised.value)


def test_headers_for_the_collector_are_not_in_the_repr() -> None:
    """They carry keys, and a repr may be logged."""
    assert "k3y" not in repr(Otel(headers=("authorization=k3y",)))


MISTAKES = {
    "int for bool": "spec: {tracing: {stdout: 12}}",
    "quoted bool": 'spec: {tracing: {stdout: "true"}}',
    "text for bool": "spec: {tracing: {stdout: nope}}",
    "long text for bool": "spec: {tracing: {stdout: nopenopenope}}",
    "float for bool": "spec: {metric: {enabled: 1.5}}",
    "list for map": "spec: [a]",
    "text for map": "spec: hello",
    "map for text": "spec: {tracing: {samplingRate: {a: 1}}}",
    "text for list": "spec: {features: foo}",
    "map for list": "spec: {features: {name: foo}}",
    "text for list of texts": "spec: {tracing: {otel: {headers: a=b}}}",
    "a whole document of text": "hello",
    "a whole document of a list": "[1]",
    "number for duration": "spec: {tracing: {otel: {timeout: 5}}}",
    "text for duration": "spec: {tracing: {otel: {timeout: abc}}}",
    "text for int": 'spec: {metric: {latencyDistributionBuckets: [1, "b", 2.5]}}',
    "two mistakes": "spec: {tracing: {stdout: 12},\n  metric: {enabled: 13}}",
    "a key twice": "spec: {tracing: {stdout: true}, tracing: {stdout: false}}",
    "secret store twice": "spec: {secrets: {scopes: [{storeName: a}, {storeName: a}]}}",
    "secret access": "spec: {secrets: {scopes: [{storeName: a, defaultAccess: foo}]}}",
    "otel protocol": 'spec: {tracing: {otel: {endpointAddress: "localhost:1", protocol: foo}}}',
    "zipkin address": "spec: {tracing: {zipkin: {endpointAddress: nope}}}",
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told_in_daprds_words(name: str, tmp_path: Path, recorded: Recorded) -> None:
    """The same file ends daprd with the same reason; ours adds the field and the file."""

    def words(daprd_binary: Path) -> str:
        with pytest.raises(EndedAtStart) as ended:
            the_real(daprd_binary, tmp_path, MISTAKES[name]).start()
        return _message(str(ended.value)).replace(str(tmp_path), "FOLDER")

    theirs = recorded(name, words, of="daprd_binary")
    with pytest.raises(ConfigurationError) as raised:
        read(tmp_path, MISTAKES[name])

    told = _without_places(str(raised.value), tmp_path).replace(str(tmp_path), "FOLDER")
    assert f"Fatal error from runtime: {told}" in theirs


def _without_places(text: str, folder: Path) -> str:
    lines = text.replace(f" ({folder / 'configuration-0.yaml'})", "").split("\n")
    return "\n".join(line.partition(" (spec")[0] for line in lines)


def _message(log: str) -> str:
    """The message of the last line, as it was before it was quoted, and without the names of Go's types."""
    last = next(line for line in reversed(log.splitlines()) if "level=fatal" in line)
    quoted = last.partition(' msg="')[2].partition('" app_id=')[0]
    return quoted.replace('\\"', '"').replace("\\n", "\n").replace("[]config.APIAccessRule", "config.APIAccessRules")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/nonexistent/x.yaml", "error loading configuration: stat /nonexistent/x.yaml: no such file or directory"),
        ("/", "error loading configuration: read /: is a directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(path: str, reason: str) -> None:
    """The reason is the system's own."""
    with pytest.raises(ConfigurationError) as raised:
        load([path], {})

    assert str(raised.value) == reason


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("spec: {httpPipeline: {handlers: [{name: auth, type: middleware.http.bearer}]}}", "auth (middleware.http"),
        ("spec: {accessControl: {defaultAction: deny}}", "spec.accessControl"),
        ("spec: {mtls: {enabled: true}}", "spec.mtls"),
        ("spec: {nameResolution: {component: consul}}", "spec.nameResolution"),
        ("spec: {features: [{name: Foo, enabled: true}]}", "spec.features: Foo"),
        ("spec: {metric: {latencyDistributionBuckets: [-1, 5]}}", "latencyDistributionBuckets"),
        ("spec: {metric: {rules: [{name: m, labels: [{name: l, regex: {X: '(['}}]}]}}", "the rule for m, l"),
    ],
)
def test_what_has_no_effect_is_named(text: str, named: str, tmp_path: Path) -> None:
    """A user who relies on it learns from the log that it is not there."""
    unsupported = read(tmp_path, text).unsupported

    assert len(unsupported) == 1
    assert named in unsupported[0]


def test_empty_sections_are_not_worth_a_word(tmp_path: Path) -> None:
    """Generated files are full of them."""
    text = "spec: {httpPipeline: {handlers: []}, accessControl: {defaultAction: allow}, mtls: {}, nameResolution: {}}"

    assert read(tmp_path, text).unsupported == ()


@pytest.mark.parametrize(("written", "ratio"), [("0", 0.0), ("1", 1.0), ("", 0.0001), ("foo", 0.0001), ("7", 1.0)])
def test_the_sampling_rate_is_a_share(written: str, ratio: float) -> None:
    """What is no number means daprd's default of one in ten thousand."""
    assert Tracing(sampling_rate=written).ratio == ratio
