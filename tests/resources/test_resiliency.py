"""Resiliency files as they are written: what each field means, and what is said of one that is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.golang import yaml
from dapr_state.resiliency.policies import BreakerRule, Names, Policies, Retry
from dapr_state.resources import resiliency
from dapr_state.resources.component import Source
from dapr_state.resources.manifest import RESILIENCY, kind_of

if TYPE_CHECKING:
    from dapr_state.resources.resiliency import Reading

WHOLE = """
KIND: Resiliency
Metadata: {Name: mine, namespace: here}
scopes: [shop]
Spec:
  Policies:
    Timeouts: {a: 150, b: "150", c: 1h2m3.5s, d: .5s, e: -5s, f: 0, g: 9223372036854775807}
    retries:
      plain: {}
      bare: {duration: 150, maxRetries: 3}
      grows: {policy: Exponential, maxInterval: 2s, maxRetries: 8, matching: {httpStatusCodes: "429,500-599,,"}}
      ours: {policy: exponential, initialInterval: 10ms, multiplier: 3, randomizationFactor: 0, maxElapsedTime: 1s}
    circuitBreakers:
      plain: {}
      whole: {maxRequests: 2, interval: 8s, timeout: 45s, trip: consecutiveFailures >= 2}
      zeros: {maxRequests: 0, interval: 0, timeout: -1s}
  targets:
    apps: {other: {retry: x, circuitBreaker: y, circuitBreakerCacheSize: 5}}
    components:
      store: {outbound: {timeout: a, retry: plain, circuitBreaker: whole}}
      incoming: {inbound: {retry: plain}}
      nothing: {}
    actors:
      Cart: {timeout: a, retry: bare, circuitBreaker: whole, circuitBreakerScope: both, circuitBreakerCacheSize: 7}
      Other: {circuitBreakerScope: any text}
"""


def read(text: str) -> Reading:
    return resiliency.read(yaml.parse(text), Source("r.yaml"))


def yaml_text(spec: dict[str, Any]) -> str:
    return json.dumps({"kind": "Resiliency", "metadata": {"name": "mine"}, "spec": spec})


def test_every_field_has_its_meaning() -> None:
    """Names of fields match in any case, a bare number is milliseconds, what is left out has daprd's default."""
    reading = read(WHOLE)
    resource = reading.resource

    assert (reading.faults, reading.warnings, reading.unused) == ([], [], [])
    assert (resource.name, resource.namespace, reading.scopes) == ("mine", "here", ("shop",))
    assert resource.timeouts == {"a": 0.15, "b": 0.15, "c": 3723.5, "d": 0.5, "e": -5.0, "f": 0.0, "g": 1e9}
    assert resource.retries == {
        "plain": Retry(),
        "bare": Retry(duration=0.15, max_retries=3),
        "grows": Retry(is_exponential=True, max_interval=2.0, max_retries=8),
        "ours": Retry(is_exponential=True, initial_interval=0.01, multiplier=3.0, randomization=0.0, max_elapsed=1.0),
    }
    assert resource.breakers["plain"] == resource.breakers["zeros"] == BreakerRule()
    assert resource.breakers["whole"].trip.text == "consecutiveFailures >= 2"
    assert resource.breakers["whole"].max_requests == 2
    assert (resource.breakers["whole"].interval, resource.breakers["whole"].timeout) == (8.0, 45.0)
    assert resource.components == {
        "store": Names("a", "plain", "whole"),
        "incoming": Names(),
        "nothing": Names(),
    }
    assert resource.actors == {"Cart": Names("a", "bare", "whole", "both", 7), "Other": Names()}


@pytest.mark.parametrize("text", ["kind: Component", "kind: resiliency", "kind: [Resiliency]", "[]", "7", ""])
def test_other_documents_are_no_resiliency(text: str) -> None:
    """The kind is written exactly so, in a mapping."""
    assert kind_of(yaml.parse(text)) != RESILIENCY


