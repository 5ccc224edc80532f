"""An error names what is wrong in a text of bounded length, and gives no megabytes back."""

from __future__ import annotations

import pytest

from dapr_state import errors
from dapr_state.golang import strconv
from dapr_state.golang.duration import parse_duration
from dapr_state.transports.grpc import status
from dapr_state.transports.http import problem
from dapr_state.wire import grpc as framing

MEGABYTES = "a" * 4_000_000
CLIENTS_LIMIT = 8 * 1024  # octets of trailers that grpc's C core takes unless told otherwise

LONG_ERRORS = {
    "operation": lambda: errors.STATE_OPERATION_UNKNOWN(operation=MEGABYTES),
    "etag": lambda: errors.STATE_SAVE(store="s", cause=ValueError(MEGABYTES), http_cause=ValueError(MEGABYTES)),
    "key": lambda: errors.ILLEGAL_KEY(key=MEGABYTES, field=MEGABYTES, store="s"),
    "cause without details": lambda: errors.STATE_VALUE_NOT_JSON(cause=MEGABYTES),
}


@pytest.mark.parametrize("make", LONG_ERRORS.values(), ids=LONG_ERRORS)
def test_an_error_is_short_whatever_it_names(make: object) -> None:
    """Over HTTP it is some kilobytes, over gRPC it fits into what clients take, so that they see our status."""
    error = make()  # type: ignore[operator]  # a function of the table
    sent = status.of(error)
    trailers = framing.status_fields(2, sent.details, framing.write_metadata(sent.trailing_metadata))

    assert len(problem.of(error).body) < 4 * errors.MAX_TEXT
    assert sum(len(name) + len(value) + 32 for name, value in trailers) < CLIENTS_LIMIT
    assert sent.details.endswith("…")


def test_a_short_error_is_told_whole() -> None:
    """What fits is not touched."""
    assert errors.STATE_OPERATION_UNKNOWN(operation="b" * 1000).message == f"operation type {'b' * 1000} not supported"


@pytest.mark.parametrize("parse", [strconv.atoi, parse_duration, strconv.parse_bool, strconv.parse_uint])
def test_a_long_text_that_is_no_number_is_quoted_in_part(parse: object) -> None:
    """The end of the sentence still says what is wrong."""
    with pytest.raises(ValueError, match=r"^(?s:.){1000,1200}$"):
        parse(MEGABYTES)  # type: ignore[operator]  # one of four


def test_a_duration_of_megabytes_is_none() -> None:
    """Durations may have many parts, and no million of them."""
    assert parse_duration("1h1m" * 100) == 100 * 3660
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration("0h" * 2_000_000)
