"""Every error that a caller can be given: one row each, with its code, HTTP and gRPC status, sentence and details."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, Final, TypeVar

from msgspec import Struct, structs

E = TypeVar("E", bound=Exception)


class Grpc(IntEnum):
    """The gRPC status codes that are used here."""

    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


# Characters of an error's text: it may name what a caller gave, or many keys; daprd gives back 4 MB and more, which no
# client takes from a trailer.
MAX_TEXT: Final = 16 * 1024


def shortened(text: str, limit: int = MAX_TEXT) -> str:
    """The text, or as much of it as there is room for."""
    return text if len(text) <= limit else f"{text[:limit]}…"


def untraced(error: E) -> E:
    """An error that is to be kept for a while, without tracebacks.

    Their frames, and those that called them, hold the request; the one that keeps the error is among them: a cycle.
    """
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


def _shortened(field: Any) -> Any:
    return shortened(str(field)) if isinstance(field, str | Exception) else field


# The kinds of detail, as in google/rpc/error_details.proto. `None` as metadata is shown as JSON null.


class ErrorInfo(Struct, frozen=True):
    reason: str
    metadata: Mapping[str, str] | None = None
    http_metadata: Mapping[str, str] | None = None  # daprd's HTTP handlers add the app id, its gRPC ones do not
    domain: str = "dapr.io"


class ResourceInfo(Struct, frozen=True):
    name: str
    kind: str = "state"


class BadRequest(Struct, frozen=True):
    field: str  # "" = not named
    description: str
    http_description: str = ""  # where the two transports differ


class Help(Struct, frozen=True):
    url: str
    description: str


Detail = ErrorInfo | ResourceInfo | BadRequest | Help
Details = Callable[[Mapping[str, Any]], tuple[Detail, ...]]


class DaprError(Exception):
    """An answer that is an error. Only the transports look at the two statuses."""

    def __init__(self, row: ErrorRow, message: str, details: tuple[Detail, ...], http_message: str) -> None:
        super().__init__(message)
        self.row = row
        self.message = message
        self.details = details
        self.http_message = http_message


class ErrorRow(Struct, frozen=True):
    """One kind of error. Called with the sentence's fields, it makes the error to raise."""

    code: str  # errorCode over HTTP; over gRPC the reason of the one ErrorInfo where `details` gives none
    http: int
    grpc: Grpc
    sentence: str
    details: Details | None = None
    http_sentence: str = ""  # where the two transports differ
    grpc_reason: str = ""  # where it is not `code`
    grpc_info: ErrorInfo | None = None  # the one detail over gRPC, where a component has said it
    bare: bool = False  # gRPC carries no details at all

    def __call__(self, **fields: Any) -> DaprError:
        fields = {name: _shortened(value) for name, value in fields.items()}
        details = self.details(fields) if self.details else ()
        message = self.sentence.format_map(fields)
        http_message = self.http_sentence.format_map(fields) if self.http_sentence else message
        return DaprError(self, shortened(message), details, shortened(http_message))

    def conflict(self) -> ErrorRow:
        """The same error where the cause is an etag that does not match."""
        return structs.replace(self, http=409, grpc=Grpc.ABORTED)

    def own(self, http: int, grpc: int, text: str, info: ErrorInfo) -> ErrorRow:
        """The same error where a pluggable component says itself what it is: over gRPC nothing else is left of it."""
        known = next((each for each in Grpc if each == grpc), Grpc.UNKNOWN)
        sentence = text.replace("{", "{{").replace("}", "}}")
        http_sentence = self.http_sentence or self.sentence
        return structs.replace(
            self, http=http, grpc=known, sentence=sentence, http_sentence=http_sentence, details=None, grpc_info=info
        )

    def in_own_words(self, http: int, grpc: int, text: str, info: ErrorInfo, tag: str) -> ErrorRow:
        """As `own`, of the calls where over HTTP too nothing else is left."""
        row = self.own(http, grpc, text, info)
        return structs.replace(row, code=tag or info.reason, http_sentence="", details=lambda _: (info,))

    def of_peer(self, code: int) -> ErrorRow:
        """The same error where another sidecar has refused the call: over gRPC its code and text go on unchanged."""
        known = next((each for each in Grpc if each == code), Grpc.UNKNOWN)
        return structs.replace(self, grpc=known, sentence="{details}", http_sentence=self.sentence)

    def invalid(self) -> ErrorRow:
        """The same error where the cause is an etag of a form that the store never makes."""
        return structs.replace(self, http=400, grpc=Grpc.INVALID_ARGUMENT)


