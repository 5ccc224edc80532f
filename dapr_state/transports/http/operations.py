"""What the API log calls a request in place of its path, which may hold keys (`obfuscateURLs`)."""

from __future__ import annotations

import re
from typing import Final

_V: Final = r"/v1\.0(?:-alpha[12]|-beta1)?"
_WRITE: Final = "POST PUT"
_ANY: Final = ""

# verbs (none: any), path, name; the first that fits
_TABLE: Final = tuple(
    (frozenset(verbs.split()), re.compile(_V + pattern), name)
    for verbs, pattern, name in (
        (_WRITE, "/state/[^/]+/bulk", "GetBulkState"),
        (_WRITE, "/state/[^/]+/transaction", "ExecuteStateTransaction"),
        (_WRITE, "/state/[^/]+/query", "QueryStateAlpha1"),
        (_WRITE, "/state/[^/]+", "SaveState"),
        ("GET", "/state/[^/]+/[^/]+", "GetState"),
        ("DELETE", "/state/[^/]+/[^/]+", "DeleteState"),
        ("GET", "/healthz", "Healthz"),
        ("GET", "/healthz/outbound", "HealthzOutbound"),
        ("GET", "/metadata", "GetMetadata"),
        ("PUT", "/metadata/[^/]+", "PutMetadata"),
        ("POST", "/shutdown", "Shutdown"),
        ("GET", "/secrets/[^/]+/bulk", "GetBulkSecret"),
        ("GET", "/secrets/[^/]+/[^/]+", "GetSecret"),
        (_WRITE, "/publish/bulk/.+", "BulkPublishEvent"),
        (_WRITE, "/publish/[^/]+/.+", "PublishEvent"),
        (_WRITE, "/bindings/[^/]+", "InvokeBinding"),
        ("GET", "/configuration/[^/]+", "GetConfiguration"),
        ("GET", "/configuration/[^/]+/subscribe", "SubscribeConfiguration"),
        ("GET", "/configuration/[^/]+/[^/]+/unsubscribe", "UnsubscribeConfiguration"),
        ("POST", "/lock/[^/]+", "TryLock"),
        ("POST", "/unlock/[^/]+", "Unlock"),
        ("PUT", "/crypto/[^/]+/encrypt", "Encrypt"),
        ("PUT", "/crypto/[^/]+/decrypt", "Decrypt"),
        ("POST", "/subtlecrypto/[^/]+/getkey", "SubtleGetKey"),
        ("POST", "/subtlecrypto/[^/]+/encrypt", "SubtleEncrypt"),
        ("POST", "/subtlecrypto/[^/]+/decrypt", "SubtleDecrypt"),
        ("POST", "/subtlecrypto/[^/]+/wrapkey", "SubtleWrapKey"),
        ("POST", "/subtlecrypto/[^/]+/unwrapkey", "SubtleUnwrapKey"),
        ("POST", "/subtlecrypto/[^/]+/sign", "SubtleSign"),
        ("POST", "/subtlecrypto/[^/]+/verify", "SubtleVerify"),
        ("GET", "/jobs/[^/]+", "GetJob"),
        (_WRITE, "/jobs/[^/]+", "ScheduleJob"),
        ("DELETE", "/jobs/[^/]+", "DeleteJob"),
        ("POST", "/workflows/[^/]+/[^/]+/start", "StartWorkflow"),
        ("GET", "/workflows/[^/]+/[^/]+", "GetWorkflow"),
        ("POST", "/workflows/[^/]+/[^/]+/terminate", "TerminateWorkflow"),
        ("POST", "/workflows/[^/]+/[^/]+/pause", "PauseWorkflow"),
        ("POST", "/workflows/[^/]+/[^/]+/resume", "ResumeWorkflow"),
        ("POST", "/workflows/[^/]+/[^/]+/purge", "PurgeWorkflow"),
        ("POST", "/workflows/[^/]+/[^/]+/raiseEvent/[^/]+", "RaiseEventWorkflow"),
        ("POST", "/conversation/[^/]+/converse", "Converse"),
        (_ANY, "/actors/(?P<type>[^/]+)/(?P<id>[^/]+)/method/.+", "InvokeActor/{type}.{id}"),
        ("GET", "/actors/[^/]+/[^/]+/state/[^/]+", "GetActorState"),
        (_WRITE, "/actors/[^/]+/[^/]+/state", "ExecuteActorStateTransaction"),
        (_WRITE, "/actors/[^/]+/[^/]+/reminders/[^/]+", "RegisterActorReminder"),
        ("GET", "/actors/[^/]+/[^/]+/reminders/[^/]+", "GetActorReminder"),
        ("DELETE", "/actors/[^/]+/[^/]+/reminders/[^/]+", "UnregisterActorReminder"),
        (_WRITE, "/actors/[^/]+/[^/]+/timers/[^/]+", "RegisterActorTimer"),
        ("DELETE", "/actors/[^/]+/[^/]+/timers/[^/]+", "UnregisterActorTimer"),
        (_ANY, "/invoke/(?P<app>[^/]+)/method/.*", "InvokeService/{app}"),
    )
)
UNKNOWN: Final = "InvokeService"  # what is no route is taken for a call of another application


def name(method: str, path: str) -> str:
    """The operation of a request; `path` is clean, and its segments are as they were sent."""
    for verbs, pattern, operation in _TABLE:
        if (not verbs or method in verbs) and (found := pattern.fullmatch(path)):
            return operation.format_map(found.groupdict())
    return UNKNOWN