# (what stands in `spec.policies`, the path of the fault, how its text begins)
WRONG = [
    ("timeouts: {a: 5x}", "timeouts.a", 'invalid duration "a", 5x: time: unknown unit "x" in duration "5x"; write mil'),
    ("timeouts: {a: 1.5}", "timeouts.a", 'invalid duration "a", 1.5: time: missing unit in duration "1.5"'),
    ("timeouts: {a: }", "timeouts.a", 'invalid duration "a", : time: invalid duration ""'),
    ("timeouts: {a: true}", "timeouts.a", 'invalid duration "a", true: time: invalid duration "true"'),
    ("timeouts: {a: ' 5s '}", "timeouts.a", 'invalid duration "a",  5s : time: invalid duration " 5s "'),
    ("timeouts: {a: PT5S}", "timeouts.a", 'invalid duration "a", PT5S: time: invalid duration "PT5S"'),
    ("timeouts: {a: 9999999h}", "timeouts.a", 'invalid duration "a", 9999999h: time: invalid duration "9999999h"'),
    ("timeouts: {a: [1]}", "timeouts.a", "a list stands where a text belongs"),
    ("timeouts: [a]", "timeouts", "a list stands where fields belong"),
    (
        "retries: {a: {policy: linear}}",
        "retries.a.policy",
        'invalid retry configuration "a": error decoding \'policy\': invalid PolicyType "linear": unexpected',
    ),
    (
        "retries: {a: {duration: 5x}}",
        "retries.a.duration",
        'invalid retry configuration "a": error decoding \'duration\': invalid duration "5x"',
    ),
    (
        "retries: {a: {duration: ''}}",
        "retries.a.duration",
        'invalid retry configuration "a": error decoding \'duration\': invalid duration ""',
    ),
    (
        "retries: {a: {maxRetries: '3'}}",
        "retries.a.maxRetries",
        'invalid retry configuration "a": \'maxRetries\' is "3", no whole number',
    ),
    (
        "retries: {a: {maxRetries: 1.5}}",
        "retries.a.maxRetries",
        "invalid retry configuration \"a\": 'maxRetries' is 1.5",
    ),
    (
        "retries: {a: {multiplier: 0.5}}",
        "retries.a.multiplier",
        'invalid retry configuration "a": \'multiplier\' is "0.5"',
    ),
    (
        "retries: {a: {randomizationFactor: 2}}",
        "retries.a.randomizationFactor",
        'invalid retry configuration "a": \'randomizationFactor\' is "2"; write a number from 0 to 1',
    ),
    ("retries: {a: 5}", "retries.a", "a number stands where fields belong"),
    (
        "retries: {a: {matching: {httpStatusCodes: 11}}}",
        "retries.a.matching.httpStatusCodes",
        "invalid pattern 11, start code 11 is not valid",
    ),
    (
        "retries: {a: {matching: {gRPCStatusCodes: 1-17}}}",
        "retries.a.matching.gRPCStatusCodes",
        "invalid pattern 1-17, end code 17 is not valid",
    ),
    (
        "retries: {a: {matching: {httpStatusCodes: 500-400}}}",
        "retries.a.matching.httpStatusCodes",
        "invalid pattern 500-400, start value should not bigger than end value",
    ),
    (
        "retries: {a: {matching: {httpStatusCodes: 400-500-600}}}",
        "retries.a.matching.httpStatusCodes",
        "invalid pattern 400-500-600, more than one '-' exists",
    ),
    (
        "retries: {a: {matching: {httpStatusCodes: 5xx}}}",
        "retries.a.matching.httpStatusCodes",
        'failed to parse start code 5xx from pattern 5xx to int, strconv.Atoi: parsing "5xx": invalid syntax',
    ),
    (
        "circuitBreakers: {a: {maxRequests: -1}}",
        "circuitBreakers.a.maxRequests",
        "invalid circuit breaker configuration \"a\": cannot parse 'maxRequests', -1.000000 overflows uint",
    ),
    (
        "circuitBreakers: {a: {trip: consecutiveFailures >}}",
        "circuitBreakers.a.trip",
        'invalid circuit breaker configuration "a": error decoding \'trip\': invalid Expr "consecutiveFailures >": ',
    ),
]


@pytest.mark.parametrize(("text", "path", "problem"), WRONG, ids=[text for text, _, _ in WRONG])
def test_what_is_wrong_is_named_and_left_out_alone(text: str, path: str, problem: str) -> None:
    """The fault has its path, daprd's reason and a mend; the policy beside it, and one behind it, are there."""
    targets = "targets: {components: {s: {outbound: {timeout: a}}}}"
    reading = read(f"kind: Resiliency\nspec: {{policies: {{{text}}}, {targets}}}")
    (fault,) = reading.faults
    resource = reading.resource

    assert fault.path == f"spec.policies.{path}"
    assert fault.text.startswith(problem)
    assert "; " in fault.text
    assert (resource.timeouts, resource.retries, resource.breakers) == ({}, {}, {})
    assert resource.components == {"s": Names("a")}


