"""Policies before a store: what is asked again and what is not, and that nothing is lost by it or done twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dapr_state.api.state import BoundStore, Item
from dapr_state.api.state import State as StateApi
from dapr_state.clock import ManualClock
from dapr_state.resiliency import trip
from dapr_state.resiliency.breaker import Breaker, State
from dapr_state.resiliency.guard import Guard
from dapr_state.resiliency.policies import BreakerRule, Chosen, Named, Retry
from dapr_state.stores.base import EtagMismatch, Late, NotDone, Refused, StoreError, Unfit
from dapr_state.stores.build import under
from dapr_state.stores.encrypted import EncryptedStore
from dapr_state.stores.encryption import Key
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import Delete, StoredValue, Upsert
from dapr_state.stores.resilient import ResilientStore
from dapr_state.stores.wrapper import Wrapper

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from dapr_state.stores.base import Found, Outcomes
    from dapr_state.stores.model import Operation

STEP = 1 / 16  # seconds that the clock is moved at a time: all times below are whole numbers of them

OK, UNDONE, LOST_BEFORE, LOST_AFTER = "ok", "undone", "lost before", "lost after"


class Scripted(Wrapper):
    """A store that fails as it is told: `plan` has what becomes of each key in each attempt; then all succeeds."""

    def __init__(self, clock: ManualClock, plan: Sequence[dict[str, str]] = (), *, hangs: int = 0) -> None:
        super().__init__(MemoryStore(clock))
        self.clock = clock
        self.plan = list(plan)
        self.hangs = hangs  # so many attempts wait for `answer`
        self.hanging = 0
        self.answer = asyncio.Event()
        self.attempts: list[tuple[float, list[str]]] = []
        self.applied: list[Operation] = []

    async def _come(self, keys: Sequence[str]) -> dict[str, str]:
        self.attempts.append((self.clock.monotonic(), list(keys)))
        if self.hangs:
            self.hangs -= 1
            self.hanging += 1
            try:
                await self.answer.wait()
            finally:
                self.hanging -= 1
        return self.plan.pop(0) if self.plan else {}

    async def get(self, keys: Sequence[str]) -> Found:
        fates = await self._come(keys)
        if fates.get("*"):
            raise StoreError("all of it")
        rows = await self.inner.get(keys)
        return [
            _error(fate) if (fate := fates.get(key, OK)) != OK else row for key, row in zip(keys, rows, strict=True)
        ]

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        fates = await self._come([operation.key for operation in operations])
        if fates.get("*"):
            raise _error(fates["*"])
        outcomes: Outcomes = []
        for operation in operations:
            fate = fates.get(operation.key, OK)
            outcome = None
            if fate in {OK, LOST_AFTER}:
                (outcome,) = await self.inner.write([operation])
                if outcome is None:
                    self.applied.append(operation)
            outcomes.append(outcome if fate == OK or outcome else _error(fate))
        return outcomes

    async def transact(self, operations: Sequence[Operation]) -> None:
        fate = (await self._come([operation.key for operation in operations])).get("*", OK)
        if fate in {OK, LOST_AFTER}:
            await self.inner.transact(operations)
            self.applied += operations
        if fate != OK:
            raise _error(fate)


def _error(fate: str) -> StoreError:
    return {UNDONE: NotDone("refused"), "row": Unfit("a row")}.get(fate) or StoreError(fate)


def guard(
    clock: ManualClock, *, timeout: float = 0.0, retry: Retry | None = None, rule: BreakerRule | None = None
) -> Guard:
    chosen = Chosen(
        Named("t", timeout) if timeout else None,
        Named("r", retry) if retry else None,
        Named("b", rule) if rule else None,
    )
    return Guard("component[st] output", chosen, Breaker("b-st", rule, clock.monotonic) if rule else None, clock=clock)


THREE = Retry(duration=0.25, max_retries=3)
OFTEN = BreakerRule(trip.parse("consecutiveFailures > 2"), timeout=5.0)


async def turned(clock: ManualClock, call: Coroutine[Any, Any, Any]) -> Any:
    """What a call comes to while the clock goes on."""
    task = asyncio.ensure_future(call)
    while not task.done():
        for _ in range(12):
            await asyncio.sleep(0)
        if not task.done() and clock.waiting:
            clock.advance(STEP)
    return await task


async def reach(clock: ManualClock, when: float) -> None:
    """Return when somebody has turned the clock so far."""
    reached = asyncio.Event()
    clock.call_at(when, reached.set)
    await reached.wait()


def upsert(key: str, value: bytes = b"v", etag: str = "") -> Upsert:
    return Upsert(key, value, etag)


async def test_a_call_without_failure_is_one_attempt() -> None:
    """Reads, writes and transactions pass as they are."""
    clock = ManualClock()
    store = Scripted(clock)
    resilient = ResilientStore(store, guard(clock, retry=THREE, rule=OFTEN))

    assert await resilient.write([upsert("a"), upsert("b")]) == [None, None]
    await resilient.transact([Delete("b")])
    found = await resilient.get(["a", "b"])
    assert isinstance(found[0], StoredValue)
    assert found[1] is None
    assert [keys for _, keys in store.attempts] == [["a", "b"], ["b"], ["a", "b"]]


# what a store does with a write, an etag that it has, and whether it is asked again
REPEATED = [
    (UNDONE, False, True),
    (UNDONE, True, True),
    (LOST_BEFORE, False, True),
    (LOST_AFTER, False, True),
    (LOST_BEFORE, True, False),
    (LOST_AFTER, True, False),
    ("row", False, False),
]


@pytest.mark.parametrize(("fate", "has_etag", "is_repeated"), REPEATED)
@pytest.mark.parametrize("kind", ["write", "transact"])
async def test_a_write_is_repeated_where_that_is_safe(
    kind: str, fate: str, *, has_etag: bool, is_repeated: bool
) -> None:
    """With an etag only if the first attempt has certainly come to nothing: it would conflict with itself."""
    clock = ManualClock()
    store = Scripted(clock)
    await store.inner.write([upsert("a")])
    (row,) = await store.inner.get(["a"])
    assert isinstance(row, StoredValue)
    store.plan = [{"a": fate, "*": fate} if kind == "transact" else {"a": fate}] * 3
    resilient = ResilientStore(store, guard(clock, retry=THREE, rule=OFTEN if not is_repeated else None))
    operations = [upsert("a", b"new", row.etag if has_etag else "")]
    try:
        call = resilient.write(operations) if kind == "write" else resilient.transact(operations)
        outcomes = await turned(clock, call) or [None]
    except StoreError as error:
        outcomes = [error]

    assert len(store.attempts) == (4 if is_repeated else 1)
    assert [at for at, _ in store.attempts] == [0.0, 0.25, 0.5, 0.75][: len(store.attempts)]
    assert [str(outcome) for outcome in outcomes if outcome] == ([] if is_repeated else [str(_error(fate))])


@pytest.mark.parametrize("etag", ["", "0-wrong"])
async def test_conflicts_are_the_callers(etag: str) -> None:
    """Any number of wrong etags neither opens a breaker nor is repeated."""
    clock = ManualClock()
    store = Scripted(clock)
    await store.inner.write([upsert("a")])
    policies = guard(clock, retry=THREE, rule=OFTEN)
    resilient = ResilientStore(store, policies)
    refused = Upsert("a", b"v", etag, first_write=True)
    for _ in range(5):
        (outcome,) = await turned(clock, resilient.write([refused]))
        assert isinstance(outcome, StoreError)
        assert outcome.is_final
        with pytest.raises(StoreError):
            await turned(clock, resilient.transact([refused]))

    assert policies.breaker.state is State.CLOSED
    assert len(store.attempts) == 10
    assert clock.monotonic() == 0.0


async def test_only_what_failed_is_asked_again_and_conflicts_stay() -> None:
    """Items are known by their place: B fails twice, C and D once, and A is a conflict all the while."""
    clock = ManualClock()
    store = Scripted(clock, [{"b": UNDONE, "c": UNDONE, "d": UNDONE}, {"b": UNDONE}])
    resilient = ResilientStore(store, guard(clock, retry=THREE))
    operations = [Upsert("a", b"1", "9"), upsert("b", b"2"), upsert("c", b"3"), upsert("d", b"4")]
    outcomes = await turned(clock, resilient.write(operations))

    assert [keys for _, keys in store.attempts] == [["a", "b", "c", "d"], ["b", "c", "d"], ["b"]]
    assert isinstance(outcomes[0], EtagMismatch)
    assert outcomes[1:] == [None, None, None]
    found = await store.inner.get(["b", "c", "d"])
    assert [each.value for each in found if isinstance(each, StoredValue)] == [b"2", b"3", b"4"]


async def test_an_item_is_not_repeated_behind_a_later_one_of_its_key() -> None:
    """It would undo what the later one has done: the request's order counts."""
    clock = ManualClock()
    store = Scripted(clock)
    store_write, fates = store.write, [[UNDONE, OK]]

    async def write(operations: Sequence[Operation]) -> Outcomes:
        if not fates:
            return await store_write(operations)
        store.attempts.append((0.0, [operation.key for operation in operations]))
        first, second = fates.pop()
        assert (first, second) == (UNDONE, OK)
        await store.inner.write(operations[1:])
        return [NotDone("refused"), None]

    store.write = write  # type: ignore[method-assign]  # it fails by place, not by key
    resilient = ResilientStore(store, guard(clock, retry=THREE))
    outcomes = await turned(clock, resilient.write([upsert("a", b"first"), upsert("a", b"second")]))
    (row,) = await store.inner.get(["a"])

    assert str(outcomes[0]) == "refused"
    assert outcomes[1] is None
    assert isinstance(row, StoredValue)
    assert row.value == b"second"
    assert len(store.attempts) == 1


