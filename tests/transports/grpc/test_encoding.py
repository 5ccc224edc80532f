"""Answers of gets that are made without protobuf are, octet by octet, what protobuf makes of the same."""

from __future__ import annotations

from dapr_state_proto.runtime.v1 import state_pb2
from hypothesis import example, given
from hypothesis import strategies as some

from dapr_state.api import expiry
from dapr_state.stores.base import StoreError
from dapr_state.stores.model import StoredValue
from dapr_state.transports.grpc import encoding

# where a length takes another octet, where the tables end, and around
LENGTHS = some.sampled_from([0, 1, 2, 100, 126, 127, 128, 129, 1662, 1663, 1664, 1665, 2046, 2047, 2048, 2049, 20_000])
NAMES = some.text(max_size=4) | LENGTHS.map("k".__mul__) | LENGTHS.map("é".__mul__)
VALUES = some.binary(max_size=4) | LENGTHS.map(b"v".__mul__)
STORED = some.builds(StoredValue, VALUES, NAMES, some.none() | some.integers(1, 10**10).map(float))
OUTCOMES = STORED | some.none() | NAMES.map(StoreError)


def item(key: str, outcome: StoredValue | StoreError | None) -> state_pb2.BulkStateItem:
    """The message of one item, with a field for each thing that there is."""
    if isinstance(outcome, StoreError):
        return state_pb2.BulkStateItem(key=key, error=str(outcome))
    if outcome is None:
        return state_pb2.BulkStateItem(key=key)
    metadata = expiry.metadata(outcome)
    return state_pb2.BulkStateItem(key=key, data=outcome.value, etag=outcome.etag, metadata=metadata)


@given(some.none() | STORED)
def test_one_value_is_encoded_as_protobuf_does(found: StoredValue | None) -> None:
    """The answer to a get is what GetStateResponse is on the wire, with and without each of its fields."""
    message = state_pb2.GetStateResponse()
    if found is not None:
        metadata = expiry.metadata(found)
        message = state_pb2.GetStateResponse(data=found.value, etag=found.etag, metadata=metadata)

    assert encoding.value(found) == message.SerializeToString()


@given(some.lists(some.tuples(NAMES, OUTCOMES), max_size=5))
@example([("k" * 127, StoredValue(b"v" * 1663, "e" * 127))])  # the longest item that the tables are for
def test_many_values_are_encoded_as_protobuf_does(asked: list[tuple[str, StoredValue | StoreError | None]]) -> None:
    """The answer to a bulk get is what GetBulkStateResponse is on the wire, whatever came of each key."""
    message = state_pb2.GetBulkStateResponse(items=[item(*each) for each in asked])

    encoded = encoding.values([key for key, _ in asked], [outcome for _, outcome in asked])

    assert encoded == message.SerializeToString()
