import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Space(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SPACE_UNSPECIFIED: _ClassVar[Space]
    APPLICATION: _ClassVar[Space]
    ACTORS: _ClassVar[Space]
    STORE: _ClassVar[Space]
SPACE_UNSPECIFIED: Space
APPLICATION: Space
ACTORS: Space
STORE: Space

class ListKeysRequest(_message.Message):
    __slots__ = ("store_name", "prefix", "space", "page_size", "page_token", "with_sizes", "with_values", "max_value_bytes", "reverse", "scan_limit", "delimiter")
    STORE_NAME_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    WITH_SIZES_FIELD_NUMBER: _ClassVar[int]
    WITH_VALUES_FIELD_NUMBER: _ClassVar[int]
    MAX_VALUE_BYTES_FIELD_NUMBER: _ClassVar[int]
    REVERSE_FIELD_NUMBER: _ClassVar[int]
    SCAN_LIMIT_FIELD_NUMBER: _ClassVar[int]
    DELIMITER_FIELD_NUMBER: _ClassVar[int]
    store_name: str
    prefix: str
    space: Space
    page_size: int
    page_token: str
    with_sizes: bool
    with_values: bool
    max_value_bytes: int
    reverse: bool
    scan_limit: int
    delimiter: str
    def __init__(self, store_name: _Optional[str] = ..., prefix: _Optional[str] = ..., space: _Optional[_Union[Space, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., with_sizes: _Optional[bool] = ..., with_values: _Optional[bool] = ..., max_value_bytes: _Optional[int] = ..., reverse: _Optional[bool] = ..., scan_limit: _Optional[int] = ..., delimiter: _Optional[str] = ...) -> None: ...

class ListKeysResponse(_message.Message):
    __slots__ = ("entries", "groups", "next_page_token", "scanned", "ordered")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SCANNED_FIELD_NUMBER: _ClassVar[int]
    ORDERED_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[KeyEntry]
    groups: _containers.RepeatedCompositeFieldContainer[KeyGroup]
    next_page_token: str
    scanned: int
    ordered: bool
    def __init__(self, entries: _Optional[_Iterable[_Union[KeyEntry, _Mapping]]] = ..., groups: _Optional[_Iterable[_Union[KeyGroup, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., scanned: _Optional[int] = ..., ordered: _Optional[bool] = ...) -> None: ...

class KeyEntry(_message.Message):
    __slots__ = ("key", "etag", "expires_at", "size", "value", "value_truncated", "encrypted", "stored_key", "error")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VALUE_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTED_FIELD_NUMBER: _ClassVar[int]
    STORED_KEY_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    key: str
    etag: str
    expires_at: _timestamp_pb2.Timestamp
    size: int
    value: bytes
    value_truncated: bool
    encrypted: bool
    stored_key: str
    error: str
    def __init__(self, key: _Optional[str] = ..., etag: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., size: _Optional[int] = ..., value: _Optional[bytes] = ..., value_truncated: _Optional[bool] = ..., encrypted: _Optional[bool] = ..., stored_key: _Optional[str] = ..., error: _Optional[str] = ...) -> None: ...

class KeyGroup(_message.Message):
    __slots__ = ("prefix", "count", "at_least")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    count: int
    at_least: bool
    def __init__(self, prefix: _Optional[str] = ..., count: _Optional[int] = ..., at_least: _Optional[bool] = ...) -> None: ...

class GetEntryRequest(_message.Message):
    __slots__ = ("store_name", "key", "space", "offset", "max_bytes")
    STORE_NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    store_name: str
    key: str
    space: Space
    offset: int
    max_bytes: int
    def __init__(self, store_name: _Optional[str] = ..., key: _Optional[str] = ..., space: _Optional[_Union[Space, str]] = ..., offset: _Optional[int] = ..., max_bytes: _Optional[int] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("entry", "total_size", "is_json", "is_utf8")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    IS_JSON_FIELD_NUMBER: _ClassVar[int]
    IS_UTF8_FIELD_NUMBER: _ClassVar[int]
    entry: KeyEntry
    total_size: int
    is_json: bool
    is_utf8: bool
    def __init__(self, entry: _Optional[_Union[KeyEntry, _Mapping]] = ..., total_size: _Optional[int] = ..., is_json: _Optional[bool] = ..., is_utf8: _Optional[bool] = ...) -> None: ...

class SaveEntryRequest(_message.Message):
    __slots__ = ("store_name", "key", "space", "value", "json", "etag", "only_new", "expire_in")
    STORE_NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    ONLY_NEW_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_IN_FIELD_NUMBER: _ClassVar[int]
    store_name: str
    key: str
    space: Space
    value: bytes
    json: str
    etag: str
    only_new: bool
    expire_in: _duration_pb2.Duration
    def __init__(self, store_name: _Optional[str] = ..., key: _Optional[str] = ..., space: _Optional[_Union[Space, str]] = ..., value: _Optional[bytes] = ..., json: _Optional[str] = ..., etag: _Optional[str] = ..., only_new: _Optional[bool] = ..., expire_in: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SaveEntryResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: KeyEntry
    def __init__(self, entry: _Optional[_Union[KeyEntry, _Mapping]] = ...) -> None: ...

class DeleteEntryRequest(_message.Message):
    __slots__ = ("store_name", "key", "space", "etag")
    STORE_NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    store_name: str
    key: str
    space: Space
    etag: str
    def __init__(self, store_name: _Optional[str] = ..., key: _Optional[str] = ..., space: _Optional[_Union[Space, str]] = ..., etag: _Optional[str] = ...) -> None: ...

class DeleteEntryResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CountKeysRequest(_message.Message):
    __slots__ = ("store_name", "prefix", "space", "with_bytes", "budget")
    STORE_NAME_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    WITH_BYTES_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    store_name: str
    prefix: str
    space: Space
    with_bytes: bool
    budget: _duration_pb2.Duration
    def __init__(self, store_name: _Optional[str] = ..., prefix: _Optional[str] = ..., space: _Optional[_Union[Space, str]] = ..., with_bytes: _Optional[bool] = ..., budget: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CountKeysResponse(_message.Message):
    __slots__ = ("count", "bytes", "complete", "estimated")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    count: int
    bytes: int
    complete: bool
    estimated: bool
    def __init__(self, count: _Optional[int] = ..., bytes: _Optional[int] = ..., complete: _Optional[bool] = ..., estimated: _Optional[bool] = ...) -> None: ...

class DeleteByPrefixRequest(_message.Message):
    __slots__ = ("store_name", "prefix", "space", "dry_run", "expect_count", "confirm_token", "everything")
    STORE_NAME_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    EXPECT_COUNT_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EVERYTHING_FIELD_NUMBER: _ClassVar[int]
    store_name: str
    prefix: str
    space: Space
    dry_run: bool
    expect_count: int
    confirm_token: str
    everything: bool
    def __init__(self, store_name: _Optional[str] = ..., prefix: _Optional[str] = ..., space: _Optional[_Union[Space, str]] = ..., dry_run: _Optional[bool] = ..., expect_count: _Optional[int] = ..., confirm_token: _Optional[str] = ..., everything: _Optional[bool] = ...) -> None: ...

class DeleteByPrefixResponse(_message.Message):
    __slots__ = ("matched", "deleted", "sample", "confirm_token", "complete")
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_TOKEN_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    matched: int
    deleted: int
    sample: _containers.RepeatedScalarFieldContainer[str]
    confirm_token: str
    complete: bool
    def __init__(self, matched: _Optional[int] = ..., deleted: _Optional[int] = ..., sample: _Optional[_Iterable[str]] = ..., confirm_token: _Optional[str] = ..., complete: _Optional[bool] = ...) -> None: ...

class TouchRequest(_message.Message):
    __slots__ = ("store_name", "key", "expire_in", "persist", "etag", "space")
    STORE_NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_IN_FIELD_NUMBER: _ClassVar[int]
    PERSIST_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    store_name: str
    key: str
    expire_in: _duration_pb2.Duration
    persist: bool
    etag: str
    space: Space
    def __init__(self, store_name: _Optional[str] = ..., key: _Optional[str] = ..., expire_in: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., persist: _Optional[bool] = ..., etag: _Optional[str] = ..., space: _Optional[_Union[Space, str]] = ...) -> None: ...

class TouchResponse(_message.Message):
    __slots__ = ("expires_at",)
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("store_name", "key", "prefix", "from_revision", "with_values", "max_value_bytes", "with_snapshot", "space")
    STORE_NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    FROM_REVISION_FIELD_NUMBER: _ClassVar[int]
    WITH_VALUES_FIELD_NUMBER: _ClassVar[int]
    MAX_VALUE_BYTES_FIELD_NUMBER: _ClassVar[int]
    WITH_SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    store_name: str
    key: str
    prefix: str
    from_revision: str
    with_values: bool
    max_value_bytes: int
    with_snapshot: bool
    space: Space
    def __init__(self, store_name: _Optional[str] = ..., key: _Optional[str] = ..., prefix: _Optional[str] = ..., from_revision: _Optional[str] = ..., with_values: _Optional[bool] = ..., max_value_bytes: _Optional[int] = ..., with_snapshot: _Optional[bool] = ..., space: _Optional[_Union[Space, str]] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("changes", "revision", "snapshot_end", "lost")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_END_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[Change]
    revision: str
    snapshot_end: bool
    lost: bool
    def __init__(self, changes: _Optional[_Iterable[_Union[Change, _Mapping]]] = ..., revision: _Optional[str] = ..., snapshot_end: _Optional[bool] = ..., lost: _Optional[bool] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("kind", "entry", "revision", "at", "origin", "transaction")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Change.Kind]
        SAVED: _ClassVar[Change.Kind]
        DELETED: _ClassVar[Change.Kind]
        EXPIRED: _ClassVar[Change.Kind]
        SNAPSHOT: _ClassVar[Change.Kind]
    KIND_UNSPECIFIED: Change.Kind
    SAVED: Change.Kind
    DELETED: Change.Kind
    EXPIRED: Change.Kind
    SNAPSHOT: Change.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    kind: Change.Kind
    entry: KeyEntry
    revision: str
    at: _timestamp_pb2.Timestamp
    origin: str
    transaction: str
    def __init__(self, kind: _Optional[_Union[Change.Kind, str]] = ..., entry: _Optional[_Union[KeyEntry, _Mapping]] = ..., revision: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., origin: _Optional[str] = ..., transaction: _Optional[str] = ...) -> None: ...

class ActorId(_message.Message):
    __slots__ = ("type", "id")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    type: str
    id: str
    def __init__(self, type: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class ListTypesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListTypesResponse(_message.Message):
    __slots__ = ("types",)
    TYPES_FIELD_NUMBER: _ClassVar[int]
    types: _containers.RepeatedCompositeFieldContainer[ActorType]
    def __init__(self, types: _Optional[_Iterable[_Union[ActorType, _Mapping]]] = ...) -> None: ...

class ActorType(_message.Message):
    __slots__ = ("name", "hosted", "active", "busy", "waiting_calls", "reminders", "timers", "parked_reminders", "idle_timeout", "reentrant", "state_store", "known", "paused")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOSTED_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    WAITING_CALLS_FIELD_NUMBER: _ClassVar[int]
    REMINDERS_FIELD_NUMBER: _ClassVar[int]
    TIMERS_FIELD_NUMBER: _ClassVar[int]
    PARKED_REMINDERS_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    REENTRANT_FIELD_NUMBER: _ClassVar[int]
    STATE_STORE_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    name: str
    hosted: bool
    active: int
    busy: int
    waiting_calls: int
    reminders: int
    timers: int
    parked_reminders: int
    idle_timeout: _duration_pb2.Duration
    reentrant: bool
    state_store: str
    known: int
    paused: bool
    def __init__(self, name: _Optional[str] = ..., hosted: _Optional[bool] = ..., active: _Optional[int] = ..., busy: _Optional[int] = ..., waiting_calls: _Optional[int] = ..., reminders: _Optional[int] = ..., timers: _Optional[int] = ..., parked_reminders: _Optional[int] = ..., idle_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reentrant: _Optional[bool] = ..., state_store: _Optional[str] = ..., known: _Optional[int] = ..., paused: _Optional[bool] = ...) -> None: ...

class ListActorsRequest(_message.Message):
    __slots__ = ("type", "id_prefix", "which", "page_size", "page_token")
    class Which(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        WHICH_UNSPECIFIED: _ClassVar[ListActorsRequest.Which]
        ACTIVE: _ClassVar[ListActorsRequest.Which]
        WITH_STATE: _ClassVar[ListActorsRequest.Which]
        WITH_REMINDERS: _ClassVar[ListActorsRequest.Which]
        ANY: _ClassVar[ListActorsRequest.Which]
    WHICH_UNSPECIFIED: ListActorsRequest.Which
    ACTIVE: ListActorsRequest.Which
    WITH_STATE: ListActorsRequest.Which
    WITH_REMINDERS: ListActorsRequest.Which
    ANY: ListActorsRequest.Which
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ID_PREFIX_FIELD_NUMBER: _ClassVar[int]
    WHICH_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    type: str
    id_prefix: str
    which: ListActorsRequest.Which
    page_size: int
    page_token: str
    def __init__(self, type: _Optional[str] = ..., id_prefix: _Optional[str] = ..., which: _Optional[_Union[ListActorsRequest.Which, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListActorsResponse(_message.Message):
    __slots__ = ("actors", "next_page_token")
    ACTORS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    actors: _containers.RepeatedCompositeFieldContainer[Actor]
    next_page_token: str
    def __init__(self, actors: _Optional[_Iterable[_Union[Actor, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Actor(_message.Message):
    __slots__ = ("actor", "active", "busy", "waiting_calls", "active_since", "idle_deadline", "turns", "reminders", "timers", "state", "state_truncated")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    WAITING_CALLS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_SINCE_FIELD_NUMBER: _ClassVar[int]
    IDLE_DEADLINE_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    REMINDERS_FIELD_NUMBER: _ClassVar[int]
    TIMERS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    actor: ActorId
    active: bool
    busy: bool
    waiting_calls: int
    active_since: _timestamp_pb2.Timestamp
    idle_deadline: _timestamp_pb2.Timestamp
    turns: _containers.RepeatedCompositeFieldContainer[Turn]
    reminders: _containers.RepeatedCompositeFieldContainer[Reminder]
    timers: _containers.RepeatedCompositeFieldContainer[Timer]
    state: _containers.RepeatedCompositeFieldContainer[StateKey]
    state_truncated: bool
    def __init__(self, actor: _Optional[_Union[ActorId, _Mapping]] = ..., active: _Optional[bool] = ..., busy: _Optional[bool] = ..., waiting_calls: _Optional[int] = ..., active_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., idle_deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., turns: _Optional[_Iterable[_Union[Turn, _Mapping]]] = ..., reminders: _Optional[_Iterable[_Union[Reminder, _Mapping]]] = ..., timers: _Optional[_Iterable[_Union[Timer, _Mapping]]] = ..., state: _Optional[_Iterable[_Union[StateKey, _Mapping]]] = ..., state_truncated: _Optional[bool] = ...) -> None: ...

class Turn(_message.Message):
    __slots__ = ("method", "kind", "reentrancy_id", "began_at", "waiting", "trace_id")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REENTRANCY_ID_FIELD_NUMBER: _ClassVar[int]
    BEGAN_AT_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    method: str
    kind: str
    reentrancy_id: str
    began_at: _timestamp_pb2.Timestamp
    waiting: bool
    trace_id: str
    def __init__(self, method: _Optional[str] = ..., kind: _Optional[str] = ..., reentrancy_id: _Optional[str] = ..., began_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., waiting: _Optional[bool] = ..., trace_id: _Optional[str] = ...) -> None: ...

class Reminder(_message.Message):
    __slots__ = ("actor", "name", "next_at", "period", "ends_at", "fired", "failures", "last_error", "last_at", "parked", "firing", "paused", "data_size")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NEXT_AT_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    ENDS_AT_FIELD_NUMBER: _ClassVar[int]
    FIRED_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    LAST_AT_FIELD_NUMBER: _ClassVar[int]
    PARKED_FIELD_NUMBER: _ClassVar[int]
    FIRING_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    DATA_SIZE_FIELD_NUMBER: _ClassVar[int]
    actor: ActorId
    name: str
    next_at: _timestamp_pb2.Timestamp
    period: str
    ends_at: _timestamp_pb2.Timestamp
    fired: int
    failures: int
    last_error: str
    last_at: _timestamp_pb2.Timestamp
    parked: bool
    firing: bool
    paused: bool
    data_size: int
    def __init__(self, actor: _Optional[_Union[ActorId, _Mapping]] = ..., name: _Optional[str] = ..., next_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., period: _Optional[str] = ..., ends_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., fired: _Optional[int] = ..., failures: _Optional[int] = ..., last_error: _Optional[str] = ..., last_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., parked: _Optional[bool] = ..., firing: _Optional[bool] = ..., paused: _Optional[bool] = ..., data_size: _Optional[int] = ...) -> None: ...

class Timer(_message.Message):
    __slots__ = ("actor", "name", "callback", "next_at", "period", "fired")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CALLBACK_FIELD_NUMBER: _ClassVar[int]
    NEXT_AT_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    FIRED_FIELD_NUMBER: _ClassVar[int]
    actor: ActorId
    name: str
    callback: str
    next_at: _timestamp_pb2.Timestamp
    period: str
    fired: int
    def __init__(self, actor: _Optional[_Union[ActorId, _Mapping]] = ..., name: _Optional[str] = ..., callback: _Optional[str] = ..., next_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., period: _Optional[str] = ..., fired: _Optional[int] = ...) -> None: ...

class StateKey(_message.Message):
    __slots__ = ("key", "size", "etag", "expires_at")
    KEY_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    key: str
    size: int
    etag: str
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, key: _Optional[str] = ..., size: _Optional[int] = ..., etag: _Optional[str] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetActorRequest(_message.Message):
    __slots__ = ("actor",)
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    actor: ActorId
    def __init__(self, actor: _Optional[_Union[ActorId, _Mapping]] = ...) -> None: ...

class DeactivateRequest(_message.Message):
    __slots__ = ("actor", "type", "all", "wait")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    actor: ActorId
    type: str
    all: bool
    wait: _duration_pb2.Duration
    def __init__(self, actor: _Optional[_Union[ActorId, _Mapping]] = ..., type: _Optional[str] = ..., all: _Optional[bool] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DeactivateResponse(_message.Message):
    __slots__ = ("deactivated", "busy")
    DEACTIVATED_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    deactivated: int
    busy: int
    def __init__(self, deactivated: _Optional[int] = ..., busy: _Optional[int] = ...) -> None: ...

class DeleteActorRequest(_message.Message):
    __slots__ = ("actor", "dry_run", "wait")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    actor: ActorId
    dry_run: bool
    wait: _duration_pb2.Duration
    def __init__(self, actor: _Optional[_Union[ActorId, _Mapping]] = ..., dry_run: _Optional[bool] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DeleteActorResponse(_message.Message):
    __slots__ = ("state_keys", "reminders", "timers", "was_active")
    STATE_KEYS_FIELD_NUMBER: _ClassVar[int]
    REMINDERS_FIELD_NUMBER: _ClassVar[int]
    TIMERS_FIELD_NUMBER: _ClassVar[int]
    WAS_ACTIVE_FIELD_NUMBER: _ClassVar[int]
    state_keys: int
    reminders: int
    timers: int
    was_active: bool
    def __init__(self, state_keys: _Optional[int] = ..., reminders: _Optional[int] = ..., timers: _Optional[int] = ..., was_active: _Optional[bool] = ...) -> None: ...

class ListRemindersRequest(_message.Message):
    __slots__ = ("type", "id", "due_before", "failing", "page_size", "page_token")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    DUE_BEFORE_FIELD_NUMBER: _ClassVar[int]
    FAILING_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    type: str
    id: str
    due_before: _timestamp_pb2.Timestamp
    failing: bool
    page_size: int
    page_token: str
    def __init__(self, type: _Optional[str] = ..., id: _Optional[str] = ..., due_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., failing: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRemindersResponse(_message.Message):
    __slots__ = ("reminders", "next_page_token", "total")
    REMINDERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    reminders: _containers.RepeatedCompositeFieldContainer[Reminder]
    next_page_token: str
    total: int
    def __init__(self, reminders: _Optional[_Iterable[_Union[Reminder, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ...) -> None: ...

class ListTimersRequest(_message.Message):
    __slots__ = ("type", "id", "page_size", "page_token")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    type: str
    id: str
    page_size: int
    page_token: str
    def __init__(self, type: _Optional[str] = ..., id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTimersResponse(_message.Message):
    __slots__ = ("timers", "next_page_token")
    TIMERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    timers: _containers.RepeatedCompositeFieldContainer[Timer]
    next_page_token: str
    def __init__(self, timers: _Optional[_Iterable[_Union[Timer, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class TriggerReminderRequest(_message.Message):
    __slots__ = ("actor", "name", "advance_schedule", "wait")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADVANCE_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    actor: ActorId
    name: str
    advance_schedule: bool
    wait: bool
    def __init__(self, actor: _Optional[_Union[ActorId, _Mapping]] = ..., name: _Optional[str] = ..., advance_schedule: _Optional[bool] = ..., wait: _Optional[bool] = ...) -> None: ...

class TriggerReminderResponse(_message.Message):
    __slots__ = ("delivered", "error", "next_at")
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    NEXT_AT_FIELD_NUMBER: _ClassVar[int]
    delivered: bool
    error: str
    next_at: _timestamp_pb2.Timestamp
    def __init__(self, delivered: _Optional[bool] = ..., error: _Optional[str] = ..., next_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PauseRemindersRequest(_message.Message):
    __slots__ = ("type", "paused")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    type: str
    paused: bool
    def __init__(self, type: _Optional[str] = ..., paused: _Optional[bool] = ...) -> None: ...

class PauseRemindersResponse(_message.Message):
    __slots__ = ("affected",)
    AFFECTED_FIELD_NUMBER: _ClassVar[int]
    affected: int
    def __init__(self, affected: _Optional[int] = ...) -> None: ...

class DrainRequest(_message.Message):
    __slots__ = ("timeout",)
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    timeout: _duration_pb2.Duration
    def __init__(self, timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DrainResponse(_message.Message):
    __slots__ = ("deactivated", "still_busy")
    DEACTIVATED_FIELD_NUMBER: _ClassVar[int]
    STILL_BUSY_FIELD_NUMBER: _ClassVar[int]
    deactivated: int
    still_busy: int
    def __init__(self, deactivated: _Optional[int] = ..., still_busy: _Optional[int] = ...) -> None: ...

class GetOverviewRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Overview(_message.Message):
    __slots__ = ("app_id", "version", "started_at", "ready", "not_ready", "stores", "app", "resident_bytes", "cpu_seconds", "read_only", "test_mode", "capabilities", "now", "calls", "failed_calls", "http_port", "grpc_port", "runtime_version", "sidecars")
    APP_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    NOT_READY_FIELD_NUMBER: _ClassVar[int]
    STORES_FIELD_NUMBER: _ClassVar[int]
    APP_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    TEST_MODE_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    FAILED_CALLS_FIELD_NUMBER: _ClassVar[int]
    HTTP_PORT_FIELD_NUMBER: _ClassVar[int]
    GRPC_PORT_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_VERSION_FIELD_NUMBER: _ClassVar[int]
    SIDECARS_FIELD_NUMBER: _ClassVar[int]
    app_id: str
    version: str
    started_at: _timestamp_pb2.Timestamp
    ready: bool
    not_ready: _containers.RepeatedScalarFieldContainer[str]
    stores: _containers.RepeatedCompositeFieldContainer[StoreHealth]
    app: App
    resident_bytes: int
    cpu_seconds: float
    read_only: bool
    test_mode: bool
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    now: _timestamp_pb2.Timestamp
    calls: int
    failed_calls: int
    http_port: int
    grpc_port: int
    runtime_version: str
    sidecars: _containers.RepeatedCompositeFieldContainer[Sidecar]
    def __init__(self, app_id: _Optional[str] = ..., version: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ready: _Optional[bool] = ..., not_ready: _Optional[_Iterable[str]] = ..., stores: _Optional[_Iterable[_Union[StoreHealth, _Mapping]]] = ..., app: _Optional[_Union[App, _Mapping]] = ..., resident_bytes: _Optional[int] = ..., cpu_seconds: _Optional[float] = ..., read_only: _Optional[bool] = ..., test_mode: _Optional[bool] = ..., capabilities: _Optional[_Iterable[str]] = ..., now: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., calls: _Optional[int] = ..., failed_calls: _Optional[int] = ..., http_port: _Optional[int] = ..., grpc_port: _Optional[int] = ..., runtime_version: _Optional[str] = ..., sidecars: _Optional[_Iterable[_Union[Sidecar, _Mapping]]] = ...) -> None: ...

class StoreHealth(_message.Message):
    __slots__ = ("name", "type", "capabilities", "healthy", "last_error", "last_error_at", "p50_ms", "p99_ms", "errors", "actor_store", "encrypted", "key_prefix")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_AT_FIELD_NUMBER: _ClassVar[int]
    P50_MS_FIELD_NUMBER: _ClassVar[int]
    P99_MS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_STORE_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTED_FIELD_NUMBER: _ClassVar[int]
    KEY_PREFIX_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    healthy: bool
    last_error: str
    last_error_at: _timestamp_pb2.Timestamp
    p50_ms: float
    p99_ms: float
    errors: int
    actor_store: bool
    encrypted: bool
    key_prefix: str
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., capabilities: _Optional[_Iterable[str]] = ..., healthy: _Optional[bool] = ..., last_error: _Optional[str] = ..., last_error_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., p50_ms: _Optional[float] = ..., p99_ms: _Optional[float] = ..., errors: _Optional[int] = ..., actor_store: _Optional[bool] = ..., encrypted: _Optional[bool] = ..., key_prefix: _Optional[str] = ...) -> None: ...

class App(_message.Message):
    __slots__ = ("protocol", "port", "discovered", "healthy", "actor_types", "since")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    DISCOVERED_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    ACTOR_TYPES_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    protocol: str
    port: int
    discovered: bool
    healthy: bool
    actor_types: _containers.RepeatedScalarFieldContainer[str]
    since: _timestamp_pb2.Timestamp
    def __init__(self, protocol: _Optional[str] = ..., port: _Optional[int] = ..., discovered: _Optional[bool] = ..., healthy: _Optional[bool] = ..., actor_types: _Optional[_Iterable[str]] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Sidecar(_message.Message):
    __slots__ = ("app_id", "http_port", "grpc_port", "pid")
    APP_ID_FIELD_NUMBER: _ClassVar[int]
    HTTP_PORT_FIELD_NUMBER: _ClassVar[int]
    GRPC_PORT_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    app_id: str
    http_port: int
    grpc_port: int
    pid: int
    def __init__(self, app_id: _Optional[str] = ..., http_port: _Optional[int] = ..., grpc_port: _Optional[int] = ..., pid: _Optional[int] = ...) -> None: ...

class GetConfigurationRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Configuration(_message.Message):
    __slots__ = ("components", "flags", "features")
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    components: _containers.RepeatedCompositeFieldContainer[Component]
    flags: _containers.RepeatedCompositeFieldContainer[Setting]
    features: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, components: _Optional[_Iterable[_Union[Component, _Mapping]]] = ..., flags: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ..., features: _Optional[_Iterable[str]] = ...) -> None: ...

class Component(_message.Message):
    __slots__ = ("name", "type", "version", "file", "capabilities", "metadata")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    version: str
    file: str
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    metadata: _containers.RepeatedCompositeFieldContainer[Setting]
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., version: _Optional[str] = ..., file: _Optional[str] = ..., capabilities: _Optional[_Iterable[str]] = ..., metadata: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ...) -> None: ...

class Setting(_message.Message):
    __slots__ = ("name", "value", "secret")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    secret: bool
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ..., secret: _Optional[bool] = ...) -> None: ...

class TrafficRequest(_message.Message):
    __slots__ = ("apis", "failures_only", "sample_per_second", "from_event", "slower_than")
    APIS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_ONLY_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    FROM_EVENT_FIELD_NUMBER: _ClassVar[int]
    SLOWER_THAN_FIELD_NUMBER: _ClassVar[int]
    apis: _containers.RepeatedScalarFieldContainer[str]
    failures_only: bool
    sample_per_second: int
    from_event: str
    slower_than: _duration_pb2.Duration
    def __init__(self, apis: _Optional[_Iterable[str]] = ..., failures_only: _Optional[bool] = ..., sample_per_second: _Optional[int] = ..., from_event: _Optional[str] = ..., slower_than: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class TrafficEvent(_message.Message):
    __slots__ = ("id", "at", "transport", "api", "operation", "target", "code", "took", "request_bytes", "response_bytes", "error", "trace_id", "caller", "dropped")
    ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    API_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TOOK_FIELD_NUMBER: _ClassVar[int]
    REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    id: str
    at: _timestamp_pb2.Timestamp
    transport: str
    api: str
    operation: str
    target: str
    code: str
    took: _duration_pb2.Duration
    request_bytes: int
    response_bytes: int
    error: str
    trace_id: str
    caller: str
    dropped: int
    def __init__(self, id: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., transport: _Optional[str] = ..., api: _Optional[str] = ..., operation: _Optional[str] = ..., target: _Optional[str] = ..., code: _Optional[str] = ..., took: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., request_bytes: _Optional[int] = ..., response_bytes: _Optional[int] = ..., error: _Optional[str] = ..., trace_id: _Optional[str] = ..., caller: _Optional[str] = ..., dropped: _Optional[int] = ...) -> None: ...

class ReloadAppRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReloadAppResponse(_message.Message):
    __slots__ = ("actor_types",)
    ACTOR_TYPES_FIELD_NUMBER: _ClassVar[int]
    actor_types: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, actor_types: _Optional[_Iterable[str]] = ...) -> None: ...

class AdvanceRequest(_message.Message):
    __slots__ = ("by", "patience", "max_ticks")
    BY_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    MAX_TICKS_FIELD_NUMBER: _ClassVar[int]
    by: _duration_pb2.Duration
    patience: _duration_pb2.Duration
    max_ticks: int
    def __init__(self, by: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., patience: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_ticks: _Optional[int] = ...) -> None: ...

class SetTimeRequest(_message.Message):
    __slots__ = ("to", "patience")
    TO_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    to: _timestamp_pb2.Timestamp
    patience: _duration_pb2.Duration
    def __init__(self, to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., patience: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class AdvanceResponse(_message.Message):
    __slots__ = ("now", "reminders", "timers", "deactivations", "expired", "failures")
    NOW_FIELD_NUMBER: _ClassVar[int]
    REMINDERS_FIELD_NUMBER: _ClassVar[int]
    TIMERS_FIELD_NUMBER: _ClassVar[int]
    DEACTIVATIONS_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    now: _timestamp_pb2.Timestamp
    reminders: int
    timers: int
    deactivations: int
    expired: int
    failures: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, now: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reminders: _Optional[int] = ..., timers: _Optional[int] = ..., deactivations: _Optional[int] = ..., expired: _Optional[int] = ..., failures: _Optional[_Iterable[str]] = ...) -> None: ...

class WaitIdleRequest(_message.Message):
    __slots__ = ("patience",)
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    patience: _duration_pb2.Duration
    def __init__(self, patience: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WaitIdleResponse(_message.Message):
    __slots__ = ("idle", "busy")
    IDLE_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    idle: bool
    busy: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, idle: _Optional[bool] = ..., busy: _Optional[_Iterable[str]] = ...) -> None: ...

class ResetRequest(_message.Message):
    __slots__ = ("keep_state", "keep_clock", "keep_faults", "stores")
    KEEP_STATE_FIELD_NUMBER: _ClassVar[int]
    KEEP_CLOCK_FIELD_NUMBER: _ClassVar[int]
    KEEP_FAULTS_FIELD_NUMBER: _ClassVar[int]
    STORES_FIELD_NUMBER: _ClassVar[int]
    keep_state: bool
    keep_clock: bool
    keep_faults: bool
    stores: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, keep_state: _Optional[bool] = ..., keep_clock: _Optional[bool] = ..., keep_faults: _Optional[bool] = ..., stores: _Optional[_Iterable[str]] = ...) -> None: ...

class ResetResponse(_message.Message):
    __slots__ = ("keys", "reminders", "actors", "busy", "faults")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    REMINDERS_FIELD_NUMBER: _ClassVar[int]
    ACTORS_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    keys: int
    reminders: int
    actors: int
    busy: _containers.RepeatedScalarFieldContainer[str]
    faults: _containers.RepeatedCompositeFieldContainer[FaultHandle]
    def __init__(self, keys: _Optional[int] = ..., reminders: _Optional[int] = ..., actors: _Optional[int] = ..., busy: _Optional[_Iterable[str]] = ..., faults: _Optional[_Iterable[_Union[FaultHandle, _Mapping]]] = ...) -> None: ...

class TakeSnapshotRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("id", "keys", "reminders")
    ID_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    REMINDERS_FIELD_NUMBER: _ClassVar[int]
    id: str
    keys: int
    reminders: int
    def __init__(self, id: _Optional[str] = ..., keys: _Optional[int] = ..., reminders: _Optional[int] = ...) -> None: ...

class RestoreSnapshotRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class Fault(_message.Message):
    __slots__ = ("on", "store", "key_prefix", "actor_type", "method", "error", "delay", "hang", "drop_connection", "after_commit", "etag_conflict", "goaway", "times", "skip", "probability", "seed", "actor_id")
    class On(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ON_UNSPECIFIED: _ClassVar[Fault.On]
        GET: _ClassVar[Fault.On]
        WRITE: _ClassVar[Fault.On]
        TRANSACT: _ClassVar[Fault.On]
        ANY_STORE: _ClassVar[Fault.On]
        APP_CALL: _ClassVar[Fault.On]
        REMINDER: _ClassVar[Fault.On]
        TIMER: _ClassVar[Fault.On]
        API: _ClassVar[Fault.On]
    ON_UNSPECIFIED: Fault.On
    GET: Fault.On
    WRITE: Fault.On
    TRANSACT: Fault.On
    ANY_STORE: Fault.On
    APP_CALL: Fault.On
    REMINDER: Fault.On
    TIMER: Fault.On
    API: Fault.On
    ON_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    KEY_PREFIX_FIELD_NUMBER: _ClassVar[int]
    ACTOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    HANG_FIELD_NUMBER: _ClassVar[int]
    DROP_CONNECTION_FIELD_NUMBER: _ClassVar[int]
    AFTER_COMMIT_FIELD_NUMBER: _ClassVar[int]
    ETAG_CONFLICT_FIELD_NUMBER: _ClassVar[int]
    GOAWAY_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    ACTOR_ID_FIELD_NUMBER: _ClassVar[int]
    on: Fault.On
    store: str
    key_prefix: str
    actor_type: str
    method: str
    error: str
    delay: _duration_pb2.Duration
    hang: bool
    drop_connection: bool
    after_commit: bool
    etag_conflict: bool
    goaway: bool
    times: int
    skip: int
    probability: float
    seed: int
    actor_id: str
    def __init__(self, on: _Optional[_Union[Fault.On, str]] = ..., store: _Optional[str] = ..., key_prefix: _Optional[str] = ..., actor_type: _Optional[str] = ..., method: _Optional[str] = ..., error: _Optional[str] = ..., delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., hang: _Optional[bool] = ..., drop_connection: _Optional[bool] = ..., after_commit: _Optional[bool] = ..., etag_conflict: _Optional[bool] = ..., goaway: _Optional[bool] = ..., times: _Optional[int] = ..., skip: _Optional[int] = ..., probability: _Optional[float] = ..., seed: _Optional[int] = ..., actor_id: _Optional[str] = ...) -> None: ...

class FaultHandle(_message.Message):
    __slots__ = ("id", "hits")
    ID_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    id: str
    hits: int
    def __init__(self, id: _Optional[str] = ..., hits: _Optional[int] = ...) -> None: ...

class ListFaultsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListFaultsResponse(_message.Message):
    __slots__ = ("faults",)
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    faults: _containers.RepeatedCompositeFieldContainer[FaultHandle]
    def __init__(self, faults: _Optional[_Iterable[_Union[FaultHandle, _Mapping]]] = ...) -> None: ...

class CallsRequest(_message.Message):
    __slots__ = ("from_event",)
    FROM_EVENT_FIELD_NUMBER: _ClassVar[int]
    from_event: str
    def __init__(self, from_event: _Optional[str] = ...) -> None: ...

class CallsResponse(_message.Message):
    __slots__ = ("calls",)
    CALLS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[TrafficEvent]
    def __init__(self, calls: _Optional[_Iterable[_Union[TrafficEvent, _Mapping]]] = ...) -> None: ...

class ClockRequest(_message.Message):
    __slots__ = ("frozen",)
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    frozen: bool
    def __init__(self, frozen: _Optional[bool] = ...) -> None: ...

class ClockResponse(_message.Message):
    __slots__ = ("now", "frozen", "moved")
    NOW_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    now: _timestamp_pb2.Timestamp
    frozen: bool
    moved: _duration_pb2.Duration
    def __init__(self, now: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., frozen: _Optional[bool] = ..., moved: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class TriggerTimerRequest(_message.Message):
    __slots__ = ("actor", "name")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    actor: ActorId
    name: str
    def __init__(self, actor: _Optional[_Union[ActorId, _Mapping]] = ..., name: _Optional[str] = ...) -> None: ...

class TriggerTimerResponse(_message.Message):
    __slots__ = ("delivered", "error")
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    delivered: bool
    error: str
    def __init__(self, delivered: _Optional[bool] = ..., error: _Optional[str] = ...) -> None: ...