ITEMS = st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), min_size=1, max_size=6)
FATES = st.lists(
    st.dictionaries(st.sampled_from("abcde"), st.sampled_from([UNDONE, LOST_BEFORE, LOST_AFTER])), max_size=4
)


@settings(max_examples=150, deadline=None)
@given(items=ITEMS, plan=FATES)
def test_no_program_of_failures_loses_an_item_or_writes_it_twice(
    items: list[tuple[str, bool]], plan: list[dict[str, str]]
) -> None:
    """Acknowledged is stored; certainly refused is not; on a condition happens once; nobody conflicts with himself."""
    asyncio.run(_program(items, plan))


async def _program(items: list[tuple[str, bool]], plan: list[dict[str, str]]) -> None:
    clock = ManualClock()
    store = Scripted(clock)
    first_of: dict[str, int] = {}
    operations = []
    for place, (key, has_etag) in enumerate(items):
        etag = ""
        if has_etag and key not in first_of:  # a later one of a key could not know its etag
            await store.inner.write([upsert(key, b"before")])
            (row,) = await store.inner.get([key])
            assert isinstance(row, StoredValue)
            etag = row.etag
        first_of.setdefault(key, place)
        operations.append(Upsert(key, b"%d" % place, etag))
    store.plan = plan
    resilient = ResilientStore(store, guard(clock, retry=THREE))
    try:
        outcomes = await turned(clock, resilient.write(operations))
    except StoreError as error:
        outcomes = [error] * len(operations)

    times = Counter(id(operation) for operation in store.applied)
    for operation, outcome in zip(operations, outcomes, strict=True):
        assert not isinstance(outcome, EtagMismatch), "a conflict with himself"
        if outcome is None:
            assert times[id(operation)], "acknowledged, and not stored"
        elif outcome.is_undone:
            assert not times[id(operation)], "refused, and stored"
        if operation.etag:
            assert times[id(operation)] <= 1, "written twice on a condition"
    for key in first_of:
        of_key = [operation for operation in store.applied if operation.key == key]
        if of_key:
            (row,) = await store.inner.get([key])
            assert isinstance(row, StoredValue)
            assert row.value == max(of_key, key=operations.index).value, "an earlier item over a later one"


