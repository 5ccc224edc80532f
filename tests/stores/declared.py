"""Which store promises what: a new store is one line here and one fixture in conftest.py."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

import pytest

from dapr_state.stores.model import Feature

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from dapr_state.stores.base import StateStore

UUID = "00000000-0000-4000-8000-000000000000"
VERSION = "999999999"


class Ability(Enum):
    """What stores may differ in without breaking the contract."""

    DURABLE = auto()  # values outlive the store object
    ORDERED = auto()  # lists are in the order of keys
    ANY_KEY = auto()  # keys may hold what is not valid UTF-8


@dataclass(frozen=True)
class Declaration:
    """A store's name, which is its fixture's name too, and its abilities."""

    name: str
    features: tuple[Feature, ...]
    abilities: frozenset[Ability]
    foreign_etag: str  # of the form that the store makes, and never made


E, T, L, P = Feature.ETAG, Feature.TRANSACTIONAL, Feature.TTL, Feature.LIST
DECLARED = (
    Declaration("memory", (E, T, L, P), frozenset({Ability.ANY_KEY, Ability.ORDERED}), UUID),
    Declaration("encrypted", (E, T, L, P), frozenset({Ability.ANY_KEY, Ability.ORDERED}), UUID),
    Declaration("sqlite_file", (E, T, L, P), frozenset({Ability.DURABLE, Ability.ORDERED}), UUID),
    Declaration("sqlite_no_wal", (E, T, L, P), frozenset({Ability.DURABLE, Ability.ORDERED}), UUID),
    Declaration("sqlite_memory", (E, T, L, P), frozenset({Ability.ORDERED}), UUID),
    Declaration("redis", (E, T, L, P), frozenset({Ability.DURABLE, Ability.ANY_KEY}), VERSION),
    Declaration("redis_replicated", (E, T, L, P), frozenset({Ability.DURABLE, Ability.ANY_KEY}), VERSION),
)


@dataclass(frozen=True)
class Place:
    """Where a store keeps its values during one test: what a fixture gives."""

    make: Callable[[], StateStore]
    wipe: Callable[[], None]
    turn: Callable[[float], None] | None = None  # moves the store's clock; None: it is the database's own


@dataclass(frozen=True)
class Kind:
    """A declared store in its place."""

    declaration: Declaration
    place: Place

    @property
    def foreign_etag(self) -> str:
        return self.declaration.foreign_etag

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[StateStore]:
        store = self.place.make()
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    async def until_gone(self, store: StateStore, key: str, seconds: float) -> None:
        """Let the seconds pass that the key has left, and see that it is gone."""
        if self.place.turn:
            self.place.turn(seconds + 1)
        deadline = time.monotonic() + seconds + 10
        while await store.get([key]) != [None]:
            assert time.monotonic() < deadline, f"{key} does not expire"
            await asyncio.sleep(0.02)


def having(*wanted: Feature | Ability) -> pytest.MarkDecorator:
    """Run the test over all stores that promise these."""
    return _over(lambda promised: set(wanted) <= promised)


def lacking(missing: Feature | Ability) -> pytest.MarkDecorator:
    """Run the test over all stores that do not promise this: they refuse in the agreed way."""
    return _over(lambda promised: missing not in promised)


def _over(chosen: Callable[[set[Feature | Ability]], bool]) -> pytest.MarkDecorator:
    declarations = [each for each in DECLARED if chosen({*each.features, *each.abilities})]
    return pytest.mark.parametrize("kind", declarations, ids=lambda each: each.name, indirect=True)
