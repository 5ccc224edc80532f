"""What a component's refusals mean, by its gRPC status and the details of it (state-stores.md 6.5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from dapr_state.errors import ErrorInfo
from dapr_state.golang import codes
from dapr_state.stores.base import EtagInvalid, EtagMismatch, OwnStatus, StoreError

if TYPE_CHECKING:
    from google.rpc.status_pb2 import Status

_HTTP_ERROR: Final = re.compile(r"[45][0-9]{2}")  # of others some have no body, and some leave the caller waiting
_TOO_LARGE: Final = re.compile(r"message larger than max", re.IGNORECASE)  # as all libraries of gRPC say it
_ETAG: Final = "etag"  # the field that a BadRequest names
_ETAG_ERRORS: Final = {grpc.StatusCode.FAILED_PRECONDITION: EtagMismatch, grpc.StatusCode.INVALID_ARGUMENT: EtagInvalid}


class Silence(StoreError):
    """The component did not answer in time: it may have done what it was asked, or not."""


class TooLarge(StoreError):
    """The answer is larger than is taken, of one side or the other."""


def of_read(error: grpc.RpcError) -> StoreError:
    """What a failed Get, BulkGet or Transact says."""
    status = _status(error)
    return _own(error, status) or _plain(error)


def of_write(error: grpc.RpcError) -> StoreError:
    """What a failed Set, Delete or BulkSet says, of which etags may be the reason."""
    status = _status(error)
    return _own(error, status) or _of_etag(error, status) or _plain(error)


def of_bulk_delete(error: grpc.RpcError) -> StoreError:
    """The same of a BulkDelete, which may have found some of its rows only."""
    return _of_rows(error, _status(error)) or of_write(error)


def _status(error: grpc.RpcError) -> Status | None:
    try:
        return rpc_status.from_call(error)  # type: ignore[arg-type]  # grpc.aio's error is a call's outcome too
    except (ValueError, DecodeError):  # details that do not match the status, or are none
        return None


def _own(error: grpc.RpcError, status: Status | None) -> OwnStatus | None:
    """An error of which the component says itself what callers are given."""
    info = _only(status, error_details_pb2.ErrorInfo)
    if status is None or info is None or info.metadata.get("kit_error") != "true":
        return None
    http = info.metadata.get("http_code", "")
    if not _HTTP_ERROR.fullmatch(http):
        return None
    text = f"api error: code = {codes.shown(error.code().name)} desc = {status.message}"
    shown = ErrorInfo(info.reason, domain=info.domain)  # what its metadata say is said with it
    tag = info.metadata.get("tag", "")
    return OwnStatus(text, http=int(http), grpc=status.code, grpc_text=status.message, info=shown, tag=tag)


def _of_etag(error: grpc.RpcError, status: Status | None) -> StoreError | None:
    kind = _ETAG_ERRORS.get(error.code())
    detail = _only(status, error_details_pb2.BadRequest)
    if kind is None or detail is None or len(detail.field_violations) != 1:
        return None
    violation = detail.field_violations[0]
    return kind(violation.description) if violation.field == _ETAG else None


def _of_rows(error: grpc.RpcError, status: Status | None) -> StoreError | None:
    info = _only(status, error_details_pb2.ErrorInfo)
    if error.code() is not grpc.StatusCode.INTERNAL or info is None:
        return None
    expected, affected = info.metadata.get("expected", ""), info.metadata.get("affected", "")
    if not (expected.isdecimal() and affected.isdecimal()):
        return None
    return StoreError(f"delete affected only {affected} rows, expected {expected}")


def _only(status: Status | None, kind: Any) -> Any:
    """The one detail of a status, if it has one and it is of this kind."""
    if status is None or len(status.details) != 1:
        return None
    message = kind()
    try:
        return message if status.details[0].Unpack(message) else None
    except DecodeError:
        return None


def _plain(error: grpc.RpcError) -> StoreError:
    text = f"rpc error: code = {codes.shown(error.code().name)} desc = {error.details()}"
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Silence(text)
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE.search(text):
        return TooLarge(text)
    return StoreError(text)