def _info(reason: str, *metadata: str) -> Details:
    """An ErrorInfo whose metadata are the named fields of the error, as text."""
    return lambda fields: (ErrorInfo(reason, {name: str(fields[name]) for name in metadata} or None),)


def _info_of_app(reason: str) -> Details:
    return lambda fields: (ErrorInfo(reason, http_metadata={"appID": fields["app_id"]} if fields["app_id"] else None),)


def _of_store(*before: Callable[[Mapping[str, Any]], Detail], info: Details) -> Details:
    return lambda fields: (*(make(fields) for make in before), ResourceInfo(fields["store"]), *info(fields))


def _key_violation(fields: Mapping[str, Any]) -> BadRequest:
    sentence = ILLEGAL_KEY_SENTENCE.format_map(fields)
    return BadRequest(fields["field"], sentence, HTTP_ILLEGAL_KEY_PREFIX + sentence)


def _stores_help(_: Mapping[str, Any]) -> Help:
    return Help(
        "https://docs.dapr.io/reference/components-reference/supported-state-stores/",
        "Check the list of state stores and the features they support",
    )


ILLEGAL_KEY_SENTENCE = "input key/keyPrefix '{key}' can't contain '||'"
HTTP_ILLEGAL_KEY_PREFIX = "api error: code = InvalidArgument desc = "  # daprd wraps the error twice there

# State: state-api.md 4.2 (with details on both transports) and 4.3 (details over gRPC only).