async def test_a_read_that_fails_is_repeated_and_rows_that_cannot_be_read_are_not() -> None:
    """Of several keys those alone that failed; the answer keeps its form when some fail to the end."""
    clock = ManualClock()
    store = Scripted(clock, [{"a": UNDONE, "b": "row", "c": UNDONE}, {"c": UNDONE}, {"c": UNDONE}, {"c": UNDONE}])
    await store.inner.write([upsert("a")])
    resilient = ResilientStore(store, guard(clock, retry=THREE, rule=OFTEN))
    found = await turned(clock, resilient.get(["a", "b", "c"]))

    assert [keys for _, keys in store.attempts] == [["a", "b", "c"], ["a", "c"], ["c"], ["c"]]
    assert isinstance(found[0], StoredValue)
    assert [str(each) for each in found[1:]] == ["a row", "refused"]


async def test_a_read_counts_as_failure_when_every_key_failed() -> None:
    """One bad key of two says nothing of the store; of one alone it does, and three such open the breaker."""
    clock = ManualClock()
    policies = guard(clock, rule=OFTEN)
    store = Scripted(clock, [{"a": UNDONE}] * 5 + [{"a": UNDONE, "b": UNDONE}] * 2 + [{"*": UNDONE}])
    resilient = ResilientStore(store, policies)
    for _ in range(5):
        await resilient.get(["a", "b"])
    assert policies.breaker.state is State.CLOSED
    for _ in range(2):
        await resilient.get(["a", "b"])
    with pytest.raises(StoreError, match="all of it"):
        await resilient.get(["a"])
    with pytest.raises(Refused, match="circuit breaker is open"):
        await resilient.get(["a"])
    with pytest.raises(Refused):
        await resilient.write([upsert("a")])
    with pytest.raises(Refused):
        await resilient.transact([upsert("a")])

    assert len(store.attempts) == 8