def test_what_stands_beside_a_fault_counts() -> None:
    """Faults are told in the file's order; of a target only the breaker is left out that does not say its scope."""
    reading = read(
        "kind: Resiliency\nspec: {policies: {timeouts: {a: x, b: 5s}, retries: {c: {policy: p}, d: {}}}, "
        "targets: {actors: {A: {timeout: b, circuitBreaker: cb}, B: {circuitBreaker: cb, circuitBreakerScope: Type},"
        " C: {circuitBreaker: cb, circuitBreakerScope: id, circuitBreakerCacheSize: -1}, D: 5}}}"
    )
    resource = reading.resource

    assert [fault.path.removeprefix("spec.") for fault in reading.faults] == [
        "policies.timeouts.a",
        "policies.retries.c.policy",
        "targets.actors.A.circuitBreakerScope",
        "targets.actors.B.circuitBreakerScope",
        "targets.actors.C.circuitBreakerCacheSize",
        "targets.actors.D",
    ]
    assert [fault.text.partition(";")[0] for fault in reading.faults[2:5]] == [
        "actor circuit breakers must include scope",
        'unknown circuit breaker scope "Type"',
        "must provide a positive size",
    ]
    assert (resource.timeouts, resource.retries) == ({"b": 5.0}, {"d": Retry()})
    assert resource.actors == {"A": Names("b"), "B": Names(), "C": Names()}


def test_a_resource_for_nobody_knows_is_for_nobody() -> None:
    """Scopes that are no list of texts leave all of it out: it might be meant for others."""
    reading = read("kind: Resiliency\nscopes: shop\nspec: {policies: {timeouts: {a: 5s}}}")

    assert [fault.path for fault in reading.faults] == ["scopes"]
    assert reading.resource.timeouts == {}


def test_fields_that_nothing_knows_are_told() -> None:
    """daprd passes over them: a slip of the pen is a policy without effect."""
    reading = read(
        "kind: Resiliency\nspec: {targets: {component: {}, components: {a: {outbond: {}, outbound: {retires: x}}}},"
        " policies: {retries: {r: {maxRetry: 5}}}}"
    )

    assert [unused.path.removeprefix("spec.") for unused in reading.unused] == [
        "policies.retries.r.maxRetry",
        "targets.component",
        "targets.components.a.outbond",
        "targets.components.a.outbound.retires",
    ]


def test_what_is_wrong_everywhere_is_told_some_times() -> None:
    """A thousand targets with a slip each are fifty lines and one more: 100,000 held the sidecar up for 22 s."""
    targets = {f"T{number}": {"timeout": "nope", "circuitBreaker": "nope", "odd": 1} for number in range(1000)}
    waits = {f"t{number}": "5x" for number in range(1000)}
    reading = read(yaml_text({"policies": {"timeouts": waits}, "targets": {"actors": targets}}))
    remarks = Policies([reading.resource]).remarks

    assert [len(each) for each in (reading.faults, reading.unused, remarks)] == [51, 51, 51]
    assert str(reading.faults[-1]) == "document: there is more like these 50"
    assert str(remarks[-1]) == "Resiliency mine: spec.targets names more that is not defined than these 50"


def test_names_without_measure_are_refused() -> None:
    """They would be in the log, in metrics and in metadata; as long as Kubernetes lets them be, they are taken."""
    long, longest = "n" * 100_000, "n" * 253
    document = {
        "metadata": {"name": long, "namespace": long},
        "spec": {
            "policies": {
                "timeouts": {long: "1s", longest: "1s"},
                "retries": {long: {}},
                "circuitBreakers": {long: {}, "bad": {"trip": long}},
            },
            "targets": {"components": {long: {}, "store": {"outbound": {"retry": long, "timeout": longest}}}},
        },
    }
    reading = resiliency.read(document, Source("r.yaml"))

    assert (reading.resource.name, reading.resource.timeouts) == ("", {longest: 1.0})
    assert str(reading.faults[0]) == "metadata.name: is a name of 100000 characters; write 253 at most"
    assert len(reading.faults) == 7
    assert all(len(str(fault)) < 7000 for fault in reading.faults)
    assert all(str(fault).endswith(("write 253 at most", "with numbers")) for fault in reading.faults)
