"""The API allow and deny lists: which gRPC methods and which HTTP routes they hide (runtime.md 3, state-api.md 7.5).

The two transports read the same list by different rules, as in daprd: gRPC wants `name` and `version` exactly and falls
back to "everything is open" when no gRPC rule means anything; HTTP also takes a rule for the beginning of a path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dapr_state import operations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Protocol

    class Rule(Protocol):
        """One entry of a list, as written in the Configuration."""

        @property
        def name(self) -> str: ...
        @property
        def version(self) -> str: ...
        @property
        def protocol(self) -> str: ...


GRPC_PREFIX: Final = "/dapr.proto.runtime."  # other services are never hidden
_DAPR: Final = GRPC_PREFIX + "v1.Dapr/"

_GRPC_GROUPS: Final = operations.grpc_groups()

_HTTP_NAMES: Final = frozenset({group.partition(".")[0] for group in _GRPC_GROUPS} - {"subscribe"})
_ALWAYS_OPEN: Final = "healthz"
ADMIN_SERVICES: Final = "/dapr_state.admin."  # what its methods begin with
_ADMIN: Final = "admin.v1"  # its group in the lists
ADMIN: Final = "dapr-state"  # what paths of the administration API and of the console begin with


class GrpcAccess:
    """Which gRPC methods may be called."""

    def __init__(self, allowed: Iterable[Rule], denied: Iterable[Rule]) -> None:
        allowed, denied = tuple(allowed), tuple(denied)
        self._allowed = frozenset(_grpc_methods(allowed))
        self._denied = frozenset(_grpc_methods(denied))
        groups = {f"{rule.name}.{rule.version}" for rule in allowed if rule.protocol == "grpc"}
        self._hides_admin = bool(groups) and _ADMIN not in groups
        self._hides_admin |= any(f"{rule.name}.{rule.version}" == _ADMIN for rule in denied if rule.protocol == "grpc")

    @property
    def is_limited(self) -> bool:
        return bool(self._allowed or self._denied)

    def hides(self, method: str) -> bool:
        """Whether this full method name ("/package.Service/Method") is answered as if it were not there."""
        if method.startswith(ADMIN_SERVICES):  # where there is a list it has to be named: daprd passes over such a row
            return self._hides_admin
        if not method.startswith(GRPC_PREFIX):
            return False
        return method in self._denied or bool(self._allowed and method not in self._allowed)


class HttpAccess:
    """Which HTTP routes may be called; a route is told by its first two segments."""

    def __init__(self, allowed: Iterable[Rule], denied: Iterable[Rule]) -> None:
        self._allowed = [f"{rule.version}/{rule.name}" for rule in allowed if rule.protocol.lower() == "http"]
        self._denied = [f"{rule.version}/{rule.name}" for rule in denied if rule.protocol.lower() == "http"]

    @property
    def is_limited(self) -> bool:
        return bool(self._allowed or self._denied)

    @property
    def hides_invoke(self) -> bool:
        """Whether paths that nobody serves are no service invocation either, but simply not there."""
        return self.hides("v1.0", "invoke")

    def hides(self, version: str, name: str) -> bool:
        """Whether the routes below /version/name are not served."""
        if name == _ALWAYS_OPEN:
            return False
        if version == ADMIN:  # all below it is one group
            version, name = "v1", "admin"
        if _http_match(self._denied, version, name):
            return True
        return bool(self._allowed) and not _http_match(self._allowed, version, name)


def _http_match(rules: Iterable[str], version: str, name: str) -> bool:
    group = f"{operations.VERSIONS.get(version, version)}/{name}"
    path = f"{version}/{name}/"
    return any(rule == group or path.startswith(rule) for rule in rules)


def _grpc_methods(rules: Iterable[Rule]) -> Iterator[str]:
    for rule in rules:
        if rule.protocol == "grpc":
            yield from (_DAPR + name for name in _GRPC_GROUPS.get(f"{rule.name}.{rule.version}", ()))


def warnings(allowed: Sequence[Rule], denied: Sequence[Rule]) -> list[str]:
    """What the author of the lists did not mean: rules without effect, each with what to write instead."""
    found = [_warning(rule) for rule in (*allowed, *denied)]
    open_grpc = [rule for rule in (*allowed, *denied) if rule.protocol.lower() == "grpc"]
    texts = [text for text in found if text]
    if open_grpc and not GrpcAccess(allowed, denied).is_limited:
        texts.append("No API rule for gRPC has an effect: EVERY gRPC method stays open")
    return texts


def _warning(rule: Rule) -> str:
    shown = f"API rule name={rule.name} version={rule.version} protocol={rule.protocol} has no effect"
    protocol = rule.protocol.lower()
    if protocol == "grpc" and rule.protocol != "grpc":
        return f'{shown}: write "protocol: grpc" in lower case'
    if f"{rule.name}.{rule.version}" == _ADMIN and protocol in {"grpc", "http"}:
        return ""
    if protocol == "grpc" and f"{rule.name}.{rule.version}" not in _GRPC_GROUPS:
        return f"{shown}: {_grpc_fix(rule.name)}"
    if protocol == "http" and not any(
        _http_match([f"{rule.version}/{rule.name}"], version, name)
        for version in operations.VERSIONS
        for name in _HTTP_NAMES
    ):
        return f'{shown}: no HTTP route begins with /{rule.version}/{rule.name}; write for example "version: v1"'
    if protocol not in {"grpc", "http"}:
        return f'{shown}: write "protocol: http" or "protocol: grpc"'
    return ""


def _grpc_fix(name: str) -> str:
    versions = [group.partition(".")[2] for group in _GRPC_GROUPS if group.partition(".")[0] == name]
    if versions:
        return f'write "version: {versions[0]}"' + "".join(f' or "version: {each}"' for each in versions[1:])
    names = sorted({group.partition(".")[0] for group in _GRPC_GROUPS})
    return f"there is no such API; the names are {', '.join(names)}"
