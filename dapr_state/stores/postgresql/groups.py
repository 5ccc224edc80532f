"""Groups of reads and of writes, each one statement."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from dapr_state.errors import shortened
from dapr_state.stores.base import NotDone, StoreError
from dapr_state.stores.model import StoredValue
from dapr_state.stores.postgresql import failures, fence, tables
from dapr_state.stores.postgresql.lanes import Postponed
from dapr_state.stores.postgresql.pool import LOCK_SECONDS, statement_limit
from dapr_state.stores.postgresql.underway import UnderWay
from dapr_state.stores.slices import slices
from dapr_state.stores.sql.groups import RefusedError, Write, shared_out, units_of, write_group_async
from dapr_state.stores.sql.writeset import WriteSet, guarded_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from dapr_state.stores.base import Found, Outcomes
    from dapr_state.stores.postgresql.options import Options
    from dapr_state.stores.postgresql.pool import Pool
    from dapr_state.stores.postgresql.tables import StateTable
    from dapr_state.stores.sql.groups import Unit
    from dapr_state.stores.sql.writeset import Change

KEYS_AT_MOST: Final = 1024  # of a group of reads: 2 ms; the same keys of many callers are read once
WRITES_AT_MOST: Final = 512  # operations or transactions of a group: some 2 ms
OCTETS_AT_MOST: Final = 4 << 20  # of a group's values
_SHARE: Final = 0.25  # of the timeout: what a group's statement should take at most
_LARGE: Final = 1024  # operations of a transaction that are judged and sent in one turn: 5 ms
_CONNECTIONS: Final = 3  # that may be lost: before a write was sent, or while something was read
_ATTEMPTS: Final = 3  # of a statement that the server undoes for the sake of others
_JUDGEMENTS: Final = 10  # of a group whose rows others write meanwhile; each settles one guard or more
_CHANGED: Final = "22012"  # the statement's own way to say that a row has come in between: it divides by zero
_NOT_BASE64: Final = ("22023", "22P02")

_HELD: Final = StoreError("another client holds the row")  # in the place of an outcome that is to come
_TOLD: Final = 200  # characters of a key in an error


class _Held(Postponed):
    """What became of a caller's operations as far as nobody held their rows."""

    def __init__(self, groups: Groups, work: Write, outcomes: Outcomes) -> None:
        self._groups = groups
        self._units, _ = units_of([work])
        self._outcomes = outcomes

    async def finish(self, is_wanted: Callable[[], bool]) -> Outcomes:
        """One patience for all of them: who holds one row may hold them all."""
        units, outcomes = self._units, self._outcomes
        clock, seconds = self._groups.clock, self._groups.timeout
        until = clock.monotonic() + seconds
        while seconds > 0 and (held := [place for place, outcome in enumerate(outcomes) if outcome is _HELD]):
            first, rest = held[0], held[1:]
            outcomes[first] = await self._groups.wait_for(units[first], seconds)
            if not is_wanted():  # the rest would come behind what was asked since
                break
            again = await self._again([units[place] for place in rest])
            for place, outcome in zip(rest, again, strict=True):
                outcomes[place] = outcome
            seconds = until - clock.monotonic()
        return self.given_up(self._groups.not_free)

    async def _again(self, units: Sequence[Unit]) -> Outcomes:
        """An error is of these alone: what was written before stays written."""
        try:
            return await self._groups.write_units(units) if units else []
        except StoreError as error:
            return [type(error)(str(error)) for _ in units]

    def given_up(self, reason: str, kind: type[StoreError] = NotDone) -> Outcomes:
        return [
            kind(held_by_another([operation.key for operation in unit], reason)) if outcome is _HELD else outcome
            for unit, outcome in zip(self._units, self._outcomes, strict=True)
        ]