STATE_STORE_NOT_CONFIGURED = ErrorRow(
    "ERR_STATE_STORE_NOT_CONFIGURED",
    500,
    Grpc.FAILED_PRECONDITION,
    "state store {store} is not configured",
    _info_of_app("DAPR_STATE_NOT_CONFIGURED"),
)
STATE_STORE_NOT_FOUND = ErrorRow(
    "ERR_STATE_STORE_NOT_FOUND",
    400,
    Grpc.INVALID_ARGUMENT,
    "state store {store} is not found",
    _info_of_app("DAPR_STATE_NOT_FOUND"),
)
ILLEGAL_KEY = ErrorRow(
    "ERR_MALFORMED_REQUEST",
    400,
    Grpc.INVALID_ARGUMENT,
    ILLEGAL_KEY_SENTENCE,
    _of_store(_key_violation, info=_info("DAPR_STATE_ILLEGAL_KEY")),
    http_sentence=HTTP_ILLEGAL_KEY_PREFIX + ILLEGAL_KEY_SENTENCE,
)
STATE_TRANSACTIONS_NOT_SUPPORTED = ErrorRow(
    "ERR_STATE_STORE_NOT_SUPPORTED",
    500,
    Grpc.UNIMPLEMENTED,
    "state store {store} doesn't support transactions",
    _of_store(_stores_help, info=_info("DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED")),
)
STATE_TOO_MANY_OPERATIONS = ErrorRow(
    "ERR_STATE_STORE_TOO_MANY_TRANSACTIONS",
    400,
    Grpc.INVALID_ARGUMENT,
    "the transaction contains {currentOpsTransaction} operations, "
    "which is more than what the state store supports: {maxOpsPerTransaction}",
    _of_store(info=_info("DAPR_STATE_TOO_MANY_TRANSACTIONS", "currentOpsTransaction", "maxOpsPerTransaction")),
)
STATE_QUERY_NOT_SUPPORTED = ErrorRow(
    "ERR_STATE_STORE_NOT_SUPPORTED",
    500,
    Grpc.INTERNAL,
    "state store does not support querying",
    _of_store(info=_info("DAPR_STATE_QUERYING_NOT_SUPPORTED")),
)
STATE_QUERY = ErrorRow(
    "ERR_STATE_QUERY",
    500,
    Grpc.INTERNAL,
    "state store {store} query failed: {cause}",
    _of_store(info=_info("DAPR_STATE_QUERY_FAILED")),
)
# Not of daprd: it has no bounds
STATE_QUERY_TOO_LARGE = structs.replace(STATE_QUERY, http=413, grpc=Grpc.RESOURCE_EXHAUSTED)
STATE_QUERIES_TOO_MANY = structs.replace(STATE_QUERY, http=503, grpc=Grpc.RESOURCE_EXHAUSTED)
STATE_KEY_EMPTY = ErrorRow(
    "ERR_MALFORMED_REQUEST",
    400,
    Grpc.INVALID_ARGUMENT,
    "state key cannot be empty",
    http_sentence='"key" is a required field',
    grpc_reason="ERR_STATE_SAVE",
)
STATE_VALUE_NOT_JSON = ErrorRow("ERR_MALFORMED_REQUEST", 400, Grpc.UNKNOWN, "{cause}", bare=True)
STATE_OPERATION_UNKNOWN = ErrorRow(
    "ERR_NOT_SUPPORTED_STATE_OPERATION", 400, Grpc.UNIMPLEMENTED, "operation type {operation} not supported"
)
STATE_GET = ErrorRow("ERR_STATE_GET", 500, Grpc.INTERNAL, "fail to get {key} from state store {store}: {cause}")
STATE_BULK_GET = ErrorRow("ERR_STATE_BULK_GET", 500, Grpc.INTERNAL, "{cause}")
# where a policy has ended the call
STATE_BULK_GET_LATE = structs.replace(STATE_BULK_GET, grpc=Grpc.DEADLINE_EXCEEDED, bare=True)
STATE_BULK_GET_REFUSED = structs.replace(STATE_BULK_GET, grpc=Grpc.UNKNOWN, bare=True)
# Not of daprd: it makes an answer of any size
STATE_ANSWER_TOO_LARGE = ErrorRow(
    "ERR_STATE_ANSWER_TOO_LARGE",
    413,
    Grpc.RESOURCE_EXHAUSTED,
    "the values of the keys asked for are more than {limit} bytes together: ask for fewer keys at a time",
)
STATE_SAVE = ErrorRow(
    "ERR_STATE_SAVE",
    500,
    Grpc.INTERNAL,
    "failed saving state in state store {store}: {cause}",
    http_sentence="failed saving state in state store {store}: {http_cause}",
)
STATE_DELETE = ErrorRow("ERR_STATE_DELETE", 500, Grpc.INTERNAL, "failed deleting state with key {key}: {cause}")
STATE_BULK_DELETE = ErrorRow(
    "ERR_STATE_BULK_DELETE", 500, Grpc.INTERNAL, "failed deleting state in state store {store}: {cause}"
)
STATE_TRANSACTION = ErrorRow(
    "ERR_STATE_TRANSACTION", 500, Grpc.INTERNAL, "error while executing state transaction: {cause}"
)

# What only HTTP can get wrong: state-api.md 4.3, 4.4, 8.

MALFORMED_REQUEST = ErrorRow("ERR_MALFORMED_REQUEST", 400, Grpc.INVALID_ARGUMENT, "{cause}")
MALFORMED_BODY = ErrorRow(
    "ERR_MALFORMED_REQUEST", 400, Grpc.INVALID_ARGUMENT, "failed deserializing HTTP body: {cause}"
)
BODY_READ = ErrorRow("ERR_BODY_READ", 400, Grpc.INVALID_ARGUMENT, "failed to read request body: {cause}")

# Actors: actors.md 1.1. Over gRPC they have no details.


def _of_actors(code: str, http: int, grpc: Grpc, sentence: str, http_sentence: str = "") -> ErrorRow:
    return ErrorRow(code, http, grpc, sentence, http_sentence=http_sentence, bare=True)


