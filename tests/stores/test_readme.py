"""The README's table of stores says what the stores declare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.stores import registry
from dapr_state.stores.model import Feature
from dapr_state.stores.postgresql import PostgresV1
from tests.support import stores_table

if TYPE_CHECKING:
    import pytest


def test_the_table_is_the_source_s() -> None:
    """No store is missing, none has a feature that it has not; scripts/stores writes it."""
    text = stores_table.README.read_text()

    assert stores_table.written(text) == text


def test_every_type_of_component_has_its_place_in_it() -> None:
    """Aliases too."""
    assert stores_table.told() == set(registry._STORES)


def test_what_a_store_loses_stands_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one version alone: the other is then named."""
    row = next(line for line in stores_table.table().splitlines() if "`state.postgresql`" in line)
    monkeypatch.setattr(PostgresV1, "features", (Feature.TTL,))
    poorer = next(line for line in stores_table.table().splitlines() if "`state.postgresql`" in line)

    assert [cell.strip() for cell in row.split("|")[3:6]] == ["yes", "yes", "yes"]
    assert [cell.strip() for cell in poorer.split("|")[3:6]] == ["v2", "v2", "yes"]
