"""Callers who go together: each is answered once, with his own, and what waits is counted to the octet."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dapr_state.stores.base import StoreError
from dapr_state.stores.batching import Batch, Batcher, Budget, runs

POISON = "poison"  # with it a batch cannot be run
AT_MOST, OCTETS_AT_MOST, CALLERS, OCTETS = 5, 20, 8, 60

WANTED = st.lists(st.sampled_from(["a", "bb", "ccc", "dddddddd", POISON]), min_size=1, max_size=7)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), WANTED),
        st.tuples(st.just("ask"), WANTED),
        st.tuples(st.just("close"), st.none()),
        st.tuples(st.just("cancel"), st.integers(0, 50)),
        st.tuples(st.sampled_from(["settle", "fail", "apart", "misfit"]), st.integers(0, 50)),
    ),
    max_size=60,
)


def weigh(wanted: Any) -> int:
    return sum(map(len, wanted))


class Store:
    """Takes batches over, and answers them when it is told to."""

    def __init__(self) -> None:
        self.budget = Budget("it", callers=CALLERS, octets=OCTETS)
        self.begun = 0
        self.taken: list[Batch[str, str]] = []
        self.sizes: list[int] = []  # of those that were run
        self.batcher: Batcher[str, str] = Batcher(
            self.run,
            budget=self.budget,
            weigh=weigh,
            at_end=self.begin,
            at_most=AT_MOST,
            octets_at_most=OCTETS_AT_MOST,
        )
        self.refusals: list[str] = []
        self.calls: list[tuple[list[str], asyncio.Future[list[str]]]] = []

    def begin(self, _: object) -> None:
        self.begun += 1

    def run(self, batch: Batch[str, str]) -> None:
        if POISON in batch.wanted:
            raise ValueError(POISON)
        self.sizes.append(len(batch.wanted))
        assert len(batch) == 1 or (batch.octets <= OCTETS_AT_MOST and len(batch.wanted) <= AT_MOST)
        self.taken.append(batch)

    def do(self, step: str, what: Any) -> None:
        match step:
            case "ask":
                try:
                    self.calls.append((what, self.batcher.ask(what)))
                except StoreError as error:
                    self.refusals.append(str(error))
            case "close":
                self.batcher.close()
            case "cancel" if self.calls:
                self.calls[what % len(self.calls)][1].cancel()
            case "settle" if self.taken:
                batch = self.taken.pop(what % len(self.taken))
                batch.settle([f"{each}!" for each in batch.wanted])
                batch.settle([f"{each}?" for each in batch.wanted])  # too late
            case "misfit" if self.taken:
                with pytest.raises(ValueError, match="outcomes for"):
                    self.taken[what % len(self.taken)].settle([])
            case "fail" if self.taken:
                self.taken.pop(what % len(self.taken)).fail(StoreError("lost"))
            case "apart" if self.taken:
                self.taken += self.taken.pop(what % len(self.taken)).apart()


@settings(max_examples=500, deadline=None)
@given(steps=STEPS)
def test_everyone_is_answered_once_with_his_own(steps: list[tuple[str, Any]]) -> None:
    """Whatever is asked, given up, run in part, failed or settled twice; afterwards nothing is counted as waiting."""

    async def run() -> tuple[Store, list[Any]]:
        store = Store()
        for step, what in steps:
            store.do(step, what)
            assert store.budget.callers <= CALLERS
            assert store.budget.octets <= OCTETS or store.budget.callers == 1
        store.batcher.close()
        while store.taken:
            store.do("settle", 0)
        return store, await asyncio.gather(*(answer for _, answer in store.calls), return_exceptions=True)

    store, outcomes = asyncio.run(run())
    assert (store.budget.callers, store.budget.octets) == (0, 0)
    assert 0 not in store.sizes
    assert all(text.startswith("too many requests wait for it: ") for text in store.refusals)
    for (wanted, _), outcome in zip(store.calls, outcomes, strict=True):
        if isinstance(outcome, list):
            assert outcome == [f"{each}!" for each in wanted]
        elif isinstance(outcome, StoreError):
            assert str(outcome) == "lost" or POISON in wanted
        else:
            assert isinstance(outcome, asyncio.CancelledError)
    errors = [id(outcome) for outcome in outcomes if isinstance(outcome, StoreError)]
    assert len(errors) == len(set(errors))


async def test_nobody_makes_a_batch_larger_than_it_may_be() -> None:
    """Who would, begins the next one; who wants more than all of a batch has one alone."""
    store = Store()
    for wanted in (["a", "a"], ["a", "a"], ["a", "a"], ["a"] * 7, ["a"]):
        store.batcher.ask(wanted)
    store.batcher.close()

    assert store.sizes == [4, 2, 7, 1]


@given(wanted=st.lists(st.text(max_size=30), min_size=1, max_size=60))
def test_runs_are_the_whole_in_bounded_pieces(wanted: list[str]) -> None:
    """In order, none empty, none beyond the bounds unless it is a single one."""
    pieces = list(runs(wanted, weigh, at_most=AT_MOST, octets_at_most=OCTETS_AT_MOST))

    assert [each for piece in pieces for each in piece] == wanted
    assert all(pieces)
    assert all(len(piece) == 1 or (len(piece) <= AT_MOST and weigh(piece) <= OCTETS_AT_MOST) for piece in pieces)


async def test_one_that_is_larger_than_all_that_may_wait_waits_alone() -> None:
    """It could never be served otherwise."""
    store = Store()
    alone = store.batcher.ask(["x" * 1000])
    with pytest.raises(StoreError, match="too many requests wait for it: 1, with 1000 octets"):
        store.batcher.ask(["y"])
    store.batcher.close()
    store.do("settle", 0)

    assert await alone == ["x" * 1000 + "!"]
    assert repr(store.budget) == "<Budget of it: 0 waiting with 0 octets>"