ACTOR_NO_PLACEMENT = _of_actors("ERR_ACTOR_NO_PLACEMENT", 400, Grpc.UNAVAILABLE, "placement service is not configured")
ACTOR_RUNTIME_CLOSED = _of_actors("ERR_ACTOR_RUNTIME_CLOSED", 503, Grpc.UNAVAILABLE, "actor runtime is closed")
# Not of daprd: it lets callers wait for the application without end
ACTOR_APP_AWAY = _of_actors("ERR_ACTOR_APP_AWAY", 503, Grpc.UNAVAILABLE, "actors cannot be reached: {cause}")
ACTOR_NO_STATE_STORE = _of_actors(
    "ERR_ACTOR_RUNTIME_NOT_FOUND",
    500,
    Grpc.INTERNAL,
    "the state store is not configured to use the actor runtime. Have you set the - name: actorStateStore "
    'value: "true" in your state store component file?',
)
ACTOR_TYPE_RESERVED = _of_actors(
    "ERR_ACTOR_TYPE_RESERVED",
    403,
    Grpc.PERMISSION_DENIED,
    'actor type "{type}" is reserved for the Dapr workflow runtime; direct actor API access is not permitted',
)
ACTOR_BAD_NAME = _of_actors(
    "ERR_BAD_REQUEST", 400, Grpc.INVALID_ARGUMENT, "{cause}", http_sentence="invalid request: {http_cause}"
)
ACTOR_BODY = _of_actors("ERR_BAD_REQUEST", 400, Grpc.INVALID_ARGUMENT, "invalid request: failed to read body: {cause}")
ACTOR_INVOKE = _of_actors("ERR_ACTOR_INVOKE_METHOD", 500, Grpc.INTERNAL, "error invoke actor method: {cause}")
ACTOR_NO_HOST = _of_actors(
    "ERR_ACTOR_INVOKE_METHOD",
    500,
    Grpc.FAILED_PRECONDITION,
    "failed to lookup actor: api error: code = FailedPrecondition desc = {cause}",
    http_sentence="error invoke actor method: "
    "failed to lookup actor: api error: code = FailedPrecondition desc = {cause}",
)
ACTOR_STACK_DEPTH = _of_actors("ERR_ACTOR_STACK_DEPTH", 500, Grpc.RESOURCE_EXHAUSTED, "maximum stack depth exceeded")
ACTOR_INSTANCE_MISSING = _of_actors("ERR_ACTOR_INSTANCE_MISSING", 400, Grpc.INTERNAL, "actor instance is missing")
ACTOR_STATE_GET = _of_actors("ERR_ACTOR_STATE_GET", 500, Grpc.INTERNAL, "error getting actor state: {cause}")
ACTOR_STATE_TRANSACTION = _of_actors(
    "ERR_ACTOR_STATE_TRANSACTION_SAVE", 500, Grpc.INTERNAL, "error saving actor transaction state: {cause}"
)
ACTOR_REMINDER_NON_HOSTED = _of_actors(
    "ERR_ACTOR_REMINDER_NON_HOSTED",
    403,
    Grpc.PERMISSION_DENIED,
    "operations on actor reminders are only possible on hosted actor types",
)
ACTOR_REMINDER_CREATE = _of_actors(
    "ERR_ACTOR_REMINDER_CREATE", 500, Grpc.INTERNAL, "error creating actor reminder: {cause}"
)
ACTOR_REMINDER_ALREADY_EXISTS = _of_actors(
    "ERR_ACTOR_REMINDER_ALREADY_EXISTS", 409, Grpc.ALREADY_EXISTS, "actor reminder already exists: {name}"
)
ACTOR_REMINDER_NOT_FOUND = _of_actors(
    "ERR_ACTOR_REMINDER_NOT_FOUND", 404, Grpc.NOT_FOUND, "actor reminder not found: {name}"
)
ACTOR_REMINDER_GET = _of_actors("ERR_ACTOR_REMINDER_GET", 500, Grpc.INTERNAL, "error getting actor reminder: {cause}")
ACTOR_REMINDER_DELETE = _of_actors(
    "ERR_ACTOR_REMINDER_DELETE", 500, Grpc.INTERNAL, "error deleting actor reminder: {cause}"
)
ACTOR_TIMER_CREATE = _of_actors("ERR_ACTOR_TIMER_CREATE", 500, Grpc.INTERNAL, "error creating actor timer: {cause}")

# The stream on which an application hosts actors: actors.md 1.4. There is none over HTTP.