async def test_a_breaker_that_opens_in_the_midst_ends_the_call() -> None:
    """As daprd: three attempts, then its text, and no wait more."""
    clock = ManualClock()
    store = Scripted(clock, [{"*": UNDONE}] * 30)
    resilient = ResilientStore(store, guard(clock, retry=Retry(duration=0.125, max_retries=20), rule=OFTEN))
    with pytest.raises(Refused, match="circuit breaker is open"):
        await turned(clock, resilient.get(["a"]))

    assert [at for at, _ in store.attempts] == [0.0, 0.125, 0.25]


async def test_one_that_is_open_lets_a_probe_through_and_closes() -> None:
    """After its time one call passes, others are too many; it succeeds, and all is as before."""
    clock = ManualClock()
    policies = guard(clock, rule=OFTEN)
    store = Scripted(clock, [{"*": UNDONE}] * 3)
    resilient = ResilientStore(store, policies)
    for _ in range(3):
        with pytest.raises(StoreError):
            await resilient.get(["a"])
    clock.advance(4.9)
    with pytest.raises(Refused, match="circuit breaker is open"):
        await resilient.get(["a"])
    clock.advance(0.2)
    store.hangs = 1
    probe = asyncio.ensure_future(resilient.get(["a"]))
    await asyncio.sleep(0)
    with pytest.raises(Refused, match="too many requests"):
        await resilient.get(["a"])
    store.answer.set()

    assert await probe == [None]
    assert policies.breaker.state is State.CLOSED
    assert await resilient.get(["a"]) == [None]


async def test_a_read_that_is_not_answered_in_time_is_asked_again() -> None:
    """The caller waits no longer than the policy says, times the attempts."""
    clock = ManualClock()
    store = Scripted(clock, hangs=9)
    policies = guard(clock, timeout=0.375, retry=THREE)
    resilient = ResilientStore(store, policies)
    with pytest.raises(Late, match="context deadline exceeded"):
        await turned(clock, resilient.get(["a"]))

    assert [at for at, _ in store.attempts] == [0.0, 0.625, 1.25, 1.875]
    assert policies.counts.late == 1


@pytest.mark.parametrize("kind", ["write", "transact"])
async def test_the_late_answer_of_a_write_decides(kind: str) -> None:
    """What was sent is not sent again beside itself: its retry waits, and a write on a condition has its success."""
    clock = ManualClock()
    store = Scripted(clock, hangs=1)
    await store.inner.write([upsert("a")])
    (row,) = await store.inner.get(["a"])
    assert isinstance(row, StoredValue)
    resilient = ResilientStore(store, guard(clock, timeout=0.375, retry=THREE))
    operations = [upsert("a", b"new", row.etag)]
    call = asyncio.ensure_future(
        turned(clock, resilient.write(operations) if kind == "write" else resilient.transact(operations))
    )
    await reach(clock, 0.7)
    store.answer.set()

    assert await call in ([None], None)
    assert clock.monotonic() < 0.9
    assert len(store.attempts) == len(store.applied) == 1


