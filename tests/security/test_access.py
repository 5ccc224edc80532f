"""The API lists as rules: what they hide on either transport, and which of them are pointed out as useless."""

from __future__ import annotations

import pytest

from dapr_state.resources.configuration import ApiRule
from dapr_state.security import access
from dapr_state.security.access import GrpcAccess, HttpAccess

DAPR = "/dapr.proto.runtime.v1.Dapr/"
STATE_GRPC = ApiRule("state", "v1", "grpc")
STATE_HTTP = ApiRule("state", "v1", "http")


@pytest.mark.parametrize(
    ("allowed", "denied", "method", "hidden"),
    [
        ([], [], "GetState", False),
        ([STATE_GRPC], [], "GetState", False),
        ([STATE_GRPC], [], "GetMetadata", True),
        ([STATE_GRPC], [], "QueryStateAlpha1", True),
        ([STATE_GRPC], [], "NoSuchMethod", True),
        ([], [STATE_GRPC], "ExecuteStateTransaction", True),
        ([], [STATE_GRPC], "GetMetadata", False),
        ([STATE_GRPC], [STATE_GRPC], "GetState", True),
        ([STATE_HTTP], [], "GetMetadata", False),
        ([ApiRule("state", "v1", "GRPC")], [], "GetMetadata", False),
        ([ApiRule("state", "v1.0", "grpc")], [], "GetMetadata", False),
        ([ApiRule("state", "v1.0", "grpc"), ApiRule("metadata", "v1", "grpc")], [], "GetState", True),
    ],
)
def test_grpc_methods_are_hidden_by_exact_rules(
    allowed: list[ApiRule], denied: list[ApiRule], method: str, hidden: bool
) -> None:
    """Denied wins, an allow-list hides the rest, and lists in which no gRPC rule fits hide nothing, as in daprd."""
    assert GrpcAccess(allowed, denied).hides(DAPR + method) is hidden


def test_other_services_are_never_hidden() -> None:
    """The lists are about Dapr's own API."""
    assert not GrpcAccess([STATE_GRPC], []).hides("/grpc.health.v1.Health/Check")


@pytest.mark.parametrize(
    ("allowed", "denied", "path", "hidden"),
    [
        ([], [], "v1.0/state", False),
        ([STATE_HTTP], [], "v1.0/state", False),
        ([STATE_HTTP], [], "v1.0-alpha1/state", True),
        ([STATE_HTTP], [], "v1.0/metadata", True),
        ([STATE_HTTP], [], "v1.0/healthz", False),
        ([ApiRule("state", "v1.0", "HTTP")], [], "v1.0/state", False),
        ([ApiRule("s", "v1.0", "http")], [], "v1.0/secrets", False),
        ([], [ApiRule("", "v1.0-alpha1", "http")], "v1.0-alpha1/lock", True),
        ([], [ApiRule("healthz", "v1.0", "http")], "v1.0/healthz", False),
        ([STATE_HTTP], [STATE_HTTP], "v1.0/state", True),
        ([STATE_GRPC], [], "v1.0/metadata", False),
    ],
)
def test_http_routes_are_hidden_by_group_or_prefix(
    allowed: list[ApiRule], denied: list[ApiRule], path: str, hidden: bool
) -> None:
    """Both spellings of the version work, and health is always open."""
    assert HttpAccess(allowed, denied).hides(*path.split("/")) is hidden


@pytest.mark.parametrize(
    ("rule", "fix"),
    [
        (ApiRule("state", "v1.0", "grpc"), 'write "version: v1" or "version: v1alpha1"'),
        (ApiRule("states", "v1", "grpc"), "there is no such API; the names are actors, bindings"),
        (ApiRule("state", "v1", "GRPC"), 'write "protocol: grpc" in lower case'),
        (ApiRule("state", "v2", "http"), "no HTTP route begins with /v2/state"),
        (ApiRule("state", "v1", ""), 'write "protocol: http" or "protocol: grpc"'),
    ],
)
def test_a_rule_without_effect_is_named_with_its_fix(rule: ApiRule, fix: str) -> None:
    """Who writes such a rule believes to be protected."""
    told = access.warnings([rule], [])

    assert f"name={rule.name} version={rule.version} protocol={rule.protocol} has no effect" in told[0]
    assert fix in told[0]


def test_that_all_of_grpc_stays_open_is_said() -> None:
    """One more line when the lists as a whole do nothing for gRPC."""
    assert "EVERY gRPC method stays open" in access.warnings([ApiRule("state", "v1.0", "grpc")], [])[-1]


def test_useful_rules_are_not_commented() -> None:
    """No warning without a reason."""
    assert access.warnings([STATE_GRPC, STATE_HTTP, ApiRule("state", "v1.0", "http")], [STATE_GRPC]) == []