ACTOR_STREAM_WITHOUT_GRPC_APP = ErrorRow(
    "ERR_ACTOR_STREAM",
    500,
    Grpc.FAILED_PRECONDITION,
    "actor callback streaming requires a gRPC app channel",
    bare=True,
)
ACTOR_STREAM_FIRST_MESSAGE = ErrorRow(
    "ERR_ACTOR_STREAM",
    500,
    Grpc.INVALID_ARGUMENT,
    "first message must be SubscribeActorEventsRequestInitialAlpha1",
    bare=True,
)

# The building blocks that are not built here, as daprd answers where none is configured: runtime.md 5.5. What one
# transport alone can say stands in its unconfigured.py. Workflows are actors to daprd: ACTOR_NO_PLACEMENT.

NO_APP_ID = ErrorRow(
    "ERR_DIRECT_INVOKE",
    404,
    Grpc.INTERNAL,
    "failed to invoke, id: , err: app id is empty",
    http_sentence="failed getting app id either from the URL path or the header dapr-app-id",
    bare=True,
)
INVOKE_FAILED = ErrorRow(
    "ERR_DIRECT_INVOKE", 500, Grpc.INTERNAL, "failed to invoke, id: {app_id}, err: {cause}", bare=True
)
PUBSUB_NOT_FOUND = ErrorRow(
    "ERR_PUBSUB_NOT_FOUND",
    404,
    Grpc.INVALID_ARGUMENT,
    "pubsub {name} is not found",
    lambda _: (ErrorInfo("DAPR_PUBSUB_NOT_FOUND", metadata={}),),
)
PUBSUB_NAME_EMPTY = ErrorRow(
    "ERR_PUBSUB_EMPTY",
    404,
    Grpc.INVALID_ARGUMENT,
    "pubsub name is empty",
    lambda _: (ResourceInfo("", "pubsub"), ErrorInfo("DAPR_PUBSUB_NAME_EMPTY")),
)
SUBSCRIPTION_NOT_REQUESTED = ErrorRow("", 500, Grpc.UNKNOWN, "initial request is required", bare=True)
BINDING_INVOKE = ErrorRow(
    "ERR_INVOKE_OUTPUT_BINDING", 500, Grpc.INTERNAL, "error invoking output binding {name}: {cause}"
)
SECRET_STORES_NOT_CONFIGURED = ErrorRow(
    "ERR_SECRET_STORES_NOT_CONFIGURED", 500, Grpc.FAILED_PRECONDITION, "secret store is not configured", bare=True
)
CONFIGURATION_NOT_CONFIGURED = ErrorRow(
    "ERR_CONFIGURATION_STORE_NOT_CONFIGURED", 500, Grpc.FAILED_PRECONDITION, "configuration stores not configured"
)
LOCK_NOT_CONFIGURED = ErrorRow(
    "ERR_LOCK_STORE_NOT_CONFIGURED", 500, Grpc.FAILED_PRECONDITION, "lock store is not configured", bare=True
)
LOCK_EXPIRY = ErrorRow(
    "ERR_MALFORMED_REQUEST",
    400,
    Grpc.INVALID_ARGUMENT,
    "ExpiryInSeconds is not positive in lock store {name}",
    bare=True,
)
CRYPTO_NOT_CONFIGURED = ErrorRow(
    "ERR_CRYPTO_PROVIDERS_NOT_CONFIGURED",
    500,
    Grpc.INVALID_ARGUMENT,
    "invalid request: first message does not contain the required options",
    http_sentence="crypto providers not configured",
    bare=True,
)
SUBTLE_CRYPTO = ErrorRow(
    "ERR_API_UNIMPLEMENTED", 501, Grpc.UNIMPLEMENTED, "this API is currently not implemented", bare=True
)
CONVERSATION_NOT_FOUND = ErrorRow(
    "ERR_CONVERSATION_NOT_FOUND",
    400,
    Grpc.INVALID_ARGUMENT,
    "failed finding conversation component {name}",
    bare=True,
)


def _of_jobs(reason: str, sentence: str, http: int = 500, grpc: Grpc = Grpc.INTERNAL) -> ErrorRow:
    code = f"DAPR_SCHEDULER_{reason}"
    return ErrorRow(code, http, grpc, sentence, _info(code, "appID", "namespace"))


