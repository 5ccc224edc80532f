"""The README's table of stores says what the stores declare."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from dapr_state.stores import registry
from dapr_state.stores.model import Feature
from dapr_state.stores.pluggable.store import _FEATURES

README = Path(__file__).parents[2] / "README.md"
COLUMNS = {
    "etag": Feature.ETAG,
    "transactions": Feature.TRANSACTIONAL,
    "TTL": Feature.TTL,
    "lists": Feature.LIST,
    "queries": Feature.QUERY,
}


def table() -> list[dict[str, str]]:
    text = README.read_text()
    lines = text[text.index("| store | component type |") :].partition("\n\n")[0].splitlines()
    names, _, *rows = ([cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines)
    return [dict(zip(names, row, strict=True)) for row in rows]


def types_of(row: dict[str, str]) -> set[str]:
    return set(re.findall(r"`state\.([\w-]+)`", row["component type"]))


def features_of(place: str) -> tuple[Feature, ...]:
    module, name = place.split(":")
    features: tuple[Feature, ...] = getattr(importlib.import_module(f"dapr_state.stores.{module}"), name).features
    return features


def test_every_store_has_its_row_and_its_features() -> None:
    """A yes for each feature that every version of it declares, a no for each other one; aliases stand in the row."""
    rows = {type_: row for row in table() for type_ in types_of(row)}
    said = {type_: {name: rows[type_][name] for name in COLUMNS} for type_ in rows}
    declared = {
        type_: {
            name: "yes" if all(feature in features_of(place) for place in versions.values()) else "no"
            for name, feature in COLUMNS.items()
        }
        for type_, versions in registry._STORES.items()
    }

    assert said == declared


def test_the_row_of_pluggable_components() -> None:
    """What they may say that they can, and what nobody asks them for."""
    (row,) = (row for row in table() if "pluggable" in row["store"])

    assert {name: row[name] for name in COLUMNS} == {
        name: "as it says" if feature in _FEATURES else "no" for name, feature in COLUMNS.items()
    }
