"""Random programs of operations against a plain model; a failing one is shrunk to the shortest."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvloop
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from dapr_state.stores.base import EtagMismatch
from dapr_state.stores.model import Delete, Feature, StoredValue, Upsert
from dapr_state.testing.stores.declaring import Ability, Kind, having

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from dapr_state.stores.model import Operation

KEYS = ["a", "b", "c", "\u00e9 d"]
LONG = 1_000_000  # seconds: nothing expires during a program

# derandomized: the same programs in every run, so that a red build is red again on the next machine
PROFILE = settings(derandomize=True, max_examples=60, stateful_step_count=25, deadline=None, database=None)


def _stays_as_it_is(octets: bytes) -> bool:
    """Whether a store that keeps JSON as such, and not as text, gives it back octet for octet."""
    try:
        return json.dumps(json.loads(octets)).encode() == octets
    except (ValueError, RecursionError):
        return True


steps = st.fixed_dictionaries({
    "key": st.sampled_from(KEYS),
    "value": st.one_of(st.none(), st.binary(max_size=5).filter(_stays_as_it_is)),  # None: delete
    "etag": st.sampled_from(["none", "none", "current", "current", "older", "another key's", "foreign"]),
    "first_write": st.booleans(),
    "ttl": st.sampled_from([None, None, LONG]),
    "is_json": st.booleans(),
})  # fmt: skip
programs = st.lists(steps, max_size=5)


@dataclass
class Known:
    """A row as the model has it. The etag of a row that was just written is known after the next read."""

    value: bytes
    mortal: bool
    etag: str | None = None


class Program(RuleBasedStateMachine):
    def __init__(self, kind: Kind) -> None:
        super().__init__()
        kind.place.wipe()
        self.foreign_etag = kind.foreign_etag
        self.has_slots = Ability.SLOTS in kind.declaration.abilities
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.store = kind.place.make()
        self.model: dict[str, Known] = {}
        self.older: dict[str, list[str]] = {key: [] for key in KEYS}  # etags that a key once had
        self.run(self.store.open())

    def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(call)

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()

    @rule(keys=st.lists(st.sampled_from([*KEYS, "never"]), max_size=8))
    def get(self, keys: list[str]) -> None:
        rows = self.run(self.store.get(keys))

        assert [row and row.value for row in rows] == [
            self.model[key].value if key in self.model else None for key in keys
        ]

    @rule(program=programs)
    def write(self, program: list[dict[str, Any]]) -> None:
        operations = self.operations(program)
        expected = [self.apply(self.model, operation) for operation in operations]
        outcomes = self.run(self.store.write(operations))

        assert [isinstance(outcome, EtagMismatch) for outcome in outcomes] == expected
        assert [outcome for outcome in outcomes if outcome and not isinstance(outcome, EtagMismatch)] == []

    @rule(program=programs)
    def transact(self, program: list[dict[str, Any]]) -> None:
        if self.has_slots:
            program = [step for step in program if step["key"] == program[0]["key"]]
        operations = self.operations(program)
        after = dict(self.model)
        fails = any(self.apply(after, operation) for operation in operations)
        failed = self.run(self.failure_of(operations))

        assert failed == fails
        if not fails:
            self.model = after

    async def failure_of(self, operations: Sequence[Operation]) -> bool:
        try:
            await self.store.transact(operations)
        except EtagMismatch:
            return True
        return False

    def operations(self, program: list[dict[str, Any]]) -> list[Operation]:
        touched: set[str] = set()
        operations: list[Operation] = []
        for step in program:
            key, value = step["key"], step["value"]
            etag = self.etag(key, step["etag"], fresh=key not in touched)
            touched.add(key)
            if value is None:
                operations.append(Delete(key, etag, step["first_write"]))
            else:
                operations.append(
                    Upsert(key, value, etag, step["first_write"], ttl=step["ttl"], is_json=step["is_json"])
                )
        return operations

    def etag(self, key: str, choice: str, *, fresh: bool) -> str:
        """An etag to give. A row written earlier in the call has one that nobody can know: then a foreign one."""
        others = [known.etag for other, known in self.model.items() if other != key and known.etag]
        choices = {
            "none": [""],
            "current": [known.etag for known in [self.model.get(key)] if known and known.etag and fresh],
            "older": self.older[key] if fresh else [],
            "another key's": others if fresh else [],
            "foreign": [self.foreign_etag],
        }
        return (choices[choice] or choices["foreign"])[-1]

    def apply(self, model: dict[str, Known], operation: Operation) -> bool:
        """Do it to the model, or tell that it must fail."""
        known = model.get(operation.key)
        if operation.etag and (known is None or known.etag != operation.etag):
            return True
        if not operation.etag and operation.first_write and known is not None and isinstance(operation, Upsert):
            return True
        if isinstance(operation, Delete):
            model.pop(operation.key, None)
        else:
            model[operation.key] = Known(operation.value, operation.ttl is not None)
        return False

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        for key, row in zip(KEYS, self.run(self.store.get(KEYS)), strict=True):
            known = self.model.get(key)
            seen = (row.value, row.expires_at is not None) if isinstance(row, StoredValue) else None
            assert seen == (known and (known.value, known.mortal)), key
            if known is None:
                continue
            if known.etag is None:  # written since the last look
                assert row.etag
                known.etag = row.etag
                self.older[key].append(row.etag)
            assert row.etag == known.etag, f"{key}: a new etag without a write"


@having(Feature.ETAG, Feature.TRANSACTIONAL, Feature.TTL)
def test_random_programs_do_what_the_model_does(kind: Kind) -> None:
    """Any sequence of reads, writes and transactions, with etags of all sorts, duplicates, TTLs and first-writes."""
    run_state_machine_as_test(lambda: Program(kind), settings=PROFILE)  # type: ignore[arg-type]
