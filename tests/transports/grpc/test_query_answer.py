"""How what a query has found becomes a message."""

from __future__ import annotations

from dapr_state_proto.runtime.v1 import state_pb2

from dapr_state.api.query import Result, Results
from dapr_state.stores.model import StoredValue
from dapr_state.transports.grpc.query import query_answer


async def test_a_key_that_is_no_text_is_told_as_far_as_it_is() -> None:
    """It costs no other row its place in the answer."""
    row = StoredValue(b"1", "7")
    found = [Result("plain", row), Result("odd\udcff", row), Result("é", row)]

    whole = await query_answer(Results(found, "", 0))

    answer = state_pb2.QueryStateResponse.FromString(b"".join(whole))
    assert [each.key for each in answer.results] == ["plain", "odd\ufffd", "é"]
    assert {each.data for each in answer.results} == {b"1"}
