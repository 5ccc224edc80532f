"""Every operation of Dapr's API, one row each: its RPCs, the groups of the API lists, its HTTP route, its name in logs.

The API lists and the names of the API log are taken from here; a test walks the table beside the service's descriptor
and the routes that are served.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITE: Final = "POST PUT"
ANY: Final = ""
UNKNOWN: Final = "InvokeService"  # what is no route is taken for a call of another application


class Operation(NamedTuple):
    """`path` is what stands behind the version, its names in braces, `*` for the rest; empty: there is none over HTTP.

    `groups` are those of the RPCs, in their order: "state.v1" is what a list names `state` in version `v1`. `name` is
    what the API log calls it in place of a path, where that is not the first RPC's name.
    """

    rpcs: str
    groups: str
    verbs: str = ""
    path: str = ""
    name: str = ""


def _actors(rpc: str, verbs: str = "", path: str = "", name: str = "") -> Operation:
    return Operation(rpc, "actors.v1", verbs, path and f"/actors/{{type}}/{{id}}/{path}", name)


def _workflow(call: str, verbs: str, path: str) -> Operation:
    rpcs, groups = f"{call}WorkflowAlpha1 {call}WorkflowBeta1", "workflows.v1alpha1 workflows.v1beta1"
    return Operation(rpcs, groups, verbs, f"/workflows/{{component}}/{path}", f"{call}Workflow")


def _subtle(call: str, path: str = "") -> Operation:
    path = path and f"/subtlecrypto/{{name}}/{path}"
    return Operation(f"Subtle{call}Alpha1", "subtlecrypto.v1alpha1", "POST", path, f"Subtle{call}")


def _twice(rpc: str, group: str, verbs: str = "", path: str = "") -> Operation:
    """What is served as version 1 and, under its older name, as alpha."""
    return Operation(f"{rpc} {rpc}Alpha1", f"{group}.v1 {group}.v1alpha1", verbs, path)


# The first whose route fits a path has its name.
OPERATIONS: Final = (
    Operation("GetBulkState", "state.v1", WRITE, "/state/{store}/bulk"),
    Operation("ExecuteStateTransaction", "state.v1", WRITE, "/state/{store}/transaction"),
    Operation("QueryStateAlpha1", "state.v1alpha1", WRITE, "/state/{store}/query"),
    Operation("SaveState", "state.v1", WRITE, "/state/{store}"),
    Operation("GetState", "state.v1", "GET", "/state/{store}/{key}"),
    Operation("DeleteState", "state.v1", "DELETE", "/state/{store}/{key}"),
    Operation("DeleteBulkState", "state.v1"),
    Operation("", "", "GET", "/healthz", "Healthz"),
    Operation("", "", "GET", "/healthz/outbound", "HealthzOutbound"),
    Operation("GetMetadata", "metadata.v1", "GET", "/metadata"),
    Operation("SetMetadata", "metadata.v1", "PUT", "/metadata/{key}", "PutMetadata"),
    Operation("Shutdown", "shutdown.v1", "POST", "/shutdown"),
    Operation("GetBulkSecret", "secrets.v1", "GET", "/secrets/{name}/bulk"),
    Operation("GetSecret", "secrets.v1", "GET", "/secrets/{name}/{key}"),
    _twice("BulkPublishEvent", "publish", WRITE, "/publish/bulk/*"),
    Operation("PublishEvent", "publish.v1", WRITE, "/publish/{name}/*"),
    Operation("SubscribeTopicEventsAlpha1", "subscribe.v1alpha1"),
    Operation("InvokeBinding", "bindings.v1", WRITE, "/bindings/{name}"),
    _twice("GetConfiguration", "configuration", "GET", "/configuration/{name}"),
    _twice("SubscribeConfiguration", "configuration", "GET", "/configuration/{name}/subscribe"),
    _twice("UnsubscribeConfiguration", "configuration", "GET", "/configuration/{name}/{id}/unsubscribe"),
    Operation("TryLockAlpha1", "lock.v1alpha1", "POST", "/lock/{name}", "TryLock"),
    Operation("UnlockAlpha1", "unlock.v1alpha1", "POST", "/unlock/{name}", "Unlock"),
    Operation("EncryptAlpha1", "crypto.v1alpha1", "PUT", "/crypto/{name}/encrypt", "Encrypt"),
    Operation("DecryptAlpha1", "crypto.v1alpha1", "PUT", "/crypto/{name}/decrypt", "Decrypt"),
    _subtle("GetKey", "getkey"),
    _subtle("Encrypt", "encrypt"),
    _subtle("Decrypt", "decrypt"),
    _subtle("WrapKey", "wrapkey"),
    _subtle("UnwrapKey", "unwrapkey"),
    _subtle("Sign", "sign"),
    _subtle("Verify", "verify"),
    _twice("GetJob", "jobs", "GET", "/jobs/{name}"),
    _twice("ScheduleJob", "jobs", "POST", "/jobs/{name}"),
    _twice("DeleteJob", "jobs", "DELETE", "/jobs/{name}"),
    _twice("DeleteJobsByPrefix", "jobs"),
    _twice("ListJobs", "jobs"),
    _workflow("Start", "POST", "{name}/start"),
    _workflow("Get", "GET", "{id}"),
    _workflow("Terminate", "POST", "{id}/terminate"),
    _workflow("Pause", "POST", "{id}/pause"),
    _workflow("Resume", "POST", "{id}/resume"),
    _workflow("Purge", "POST", "{id}/purge"),
    _workflow("RaiseEvent", "POST", "{id}/raiseEvent/{event}"),
    Operation(
        "ConverseAlpha1 ConverseAlpha2",
        "conversation.v1alpha1 conversation.v1alpha2",
        "POST",
        "/conversation/{name}/converse",
        "Converse",
    ),
    _actors("InvokeActor", ANY, "method/*", "InvokeActor/{type}.{id}"),
    _actors("GetActorState", "GET", "state/{key}"),
    _actors("ExecuteActorStateTransaction", WRITE, "state"),
    _actors("RegisterActorReminder", WRITE, "reminders/{name}"),
    _actors("GetActorReminder", "GET", "reminders/{name}"),
    _actors("UnregisterActorReminder", "DELETE", "reminders/{name}"),
    _actors("UnregisterActorRemindersByType"),
    _actors("ListActorReminders"),
    _actors("RegisterActorTimer", WRITE, "timers/{name}"),
    _actors("UnregisterActorTimer", "DELETE", "timers/{name}"),
    Operation("SubscribeActorEventsAlpha1", "actors.v1alpha1"),
    Operation("InvokeService", "invoke.v1", ANY, "/invoke/{app}/method/?", "InvokeService/{app}"),
)


def grpc_groups() -> dict[str, frozenset[str]]:
    """The RPCs of each group."""
    found: dict[str, set[str]] = {}
    for operation in OPERATIONS:
        groups = operation.groups.split()
        for number, rpc in enumerate(operation.rpcs.split()):
            found.setdefault(groups[min(number, len(groups) - 1)], set()).add(rpc)
    return {group: frozenset(rpcs) for group, rpcs in found.items()}


def name(verb: str, path: str) -> str:
    """What the API log calls a request in place of its path; `path` is clean, its segments are as they were sent."""
    version, subject, *_ = [*path.split("/", 3)[1:], "", ""]
    if _VERSION.fullmatch(version):
        for verbs, pattern, shown in _NAMES.get(subject, ()):
            if (not verbs or verb in verbs) and (found := pattern.fullmatch(path, len(version) + 1)):
                return shown.format_map(found.groupdict())
    return UNKNOWN


_VERSION: Final = re.compile(r"v1\.0(?:-alpha[12]|-beta1)?")
_SEGMENT: Final = re.compile(r"\\\{(\w+)\\\}")


def _patterns() -> Iterator[tuple[str, frozenset[str], re.Pattern[str], str]]:
    for operation in OPERATIONS:
        if operation.path:
            regex = _SEGMENT.sub(r"(?P<\1>[^/]+)", re.escape(operation.path))
            regex = regex.replace(r"\*", ".+").replace(r"\?", ".*")
            shown = operation.name or operation.rpcs.split()[0]
            yield operation.path.split("/")[1], frozenset(operation.verbs.split()), re.compile(regex), shown


_NAMES: Final[dict[str, list[tuple[frozenset[str], re.Pattern[str], str]]]] = {}
for _subject, _verbs, _pattern, _shown in _patterns():
    _NAMES.setdefault(_subject, []).append((_verbs, _pattern, _shown))