JOB_SCHEDULE = _of_jobs("SCHEDULE_JOB", "failed to schedule job due to: scheduler clients are disabled")
JOB_GET = _of_jobs("GET_JOB", "failed to get job due to: scheduler clients are disabled")
JOB_DELETE = _of_jobs("DELETE_JOB", "failed to delete job due to: scheduler clients are disabled")
JOB_LIST = _of_jobs("LIST_JOBS", "failed to list jobs due to: scheduler clients are disabled")
JOB_EMPTY = _of_jobs("EMPTY", "Job is empty", 400, Grpc.INVALID_ARGUMENT)
JOB_NAME_EMPTY = _of_jobs("JOB_NAME_EMPTY", "Name is empty", 400, Grpc.INVALID_ARGUMENT)
JOB_SCHEDULE_EMPTY = _of_jobs("SCHEDULE_EMPTY", "Schedule is empty", 400, Grpc.INVALID_ARGUMENT)


def not_invoked(app_id: str, own_app_id: str) -> DaprError:
    """Why a call that daprd would pass on to an application goes nowhere: this sidecar passes nothing on."""
    if not app_id:
        return NO_APP_ID()
    if app_id == own_app_id:
        return INVOKE_FAILED(app_id=app_id, cause="cannot invoke local endpoint: app channel not initialized")
    return INVOKE_FAILED(app_id=app_id, cause=f"couldn't find service: {app_id}")


def not_bound(name: str, *, has_operation: bool) -> DaprError:
    """Why an output binding is not invoked: daprd looks at the operation first."""
    cause = f"couldn't find output binding {name}" if has_operation else "operation field is missing from request"
    return BINDING_INVOKE(name=name, cause=cause)


# The sidecar itself: runtime.md 5.1.

NOT_READY = ErrorRow("ERR_HEALTH_NOT_READY", 500, Grpc.UNAVAILABLE, "dapr is not ready: [{targets}]")
OUTBOUND_NOT_READY = ErrorRow("ERR_OUTBOUND_HEALTH_NOT_READY", 500, Grpc.UNAVAILABLE, "dapr outbound is not ready")
OTHER_APP_ID = ErrorRow("ERR_HEALTH_APPID_NOT_MATCH", 500, Grpc.INVALID_ARGUMENT, "dapr app-id does not match")

# Not of daprd: it holds whatever it is sent
REQUEST_MEMORY = ErrorRow(
    "ERR_REQUEST_MEMORY",
    503,
    Grpc.RESOURCE_EXHAUSTED,
    "too many large requests wait for memory: try again, or start the sidecar with a larger --max-request-memory",
)

# Not of daprd either: any page of a browser on the same machine may call it
FOREIGN_HOST = ErrorRow(
    "ERR_FOREIGN_HOST",
    403,
    Grpc.PERMISSION_DENIED,
    "requests for the host {host} are not answered here: name it with --allowed-hosts if they should be",
)
FOREIGN_ORIGIN = ErrorRow(
    "ERR_FOREIGN_ORIGIN",
    403,
    Grpc.PERMISSION_DENIED,
    "web pages of {origin} may not call: name their origin with --allowed-origins if they should",
)

# The administration API, which daprd does not have


def _of_admin(code: str, http: int, grpc: Grpc, sentence: str) -> ErrorRow:
    return ErrorRow(f"ERR_ADMIN_{code}", http, grpc, sentence)