async def test_a_write_that_fails_late_is_sent_again() -> None:
    """Once it is known that nothing has happened: the second one is the first that does."""
    clock = ManualClock()
    store = Scripted(clock, [{"a": UNDONE}], hangs=1)
    resilient = ResilientStore(store, guard(clock, timeout=0.375, retry=THREE))
    call = asyncio.ensure_future(turned(clock, resilient.write([upsert("a", b"new")])))
    await reach(clock, 0.4)
    store.answer.set()

    assert await call == [None]
    assert len(store.attempts) == 2
    assert len(store.applied) == 1


async def test_a_write_that_is_never_answered_ends_after_all_attempts() -> None:
    """It was sent once; four times the caller has waited for it."""
    clock = ManualClock()
    store = Scripted(clock, hangs=9)
    resilient = ResilientStore(store, guard(clock, timeout=0.375, retry=THREE))
    with pytest.raises(Late):
        await turned(clock, resilient.write([upsert("a")]))

    assert clock.monotonic() == 0.375 * 4 + 0.25 * 3
    assert len(store.attempts) == 1


async def test_a_write_does_not_come_after_a_later_one() -> None:
    """What its caller has left is on its way: the next of its key waits, and is never sent if it is left as well."""
    clock = ManualClock()
    store = Scripted(clock, hangs=1)
    resilient = ResilientStore(store, guard(clock, timeout=0.375))
    with pytest.raises(Late):
        await turned(clock, resilient.write([upsert("a", b"first"), upsert("b", b"first")]))
    for call in (resilient.write([upsert("a", b"second")]), resilient.transact([upsert("b", b"second")])):
        with pytest.raises(Late):
            await turned(clock, call)
    assert await turned(clock, resilient.write([upsert("c", b"third")])) == [None]
    last = asyncio.ensure_future(turned(clock, resilient.write([upsert("a", b"last")])))
    await reach(clock, clock.monotonic() + STEP)
    store.answer.set()

    assert await last == [None]
    (row,) = await store.inner.get(["a"])
    assert isinstance(row, StoredValue)
    assert row.value == b"last"
    assert [operation.value for operation in store.applied] == [b"third", b"first", b"first", b"last"]
    assert resilient._left == {}