class _Found:
    """What a group's parts have come to so far."""

    __slots__ = ("freed", "held", "kept", "of")

    def __init__(self, of: int) -> None:
        self.of = of  # units
        self.freed = 0  # how often a lock was not to be had that nobody held when it was looked for
        self.held: set[str] = set()  # keys that others hold
        # what is committed of a group that went in parts stays told, whatever ends the others: by the units' identity
        self.kept: dict[int, StoreError | None] = {}

    def may_go_on(self, held: set[str]) -> bool:
        """Others hold these. If there are none, what was held is free again; but not for ever."""
        self.held |= held
        self.freed += not held
        return self.freed < _ATTEMPTS

    def holds_any(self, units: Sequence[Unit]) -> bool:
        return bool(self.held) and any(_is_of(unit, self.held) for unit in units)

    def keep(self, units: Sequence[Unit], outcomes: Outcomes) -> Outcomes:
        if len(units) < self.of:
            self.kept.update(zip(map(id, units), outcomes, strict=True))
        return outcomes


def held_by_another(keys: Sequence[str], reason: str) -> str:
    more = f", or one of {len(keys) - 1} more" if len(keys) > 1 else ""
    return f"another client holds the row of key={shortened(keys[0], _TOLD)}{more}: {reason}"


class Groups:
    def __init__(self, pool: Pool, table: StateTable, options: Options) -> None:
        self._pool = pool
        self._table = table
        self._options = options
        self.clock = pool.clock
        self.timeout = options.timeout
        self.not_free = f"it was not free within {pool.patience}"
        self._new_etags = table.layout.new_etags()
        self.under_way = UnderWay(pool.clock)
        self._patient: dict[Any, float] = {}  # connections that wait longer for rows, and how long
        self.statements = 0  # that wrote
        self.writes_at_once = WRITES_AT_MOST  # of a group: fewer where the server is slow
        self.keys_at_once = KEYS_AT_MOST  # of a group: fewer where values are large, for they are in memory together

    async def read(self, keys: Sequence[str]) -> Found:
        """One entry per key."""
        if tables.refusal("".join(keys)):  # a look at all of them at once
            rows = await self._rows([key for key in keys if not tables.refusal(key)])
            return [tables.refusal(key) or rows.get(key) for key in keys]
        rows = await self._rows(list(dict.fromkeys(keys)))
        return [*map(rows.get, keys)]

    async def write(self, works: Sequence[Write]) -> list[Outcomes | Postponed]:
        """One commit for all of them; for each one outcome per operation, or one for the transaction.

        Postponed are those of which another client holds a row.
        """
        units, lengths = units_of(works)
        parts = shared_out(await self.write_units(units), lengths)
        return [_Held(self, work, part) if _HELD in part else part for work, part in zip(works, parts, strict=True)]

    async def write_units(self, units: Sequence[Unit]) -> Outcomes:
        """With `_HELD` in the place of what is to come, and of what stands behind it on its keys."""
        found = _Found(len(units))
        try:
            async with self.under_way.write(_keys_of(units), sum(map(len, units))) as turn:
                found.held |= await self.under_way.behind(turn, LOCK_SECONDS)
                return await self._write_units(units, found)
        except StoreError as error:
            if not found.kept:
                raise
            return [found.kept[id(unit)] if id(unit) in found.kept else type(error)(str(error)) for unit in units]

    async def _write_units(self, units: Sequence[Unit], found: _Found) -> Outcomes:
        for attempt in range(1, _CONNECTIONS + 1):
            try:
                async with self._pool.use(_keys_of(units)) as connection:
                    if self._pool.fence:
                        found.held |= await self._pool.fence.end(connection, _keys_of(units), LOCK_SECONDS)
                    return await write_group_async(units, lambda group: self._commit(connection, group, found))
            except failures.NotSent:
                if attempt == _CONNECTIONS or found.kept:
                    raise
        raise AssertionError  # pragma: no cover

    def _came(self, octets: int, keys: int) -> None:
        """Rows of so many keys are here: fewer are asked for at once if they are large, and more if they are not."""
        if octets > OCTETS_AT_MOST:
            self.keys_at_once = max(1, min(self.keys_at_once, keys * OCTETS_AT_MOST // octets))
        elif self.keys_at_once < KEYS_AT_MOST and 2 * keys >= self.keys_at_once:
            self.keys_at_once = min(KEYS_AT_MOST, 2 * self.keys_at_once)

    def _took(self, count: int, seconds: float) -> None:
        """So many went in one statement: what takes a while each would come to more than the timeout together."""
        allowed = self.timeout * _SHARE
        if seconds > allowed:
            self.writes_at_once = max(1, min(self.writes_at_once, int(count * allowed / seconds)))
        elif self.writes_at_once < WRITES_AT_MOST and 2 * count >= self.writes_at_once:
            self.writes_at_once = min(WRITES_AT_MOST, 2 * self.writes_at_once)

    async def wait_for(self, unit: Unit, seconds: float) -> StoreError | None:
        """Write it, also where other clients hold its rows for so long; tell why it was not."""
        until = self.clock.monotonic() + seconds
        try:
            async with self.under_way.write(_keys_of([unit]), len(unit)) as turn:
                if behind := await self.under_way.behind(turn, seconds):
                    return NotDone(held_by_another(sorted(behind), self.not_free))
                async with self._pool.use(_keys_of([unit])) as connection:
                    if behind := await self._pool.fence.end(
                        connection, _keys_of([unit]), until - self.clock.monotonic()
                    ):
                        return NotDone(fence.may_follow(behind))
                    return await self._wait_on(connection, unit, until - self.clock.monotonic())
        except StoreError as error:
            return type(error)(str(error))

    async def _wait_on(self, connection: Any, unit: Unit, seconds: float) -> StoreError | None:
        self._patient[connection] = seconds
        try:
            await self._set_patience(connection, seconds)
            (outcome,) = await self._kept(connection, [unit])
        except (asyncpg.PostgresError, StoreError) as error:
            is_late = failures.code(error) in failures.LATE
            told = await self._why_late(connection, unit) if is_late else None
            connection.terminate()  # it would wait as long for the next
            return told or failures.store_error(error)
        finally:
            self._patient.pop(connection, None)
        try:
            await self._set_patience(connection, LOCK_SECONDS)
        except failures.DRIVER:  # it is written all the same
            connection.terminate()
        return outcome

    async def _why_late(self, connection: Any, unit: Unit) -> StoreError | None:
        """Whose row it is that was waited for; None if it is nobody's."""
        del self._patient[connection]
        try:
            await self._set_patience(connection, LOCK_SECONDS)
            held = await self._held_by_others(connection, [unit])
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            return None
        keys = [operation.key for operation in unit if operation.key in held]
        return NotDone(held_by_another(keys[:1], self.not_free)) if keys else None

    async def _set_patience(self, connection: Any, seconds: float) -> None:
        """Of the session, unless a pooler gives it to others between two transactions: see `_limit`."""
        if not self._options.pooled:
            await connection.execute(f"SET lock_timeout = {max(1, int(seconds * 1000))}")

    async def _rows(self, keys: Sequence[str]) -> dict[str, StoredValue | StoreError]:
        """Those that are there; the server gives a key once, however often it is asked for."""
        statement = self._table.read
        until = self.clock.monotonic() + self.timeout
        lost = 0
        while True:
            try:
                records = await self._fetch(statement, keys)
            except (failures.ConnectionLost, failures.NotSent):
                lost += 1
                if lost == _CONNECTIONS:
                    raise
            except RefusedError as error:
                code = failures.code(error.__cause__ or error)
                if code == failures.LOCKED and self.clock.monotonic() < until:
                    continue  # somebody changes the table, or vacuums it
                if statement == self._table.read_raw or code not in _NOT_BASE64:
                    raise
                statement = self._table.read_raw
            else:
                self._came(sum([len(record[1]) for record in records]), len(keys))
                if statement == self._table.read:
                    return {key: StoredValue(value, etag, expiry) for key, value, etag, expiry in records}
                return {record[0]: tables.decoded(*record[1:]) for record in records}

    async def _fetch(self, statement: str, keys: Sequence[str]) -> Sequence[Any]:
        async with self._pool.use() as connection:
            records: Sequence[Any] = await self._ask(connection, statement, keys)
            return records

    async def _ask(self, connection: Any, statement: str, *arguments: Any) -> Sequence[Any]:
        if not self._options.pooled:
            records: Sequence[Any] = await connection.fetch(statement, *arguments)
            return records
        async with connection.transaction():
            await self._limit(connection)
            return list(await connection.fetch(statement, *arguments))

    async def _limit(self, connection: Any) -> None:
        """Give this transaction what a session has where there is no pooler."""
        if not self._options.pooled:
            return
        patience = self._patient.get(connection, LOCK_SECONDS)
        await connection.execute(
            f"SET LOCAL lock_timeout = {max(1, int(patience * 1000))}; "
            + statement_limit(self._options.timeout, of_transaction=True)
        )

    async def _commit(self, connection: Any, units: Sequence[Unit], found: _Found) -> Outcomes:
        """Raises StoreError, which is a RefusedError where the others can be written without one of the units."""
        if found.holds_any(units):
            return await self._commit_without(found, connection, units)
        began = self.clock.monotonic()
        try:
            outcomes = await self._kept(connection, units)
        except asyncpg.PostgresError as error:
            self._took(len(units), self.clock.monotonic() - began)
            if failures.leaves_no_connection(error):
                raise
            if failures.code(error) != failures.LOCKED:
                raise failures.store_error(error) from error
            if len(units) == 1:
                found.held.update(operation.key for operation in units[0])
                return [_HELD]
            if not found.may_go_on(await self._held_by_others(connection, units)):
                raise failures.store_error(error) from error
        except asyncpg.InterfaceError as error:
            if connection.is_closed():
                raise
            raise RefusedError(failures.describe(error)) from error  # an argument that the driver cannot send
        else:
            self._took(len(units), self.clock.monotonic() - began)
            return found.keep(units, outcomes)
        return await self._commit_without(found, connection, units)

    async def _held_by_others(self, connection: Any, units: Sequence[Unit]) -> set[str]:
        """All of them at once: to look for each by halves takes seconds where there are many."""
        keys = {operation.key for unit in units for operation in unit if not tables.refusal(operation.key)}
        try:
            return {key for (key,) in await self._ask(connection, self._table.held_by_others, list(keys))}
        except asyncpg.PostgresError as error:
            if failures.code(error) != failures.LOCKED:
                raise
            return keys  # it is the table that somebody holds

    async def _commit_without(self, found: _Found, connection: Any, units: Sequence[Unit]) -> Outcomes:
        are_held = [_is_of(unit, found.held) for unit in units]
        others = [unit for unit, is_held in zip(units, are_held, strict=True) if not is_held]
        outcomes: Outcomes = []
        if others:
            outcomes = await write_group_async(others, lambda group: self._commit(connection, group, found))
        following = iter(outcomes)
        return [_HELD if is_held else next(following) for is_held in are_held]

    async def _kept(self, connection: Any, units: Sequence[Unit]) -> Outcomes:
        """What jsonb cannot hold is kept as octets, once it is known whose it is."""
        try:
            return await self._judged(connection, units)
        except asyncpg.PostgresError as error:
            if len(units) > 1 or not failures.is_of_json(error) or not any(map(tables.is_json, units[0])):
                raise
        return await self._judged(connection, [[tables.as_bytes(operation) for operation in units[0]]])

    async def _judged(self, connection: Any, units: Sequence[Unit]) -> Outcomes:
        """Judge by what is stored, and write if that is so still."""
        if len(units) == 1 and len(units[0]) > _LARGE:
            return [await self._write_large(connection, units[0])]
        layout = self._table.layout
        guarded = [key for key in dict.fromkeys(guarded_keys(units)) if not tables.refusal(key)]
        stored = tables.guesses([operation for unit in units for operation in unit], layout.canonical)
        needed = guarded  # to be as judged, for the judgement to be right
        for _ in range(_JUDGEMENTS):
            write_set = WriteSet(stored, self._new_etags, layout.judge)
            outcomes = write_set.add_units(units, tables.refusal, guarded=bool(guarded))
            if needed is not guarded:
                needed = _guards_of([unit for unit, refused in zip(units, outcomes, strict=True) if not refused])
            changes = write_set.changes()
            rows, gone = tables.puts(changes), tables.deletes(changes)
            if not needed:
                await self._write_unguarded(connection, rows, gone)
                return outcomes
            fit, found = await self._write_guarded(connection, needed, stored, rows, gone)
            if fit:
                return outcomes
            stored = {**{key: etag for key, etag in stored.items() if key not in needed}, **found}
            needed = []
        raise RefusedError("others change the row too often")

    async def _write_large(self, connection: Any, unit: Unit) -> StoreError | None:
        """Carry out a transaction of many statements: a thread judges it, and others go on meanwhile."""
        for _ in range(_ATTEMPTS):
            transaction = connection.transaction()
            await transaction.start()
            try:
                await self._limit(connection)
                guarded = await asyncio.to_thread(self._guarded_of, unit)
                stored: dict[str, str] = {}
                for some in slices(guarded, _LARGE):
                    stored |= dict(await connection.fetch(self._table.hold, some))
                refused, changes = await asyncio.to_thread(self._judge_large, unit, stored)
                fit = not refused
                missing = {key for key in guarded if key not in stored}
                for part in slices(changes, _LARGE):
                    new = [change.operation.key for change in part if change.operation.key in missing]
                    rows, gone = tables.puts(part), tables.deletes(part)
                    ((fit, _, _),) = await connection.fetch(self._table.write, new, [None] * len(new), new, gone, *rows)
                    if not fit:
                        break
            except asyncpg.PostgresError as error:
                await transaction.rollback()
                if failures.code(error) == _CHANGED or failures.may_pass(error):
                    continue
                raise
            except BaseException:
                connection.terminate()
                raise
            if fit:
                await transaction.commit()
                self.statements += 1
                return None
            await transaction.rollback()
            if refused:
                return refused
        return NotDone("others change the rows too often")

    def _guarded_of(self, unit: Unit) -> list[str]:
        return [key for key in dict.fromkeys(guarded_keys([unit])) if not tables.refusal(key)]

    def _judge_large(self, unit: Unit, stored: dict[str, str]) -> tuple[StoreError | None, list[Change]]:
        write_set = WriteSet(stored, self._table.layout.new_etags(), self._table.layout.judge)
        (refused,) = write_set.add_units([unit], tables.refusal, guarded=True)
        return refused, [] if refused else write_set.changes()

    async def _write_unguarded(self, connection: Any, rows: list[list[Any]], gone: list[str]) -> None:
        if rows[0] and gone:
            await self._run(connection, self._table.write, [], [], [], gone, *rows)
        elif rows[0]:
            await self._run(connection, self._table.put, *rows)
        elif gone:
            await self._run(connection, self._table.delete, gone)

    async def _write_guarded(
        self, connection: Any, needed: list[str], stored: dict[str, str], rows: list[list[Any]], gone: list[str]
    ) -> tuple[bool, dict[str, str]]:
        """Whether the rows were as judged and the changes are made; else the versions that there are."""
        versions = [stored.get(key) for key in needed]
        to_be_missing = [key for key, version in zip(needed, versions, strict=True) if version is None]
        try:
            ((fit, keys, etags),) = await self._run(
                connection, self._table.write, needed, versions, to_be_missing, gone, *rows
            )
        except asyncpg.PostgresError as error:
            if failures.code(error) != _CHANGED:
                raise
            return False, stored
        return fit, dict(zip(keys, etags, strict=True))

    async def _run(self, connection: Any, statement: str, *arguments: Any) -> Sequence[Any]:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                records = await self._ask(connection, statement, *arguments)
            except asyncpg.PostgresError as error:
                if attempt == _ATTEMPTS or not failures.may_pass(error):
                    raise
            else:
                self.statements += 1
                return records
        raise AssertionError  # pragma: no cover


def _keys_of(units: Iterable[Unit]) -> Iterator[str]:
    return (operation.key for unit in units for operation in unit)


def _is_of(unit: Unit, keys: set[str]) -> bool:
    return any(operation.key in keys for operation in unit)


def _guards_of(units: Iterable[Unit]) -> list[str]:
    return list(dict.fromkeys(guarded_keys(list(units))))
