"""What a store promises, where it keeps its values during a test, and which tests of the contract are for it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeVar

import pytest

from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from dapr_state.stores.base import StateStore
    from dapr_state.stores.model import Feature

F = TypeVar("F", bound="Callable[..., object]")

_CHOSEN = "stores_that_it_is_for"  # an attribute of a test


class Ability(Enum):
    """What stores may differ in without breaking the contract."""

    DURABLE = auto()  # values outlive the store object
    ANY_KEY = auto()  # keys may hold what is not valid UTF-8
    NUL_KEY = auto()  # keys may hold a NUL
    JSON_AS_TEXT = auto()  # JSON is kept as it was written: its spaces, the order of its members
    SLOTS = auto()  # a transaction of several keys is refused unless their {tags} put them together


@dataclass(frozen=True)
class Declaration:
    """A store's name, which is its fixture's name too, and its abilities."""

    name: str
    features: tuple[Feature, ...]
    abilities: frozenset[Ability]
    foreign_etag: str  # of the form that the store makes, and never made


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
        deadline = WAITING.monotonic() + seconds + 10
        while await store.get([key]) != [None]:
            assert WAITING.monotonic() < deadline, f"{key} does not expire"
            await WAITING.sleep(0.02)


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> Kind:
    """The declared store that a test of the contract runs over; its place is the fixture of its name."""
    kind = Kind(request.param, request.getfixturevalue(request.param.name))
    kind.place.wipe()
    return kind


def having(*wanted: Feature | Ability, without: Ability | None = None) -> Callable[[F], F]:
    """Run the test over all stores that promise these, and are not of the other kind."""
    return _choose(lambda promised: set(wanted) <= promised and without not in promised)


def lacking(missing: Feature | Ability) -> Callable[[F], F]:
    """Run the test over all stores that do not promise this: they refuse in the agreed way."""
    return _choose(lambda promised: missing not in promised)


def _choose(chosen: Callable[[set[Feature | Ability]], bool]) -> Callable[[F], F]:
    def mark(test: F) -> F:
        setattr(test, _CHOSEN, chosen)
        return test

    return mark


def over(*declared: Declaration) -> Callable[[pytest.Metafunc], None]:
    """pytest_generate_tests of a folder: each test of the contract runs over those of these stores that it is for."""

    def generate(metafunc: pytest.Metafunc) -> None:
        chosen = getattr(metafunc.function, _CHOSEN, None)
        if chosen:
            fit = [each for each in declared if chosen({*each.features, *each.abilities})]
            metafunc.parametrize("kind", fit, ids=[each.name for each in fit], indirect=True)

    return generate