class OneByOne(Scripted):
    """Each of its writes waits for an answer of its own."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.answers: list[asyncio.Event] = []

    async def _come(self, keys: Sequence[str]) -> dict[str, str]:
        if len(self.answers) < 2:
            answer = asyncio.Event()
            self.answers.append(answer)
            await answer.wait()
        return await super()._come(keys)


async def test_a_write_comes_after_all_that_were_left_of_its_key() -> None:
    """Two were on their way beside each other, and the later one ends first: the next one waits for both."""
    clock = ManualClock()
    store = OneByOne(clock)
    resilient = ResilientStore(store, guard(clock, timeout=0.375))
    first = asyncio.ensure_future(resilient.write([upsert("a", b"first")]))
    second = asyncio.ensure_future(turned(clock, resilient.write([upsert("a", b"second")])))
    assert [type(each) for each in await asyncio.gather(first, second, return_exceptions=True)] == [Late, Late]
    store.answers[1].set()
    last = asyncio.ensure_future(turned(clock, resilient.write([upsert("a", b"last")])))
    for _ in range(12):
        await asyncio.sleep(0)
    store.answers[0].set()

    assert await last == [None]
    assert [operation.value for operation in store.applied] == [b"second", b"first", b"last"]
    assert resilient._left == {}


@pytest.mark.parametrize("seconds", [0.375, 0.0, None])
async def test_a_write_comes_after_one_that_was_left_under_other_policies(seconds: float | None) -> None:
    """Policies change, or go, while it is on its way: the next of its key waits all the same."""
    clock = ManualClock()
    ground = Scripted(clock, hangs=1)
    ground.is_ground = True  # type: ignore[misc]  # it stands for the store itself
    before = under(ground, guard(clock, timeout=0.375))
    with pytest.raises(Late):
        await turned(clock, before.write([upsert("a", b"first")]))
    after = under(before, None if seconds is None else guard(clock, timeout=seconds, retry=THREE))
    last = asyncio.ensure_future(turned(clock, after.write([upsert("a", b"last")])))
    for _ in range(12):
        await asyncio.sleep(0)
    ground.answer.set()

    assert await last == [None]
    assert [operation.value for operation in ground.applied] == [b"first", b"last"]
    assert under(after, None) is ground


async def test_a_caller_that_leaves_is_neither_success_nor_failure() -> None:
    """Nothing is asked for him any more, the breaker stays closed, and a probe gives its place back."""
    clock = ManualClock()
    policies = guard(clock, retry=THREE, rule=OFTEN)
    store = Scripted(clock, hangs=20)
    resilient = ResilientStore(store, policies)
    for _ in range(5):
        call = asyncio.ensure_future(resilient.get(["a"]))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert policies.breaker.state is State.CLOSED
    assert policies.breaker.requests == 0
    store.plan, store.hangs = [{"*": UNDONE}] * 3, 0
    for _ in range(3):
        with pytest.raises(StoreError):
            await turned(clock, ResilientStore(store, _without_retry(policies)).get(["a"]))
    clock.advance(6.0)
    store.hangs = 1
    call = asyncio.ensure_future(resilient.get(["a"]))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert await resilient.get(["a"]) == [None]
    assert policies.breaker.state is State.CLOSED


def _without_retry(policies: Guard) -> Guard:
    return Guard(policies.what, Chosen(breaker=policies.chosen.breaker), policies.breaker, clock=policies.clock)


async def test_policies_stand_between_encryption_and_the_store() -> None:
    """What is asked again is what was sealed; actors pass them without encryption, reminders pass neither."""
    clock = ManualClock()
    ground = Scripted(clock, [{"a": UNDONE}])
    ground.is_ground = True  # type: ignore[misc]  # it stands for the store itself
    encrypted = EncryptedStore(ground, "st", [Key("k1", bytes(32))])
    store = under(under(encrypted, guard(clock, rule=OFTEN)), guard(clock, retry=THREE))

    assert await turned(clock, store.write([upsert("a", b"clear")])) == [None]
    assert (len(ground.attempts), len(ground.applied)) == (2, 1)
    (read,) = await store.get(["a"])
    assert isinstance(read, StoredValue)
    assert read.value == b"clear"
    (sealed,) = await store.unencrypted.get(["a"])
    assert isinstance(sealed, StoredValue)
    assert sealed.value.endswith(b"||k1")
    assert isinstance(store.unencrypted, ResilientStore)
    assert store.bare is ground.bare
    assert under(store, None).unencrypted is encrypted.unencrypted


async def test_calls_that_come_to_an_end_leave_nothing_behind() -> None:
    """A thousand that were late: nothing of theirs is left once the store has answered."""
    clock = ManualClock()
    store = Scripted(clock, hangs=1000)
    resilient = ResilientStore(store, guard(clock, timeout=0.375))
    calls = [asyncio.ensure_future(resilient.write([upsert(f"k{number}")])) for number in range(500)]
    calls += [asyncio.ensure_future(resilient.get([f"k{number}"])) for number in range(500)]
    while not all(call.done() for call in calls):
        await asyncio.sleep(0)
        clock.advance(STEP)
    for _ in range(5):
        await asyncio.sleep(0)

    assert {type(call.exception()) for call in calls} == {Late}
    assert store.hanging == 500  # the writes: whether they happen is for the store to say
    store.answer.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert store.hanging == 0
    assert resilient._left == {}
    assert clock.waiting == 0


async def in_parts(store: ResilientStore, parts: Sequence[Sequence[str]]) -> list[StoreError | None]:
    """What becomes of each key of a call that comes so."""
    found: list[StoreError | None] = []
    with store.in_parts() as whole:
        for part in parts:
            try:
                found += await whole.write([upsert(key) for key in part])
            except StoreError as error:
                found += [error] * len(part)
    return found


PARTS = [["a", "b"], ["c", "d"], ["e", "f"]]


async def test_a_call_that_comes_in_parts_is_one_call() -> None:
    """A part that fails is repeated alone; the breaker has seen as many attempts as the call had, and one call."""
    clock = ManualClock()
    store = Scripted(clock, [{}, {"d": UNDONE}, {"d": UNDONE}])
    policies = guard(clock, retry=THREE, rule=BreakerRule(trip.parse("false")))
    resilient = ResilientStore(store, policies)

    assert await turned(clock, in_parts(resilient, PARTS)) == [None] * 6
    assert [keys for _, keys in store.attempts] == [["a", "b"], ["c", "d"], ["d"], ["d"], ["e", "f"]]
    breaker, counts = policies.breaker, policies.counts
    assert (breaker.requests, breaker.failures, breaker.successes) == (3, 2, 1)
    assert (counts.calls, counts.retried) == (1, 1)


async def test_the_parts_of_a_call_have_its_retries_together() -> None:
    """What fails when there are none any more is told, the rest is written, and nothing opens a breaker twice."""
    clock = ManualClock()
    store = Scripted(clock, [{"a": UNDONE}] * 4 + [{"c": UNDONE}])
    policies = guard(clock, retry=THREE, rule=BreakerRule(trip.parse("false")))
    resilient = ResilientStore(store, policies)
    outcomes = await turned(clock, in_parts(resilient, PARTS))

    assert [bool(outcome) for outcome in outcomes] == [True, False, True, False, False, False]
    assert [keys for _, keys in store.attempts] == [["a", "b"], ["a"], ["a"], ["a"], ["c", "d"], ["e", "f"]]
    assert (policies.breaker.requests, policies.breaker.failures) == (4, 4)


class Slow(Wrapper):
    """A store that takes its time for each part."""

    def __init__(self, clock: ManualClock, seconds: float) -> None:
        super().__init__(MemoryStore(clock))
        self.clock = clock
        self.seconds = seconds

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        await self.clock.sleep_until(self.clock.monotonic() + self.seconds)
        return await self.inner.write(operations)


async def test_the_parts_of_a_call_have_its_time_together() -> None:
    """Its caller waits no longer than the policy says, however many parts there are."""
    clock = ManualClock()
    policies = guard(clock, timeout=0.625)
    outcomes = await turned(clock, in_parts(ResilientStore(Slow(clock, 0.25), policies), PARTS))

    assert [type(outcome) for outcome in outcomes] == [type(None)] * 4 + [Late] * 2
    assert clock.monotonic() == pytest.approx(0.625, abs=2 * STEP)
    assert policies.counts.late == 1


async def test_a_call_in_parts_is_encrypted_and_asks_an_open_breaker_once() -> None:
    """Who stands before the policies does so before each part; what is refused is refused as a whole."""
    clock = ManualClock()
    store = Scripted(clock)
    policies = guard(clock, rule=OFTEN)
    encrypted = EncryptedStore(ResilientStore(store, policies), "st", [Key("k", bytes(32))])
    with encrypted.in_parts() as whole:
        await whole.write([upsert("a", b"secret")])
        await whole.write([upsert("b", b"secret")])
    assert all(isinstance(each, Upsert) and b"secret" not in each.value for each in store.applied)
    assert policies.counts.calls == 1
    for _ in range(3):
        policies.breaker.refuses()
        policies.breaker.failed(policies.breaker.generation, "down")
    outcomes = await in_parts(ResilientStore(store, policies), PARTS)

    assert [type(outcome) for outcome in outcomes] == [Refused] * 6
    assert policies.counts.calls == 2


async def test_the_api_writes_and_reads_thousands_in_one_call() -> None:
    """Two thousand and more items are one call for the breaker, and for those who look at the metrics."""
    clock = ManualClock()
    policies = guard(clock, retry=THREE, rule=OFTEN)
    state = StateApi("app", {"st": BoundStore("st", "", ResilientStore(Scripted(clock), policies))})
    await state.save("st", [Item(f"k{number}", b"v") for number in range(2500)])
    assert policies.counts.calls == policies.breaker.requests == policies.breaker.successes == 1
    found = await state.get_bulk("st", [f"k{number}" for number in range(2500)])

    assert [type(row) for row in found] == [StoredValue] * 2500
    assert policies.counts.calls == policies.breaker.requests == policies.breaker.successes == 2
