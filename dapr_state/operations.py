"""Every operation of Dapr's API, one row each: all that the transports, the API lists, logs and traces know of it.

From here come the HTTP routes, the groups of the API lists, the names in the API log, what a span is about, and the
answer of those building blocks that this sidecar does not have. Tables are made of it at start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from dapr_state import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dapr_state.errors import ErrorRow

WRITE: Final = "POST PUT"
CALL: Final = "GET POST PUT DELETE"
ANY: Final = "GET HEAD POST PUT PATCH DELETE CONNECT OPTIONS TRACE"
UNKNOWN: Final = "InvokeService"  # what is no route is taken for a call of another application

# The first segment of an HTTP path, and what the API lists call it
VERSIONS: Final = {"v1.0": "v1", "v1.0-alpha1": "v1alpha1", "v1.0-alpha2": "v1alpha2", "v1.0-beta1": "v1beta1"}

# What a span tells of its call
STORE: Final = "store"
STORE_OVER_HTTP: Final = "store, over HTTP"
ACTOR: Final = "actor"
ACTOR_STATE: Final = "actor's state"


class Operation(NamedTuple):
    """`path` is what stands behind the version, its names in braces, at the end perhaps `*` for one segment or more.

    `groups` are those of the RPCs, in their order: "state.v1" is what a list names `state` in version `v1`; over HTTP
    there is a route for the version of each. `name` is what the API log calls it in place of a path, where that is not
    the first RPC's name. `absent` is the answer where the building block is not there; what it depends on more than
    names stands in the two `unconfigured.py`.
    """

    rpcs: str
    groups: str
    verbs: str = ""
    path: str = ""
    name: str = ""
    span: str = ""
    absent: ErrorRow | None = None
    is_stream: bool = False

    @property
    def key(self) -> str:
        """What its answer over HTTP is found by."""
        return self.rpcs.split()[0] if self.rpcs else self.name

    @property
    def shown(self) -> str:
        return self.name or self.key

    def paths(self) -> Iterator[str]:
        """Its path in each version."""
        groups = {each.partition(".")[2] for each in self.groups.split()}
        yield from (f"/{version}{self.path}" for version, called in VERSIONS.items() if self.path and called in groups)


def _actors(rpc: str, verbs: str = "", path: str = "", name: str = "", span: str = "") -> Operation:
    return Operation(rpc, "actors.v1", verbs, path and f"/actors/{{type}}/{{id}}/{path}", name, span)


def _workflow(call: str, verbs: str, path: str) -> Operation:
    rpcs, groups = f"{call}WorkflowAlpha1 {call}WorkflowBeta1", "workflows.v1alpha1 workflows.v1beta1 workflows.v1"
    path = f"/workflows/{{component}}/{path}"
    return Operation(rpcs, groups, verbs, path, f"{call}Workflow", absent=errors.ACTOR_NO_PLACEMENT)


def _subtle(call: str) -> Operation:
    path = f"/subtlecrypto/{{name}}/{call.lower()}"
    rpc, name = f"Subtle{call}Alpha1", f"Subtle{call}"
    return Operation(rpc, "subtlecrypto.v1alpha1", "POST", path, name, absent=errors.SUBTLE_CRYPTO)


def _crypto(call: str) -> Operation:
    path = f"/crypto/{{name}}/{call.lower()}"
    return Operation(
        f"{call}Alpha1", "crypto.v1alpha1", "PUT", path, call, absent=errors.CRYPTO_NOT_CONFIGURED, is_stream=True
    )


def _twice(
    rpc: str, group: str, verbs: str = "", path: str = "", *, absent: ErrorRow | None = None, is_stream: bool = False
) -> Operation:
    """What is served as version 1 and, under its older name, as alpha."""
    rpcs, groups = f"{rpc} {rpc}Alpha1", f"{group}.v1 {group}.v1alpha1"
    return Operation(rpcs, groups, verbs, path, absent=absent, is_stream=is_stream)


# The first whose path fits a request answers it.
OPERATIONS: Final = (
    Operation("GetBulkState", "state.v1", WRITE, "/state/{store}/bulk", span=STORE_OVER_HTTP),
    Operation("ExecuteStateTransaction", "state.v1", WRITE, "/state/{store}/transaction", span=STORE_OVER_HTTP),
    Operation("QueryStateAlpha1", "state.v1alpha1", WRITE, "/state/{store}/query", span=STORE_OVER_HTTP),
    Operation("SaveState", "state.v1", WRITE, "/state/{store}", span=STORE),
    Operation("GetState", "state.v1", "GET", "/state/{store}/{key}", span=STORE),
    Operation("DeleteState", "state.v1", "DELETE", "/state/{store}/{key}", span=STORE),
    Operation("DeleteBulkState", "state.v1"),
    Operation("", "healthz.v1", "GET", "/healthz", "Healthz"),
    Operation("", "healthz.v1", "GET", "/healthz/outbound", "HealthzOutbound"),
    Operation("GetMetadata", "metadata.v1", "GET", "/metadata"),
    Operation("SetMetadata", "metadata.v1", "PUT", "/metadata/{key}", "PutMetadata"),
    Operation("Shutdown", "shutdown.v1", "POST", "/shutdown"),
    _actors("InvokeActor", CALL, "method/{method}", "InvokeActor/{type}.{id}", ACTOR),
    _actors("GetActorState", "GET", "state/{key}", span=ACTOR_STATE),
    _actors("ExecuteActorStateTransaction", WRITE, "state", span=ACTOR_STATE),
    _actors("RegisterActorReminder", WRITE, "reminders/{name}"),
    _actors("GetActorReminder", "GET", "reminders/{name}"),
    _actors("UnregisterActorReminder", "DELETE", "reminders/{name}"),
    _actors("UnregisterActorRemindersByType"),
    _actors("ListActorReminders"),
    _actors("RegisterActorTimer", WRITE, "timers/{name}"),
    _actors("UnregisterActorTimer", "DELETE", "timers/{name}"),
    Operation("SubscribeActorEventsAlpha1", "actors.v1alpha1", is_stream=True),
    # Those of building blocks that are not here
    Operation("InvokeService", "invoke.v1", ANY, "/invoke/{app}/method/*", "InvokeService/{app}"),
    Operation("InvokeBinding", "bindings.v1", WRITE, "/bindings/{name}"),
    _twice("BulkPublishEvent", "publish", WRITE, "/publish/bulk/{name}/*", absent=errors.PUBSUB_NOT_FOUND),
    Operation("PublishEvent", "publish.v1", WRITE, "/publish/{name}/*", absent=errors.PUBSUB_NOT_FOUND),
    Operation(
        "SubscribeTopicEventsAlpha1", "subscribe.v1alpha1", absent=errors.SUBSCRIPTION_NOT_REQUESTED, is_stream=True
    ),
    Operation("GetBulkSecret", "secrets.v1", "GET", "/secrets/{name}/bulk", absent=errors.SECRET_STORES_NOT_CONFIGURED),
    Operation("GetSecret", "secrets.v1", "GET", "/secrets/{name}/{key}", absent=errors.SECRET_STORES_NOT_CONFIGURED),
    _twice(
        "GetConfiguration",
        "configuration",
        "GET",
        "/configuration/{name}",
        absent=errors.CONFIGURATION_NOT_CONFIGURED,
    ),
    _twice(
        "SubscribeConfiguration",
        "configuration",
        "GET",
        "/configuration/{name}/subscribe",
        absent=errors.CONFIGURATION_NOT_CONFIGURED,
        is_stream=True,
    ),
    _twice(
        "UnsubscribeConfiguration",
        "configuration",
        "GET",
        "/configuration/{name}/{id}/unsubscribe",
        absent=errors.CONFIGURATION_NOT_CONFIGURED,
    ),
    Operation("TryLockAlpha1", "lock.v1alpha1", "POST", "/lock/{name}", "TryLock", absent=errors.LOCK_NOT_CONFIGURED),
    Operation("UnlockAlpha1", "unlock.v1alpha1", "POST", "/unlock/{name}", "Unlock", absent=errors.LOCK_NOT_CONFIGURED),
    _crypto("Encrypt"),
    _crypto("Decrypt"),
    _subtle("GetKey"),
    _subtle("Encrypt"),
    _subtle("Decrypt"),
    _subtle("WrapKey"),
    _subtle("UnwrapKey"),
    _subtle("Sign"),
    _subtle("Verify"),
    _twice("GetJob", "jobs", "GET", "/jobs/{name}", absent=errors.JOB_GET),
    _twice("ScheduleJob", "jobs", "POST", "/jobs/{name}", absent=errors.JOB_SCHEDULE),
    _twice("DeleteJob", "jobs", "DELETE", "/jobs/{name}", absent=errors.JOB_DELETE),
    _twice("DeleteJobsByPrefix", "jobs", absent=errors.JOB_DELETE),
    _twice("ListJobs", "jobs", absent=errors.JOB_LIST),
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
        absent=errors.CONVERSATION_NOT_FOUND,
    ),
)


def grpc_groups() -> dict[str, frozenset[str]]:
    """The RPCs of each group."""
    found: dict[str, set[str]] = {}
    for operation in OPERATIONS:
        groups = operation.groups.split()
        for number, rpc in enumerate(operation.rpcs.split()):
            found.setdefault(groups[min(number, len(groups) - 1)], set()).add(rpc)
    return {group: frozenset(rpcs) for group, rpcs in found.items()}
