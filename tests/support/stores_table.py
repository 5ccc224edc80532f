"""The README's table of stores: what each can do is what its class declares, and the rest stands here."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Final

from dapr_state.stores import registry
from dapr_state.stores.model import Feature
from dapr_state.stores.pluggable.store import _FEATURES as OF_PLUGGABLE

README: Final = Path(__file__).resolve().parents[2] / "README.md"
BEGINS: Final = "| store | component type |"
COLUMNS: Final = {
    "etag": Feature.ETAG,
    "transactions": Feature.TRANSACTIONAL,
    "TTL": Feature.TTL,
    "lists": Feature.LIST,
    "in order": Feature.ORDER,
    "new TTL alone": Feature.TOUCH,
    "queries": Feature.QUERY,
}
SHARED: Final = "data shared with daprd"
# by the first of its types: what it is called, and whether daprd finds what it wrote
STORES: Final = {
    "sqlite": ("SQLite", "yes"),
    "redis": ("Redis (7.0 or newer recommended): one node, [Sentinel or Cluster](docs/several-machines.md)", "yes"),
    "postgresql": ("PostgreSQL", "yes"),
    "cockroachdb": ("CockroachDB, YugabyteDB: not tested", "yes"),
    "in-memory": ("memory", "(gone with the process)"),
}
PLUGGABLE: Final = ("a [pluggable component](#a-store-of-your-own)", "`state.<name of its socket>`")


def table() -> str:
    head = ["store", "component type", *COLUMNS, SHARED]
    rows = [_row(name, label, shared) for name, (label, shared) in STORES.items()]
    rows.append([*PLUGGABLE, *map(_of_pluggable, COLUMNS.values()), "yes"])
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def written(text: str) -> str:
    """The README with the table as it should be."""
    before, _, rest = text.partition(BEGINS)
    return before + table() + "\n\n" + rest.partition("\n\n")[2]


def told() -> set[str]:
    """All types that stand in the table."""
    return {each for name in STORES for each in _same(name)}


def _row(name: str, label: str, shared: str) -> list[str]:
    types = ", ".join(f"`state.{each}`" for each in _same(name))
    versions = registry._STORES[name]
    named = {version for names in versions for version in names if version not in {"", "v0"}}
    return [
        label,
        f"{types}: {' and '.join(sorted(named))}",
        *(_has(versions, each) for each in COLUMNS.values()),
        shared,
    ]


def _same(name: str) -> list[str]:
    """The types that mean the same as this one, itself first."""
    return sorted(
        (each for each, versions in registry._STORES.items() if versions == registry._STORES[name]),
        key=lambda each: each != name,
    )


def _has(versions: registry.Versions, feature: Feature) -> str:
    have = {names[-1]: feature in _features(place) for names, place in versions.items()}
    if len(set(have.values())) == 1:
        return "yes" if all(have.values()) else "no"
    return ", ".join(version for version, has in have.items() if has)


def _of_pluggable(feature: Feature) -> str:
    if feature is Feature.QUERY:
        return "passed on"
    return "as it says" if feature in OF_PLUGGABLE else "no"


def _features(place: str) -> tuple[Feature, ...]:
    module, name = place.split(":")
    features: tuple[Feature, ...] = getattr(importlib.import_module(f"dapr_state.stores.{module}"), name).features
    return features