ADMIN_REQUEST = _of_admin("BAD_REQUEST", 400, Grpc.INVALID_ARGUMENT, "{cause}")
ADMIN_GUARD = _of_admin(
    "GUARD",
    403,
    Grpc.PERMISSION_DENIED,
    "requests that change something need the header x-dapr-state: 1, and Content-Type: application/json for a body",
)
ADMIN_SCOPE = _of_admin(
    "SCOPE",
    403,
    Grpc.PERMISSION_DENIED,
    "the keys of other applications are not shown here: start the sidecar with --console-scope=store if they should",
)
ADMIN_NOT_SUPPORTED = _of_admin(
    "NOT_SUPPORTED", 501, Grpc.UNIMPLEMENTED, "state store {store} cannot do this: it does not support {feature}"
)
ADMIN_NOT_FOUND = _of_admin("NOT_FOUND", 404, Grpc.NOT_FOUND, "{what} is not found")
ADMIN_STORE = _of_admin("STORE", 500, Grpc.INTERNAL, "state store {store}: {cause}")
ADMIN_TOO_MANY = _of_admin(
    "TOO_MANY", 409, Grpc.ABORTED, "{count} keys or more begin with this, and {expected} were expected: none is removed"
)
ADMIN_BUSY = _of_admin("BUSY", 409, Grpc.ABORTED, "actor {actor} is busy: its turn has not come within {seconds} s")
ADMIN_BEHIND = _of_admin(
    "BEHIND",
    429,
    Grpc.RESOURCE_EXHAUSTED,
    "you read more slowly than is written, and what comes behind {revision} is not known any more: begin anew",
)
ADMIN_WATCHERS = _of_admin(
    "WATCHERS", 429, Grpc.RESOURCE_EXHAUSTED, "{limit} watch already, which is as many as may: end one of them"
)
ADMIN_CANNOT = _of_admin("CANNOT", 501, Grpc.UNIMPLEMENTED, "{cause}")
ADMIN_ACTORS = _of_admin("ACTORS", 500, Grpc.INTERNAL, "{cause}")
ADMIN_UNCONFIRMED = _of_admin("UNCONFIRMED", 412, Grpc.FAILED_PRECONDITION, "{cause}")

# Of a sidecar that was started with --test-mode: what a test asks of it, and the failures that it wants

TEST_TIME_BACK = ErrorRow("ERR_TEST_TIME", 400, Grpc.INVALID_ARGUMENT, "{reason}")
TEST_TRAVELS = ErrorRow("ERR_TEST_TRAVELS", 409, Grpc.ABORTED, "time is being moved already: one test has one clock")
TEST_NOT_QUIET = ErrorRow("ERR_TEST_NOT_QUIET", 504, Grpc.DEADLINE_EXCEEDED, "still busy: {busy}")
TEST_RUNAWAY = ErrorRow("ERR_TEST_RUNAWAY", 409, Grpc.RESOURCE_EXHAUSTED, "{reason}")
TEST_CANNOT_EMPTY = ErrorRow("ERR_TEST_CANNOT_EMPTY", 501, Grpc.UNIMPLEMENTED, "{store} cannot be emptied: {reason}")
TEST_FAULT_BAD = ErrorRow("ERR_TEST_FAULT", 400, Grpc.INVALID_ARGUMENT, "{reason}")
TEST_FAULT_UNKNOWN = ErrorRow("ERR_TEST_FAULT_NOT_FOUND", 404, Grpc.NOT_FOUND, "there is no fault {id} (any more)")
TEST_TIMER_UNKNOWN = ErrorRow(
    "ERR_TEST_TIMER_NOT_FOUND", 404, Grpc.NOT_FOUND, "there is no timer {name} of {type}/{id} (any more)"
)
TEST_SNAPSHOT = ErrorRow("ERR_TEST_SNAPSHOT", 400, Grpc.FAILED_PRECONDITION, "{reason}")
TEST_UNAVAILABLE = ErrorRow("ERR_TEST_UNAVAILABLE", 503, Grpc.UNAVAILABLE, "{reason}")

# Refused before any API is reached: runtime.md 10, state-api.md 7.4, 7.5. HTTP has its own plain texts for these.


def _info_of_status(fields: Mapping[str, Any]) -> tuple[Detail, ...]:
    return (ErrorInfo(fields["reason"], {"http.code": fields["status"], "http.error_message": fields["problem"]}),)


UNAUTHORIZED = ErrorRow("Unauthorized", 401, Grpc.UNAUTHENTICATED, "{reason}", _info_of_status)
HIDDEN = ErrorRow("Not Implemented", 501, Grpc.UNIMPLEMENTED, "{reason}", _info_of_status)


def unauthorized(problem: str) -> DaprError:
    return UNAUTHORIZED(reason="Unauthorized", status="401", problem=problem)


def hidden() -> DaprError:
    """The API lists do not let this method be called."""
    return HIDDEN(reason="Not Implemented", status="501", problem="requested endpoint is not available")
