"""The keys of the memory store in their order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dapr_state.stores import sortedkeys
from dapr_state.stores.sortedkeys import SortedKeys

keys = st.text(alphabet="ab\u00e9", max_size=4)


@settings(derandomize=True, deadline=None, database=None, max_examples=300)
@given(program=st.lists(st.tuples(st.booleans(), keys), max_size=120), least=keys, count=st.integers(0, 9))
def test_pages_are_those_of_a_sorted_set(program: list[tuple[bool, str]], least: str, count: int) -> None:
    """Whatever was added and removed before, with parts so small that they are split and emptied."""
    whole, sortedkeys._PART_AT_MOST = sortedkeys._PART_AT_MOST, 3  # type: ignore[misc]
    try:
        mine, model = SortedKeys(), set()
        for adds, key in program:
            if adds:
                mine.add(key)
                model.add(key)
            else:
                mine.discard(key)
                model.discard(key)
    finally:
        sortedkeys._PART_AT_MOST = whole  # type: ignore[misc]

    assert mine.page(least, count, beyond=False) == sorted(key for key in model if key >= least)[:count]
    assert mine.page(least, count, beyond=True) == sorted(key for key in model if key > least)[:count]
    assert mine.page("", 1000, beyond=False) == sorted(model)
