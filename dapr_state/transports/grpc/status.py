"""How an error leaves over gRPC: status code, message, and google.rpc details in the trailer."""

from __future__ import annotations

import logging
from typing import Any, Final

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from dapr_state import errors
from dapr_state.errors import BadRequest, DaprError, Detail, ErrorInfo, Grpc, Help, ResourceInfo, shortened
from dapr_state.serving.answer_memory import CrowdedError

# Characters. It is sent twice, the second time in base64, and with more than 8 KB of trailers grpc's own clients
# give a status of theirs in place of ours.
MAX_TEXT: Final = 2500
MAX_DETAIL: Final = 500  # characters of one text in them

_CODES = {code: next(known for known in grpc.StatusCode if known.value[0] == code) for code in Grpc}


log = logging.getLogger("dapr.grpc.api")


def of_exception(error: BaseException) -> grpc.Status | None:
    """The status of a call that raised this; None if it is no error of the API."""
    if isinstance(error, CrowdedError):
        error = errors.REQUEST_MEMORY()
    if not isinstance(error, DaprError):
        return None
    log.debug("Call refused: %s", error)
    return of(error)


def of(error: DaprError) -> grpc.Status:
    """The status to abort a call with."""
    row, message = error.row, shortened(error.message, MAX_TEXT)
    if row.bare:
        return _Bare(_CODES[row.grpc], message)
    details = error.details or (row.grpc_info or ErrorInfo(row.grpc_reason or row.code),)
    rich = status_pb2.Status(code=row.grpc, message=message, details=map(_packed, details))
    return rpc_status.to_status(rich)


class _Bare(grpc.Status):
    """A status without details."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self.code = code
        self.details = details
        self.trailing_metadata = ()


def _packed(detail: Detail) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(_message(detail))
    return packed


def _message(detail: Detail) -> Any:
    match detail:
        case ErrorInfo():
            return error_details_pb2.ErrorInfo(reason=detail.reason, domain=detail.domain, metadata=detail.metadata)
        case ResourceInfo():
            return error_details_pb2.ResourceInfo(resource_type=detail.kind, resource_name=detail.name)
        case BadRequest():
            violation = error_details_pb2.BadRequest.FieldViolation(
                field=shortened(detail.field, MAX_DETAIL), description=shortened(detail.description, MAX_DETAIL)
            )
            return error_details_pb2.BadRequest(field_violations=[violation])
        case Help():
            link = error_details_pb2.Help.Link(description=detail.description, url=detail.url)
            return error_details_pb2.Help(links=[link])
