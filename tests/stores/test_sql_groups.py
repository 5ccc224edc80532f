"""The writes of many callers in one commit: whatever the database refuses, each has his own outcome."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from dapr_state.stores.base import Outcomes, StoreError
from dapr_state.stores.model import Delete, Operation
from dapr_state.stores.sql.groups import RefusedError, write_group, write_group_async

if TYPE_CHECKING:
    from collections.abc import Sequence

units = st.lists(st.lists(st.booleans(), min_size=1, max_size=3), max_size=40)  # True: an operation that is refused


@settings(derandomize=True, deadline=None, database=None, max_examples=300)
@given(asked=units, is_async=st.booleans())
def test_only_what_is_refused_is_not_written(asked: list[list[bool]], is_async: bool) -> None:
    """The others are, once, in their order; one refused among n costs no more than twice the halvings of n."""
    wanted = [[Delete(f"{'bad' if bad else 'good'}{number}") for number, bad in enumerate(unit)] for unit in asked]
    written: list[Sequence[Operation]] = []
    tries = 0

    def commit(group: Sequence[Sequence[Operation]]) -> Outcomes:
        nonlocal tries
        tries += 1
        if any(operation.key.startswith("bad") for unit in group for operation in unit):
            raise RefusedError("not this")
        written.extend(group)
        return [None] * len(group)

    async def commit_async(group: Sequence[Sequence[Operation]]) -> Outcomes:
        return commit(group)

    outcomes = asyncio.run(write_group_async(wanted, commit_async)) if is_async else write_group(wanted, commit)

    assert [str(outcome) for outcome in outcomes] == ["not this" if any(unit) else "None" for unit in asked]
    assert written == [unit for unit, bad in zip(wanted, asked, strict=True) if not any(bad)]
    assert tries <= 1 + 2 * sum(any(unit) for unit in asked) * len(asked).bit_length()


def test_a_failure_of_the_database_is_everybody_s() -> None:
    """What would fail for each alone as well is tried once; each caller has an error of his own."""
    tries = []

    def commit(group: Sequence[Sequence[Operation]]) -> Outcomes:
        tries.append(len(group))
        raise StoreError("locked")

    outcomes = write_group([[Delete("a")], [Delete("b")], [Delete("c")]], commit)

    assert [str(outcome) for outcome in outcomes] == ["locked"] * 3
    assert len({id(outcome) for outcome in outcomes}) == 3
    assert tries == [3]
