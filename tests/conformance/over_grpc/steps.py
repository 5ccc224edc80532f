"""The steps of the State API over gRPC: calls made on one store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tests.conformance.scenario import without_random
from tests.support.client import item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.support.client import Client, Reply, StateItem

CURRENT = "<the etag that the key has now>"

# what stores have in common with no other
OWN = (
    (re.compile(r"current=\w+"), "current=ETAG"),
    (re.compile(r"\(\d+ vs\."), "(SIZE vs."),  # the size of a message depends on the store's name
)


@dataclass(frozen=True)
class Scene:
    """Where a scenario plays: a store as one client sees it, with keys that no other scenario uses."""

    client: Client
    store: str
    prefix: str

    def key(self, name: str) -> str:
        return self.prefix + name if name else ""

    def item(self, key: str, value: bytes = b"", **more: Any) -> StateItem:
        etag = more.pop("etag", None)
        if etag == CURRENT:
            etag = self.client.get(self.store, self.key(key)).response.get("etag", "")
        return item(self.key(key), value, etag=etag, **more)

    def shown(self, reply: Reply) -> str:
        return show(reply).replace(self.prefix, "").replace(f"{self.store}:", "STORE:")


def show(reply: Reply) -> str:
    """Write all of an answer in one line, fit for a table of expected answers."""
    parts = [reply.code]
    if reply.message:
        parts.append(reply.message)
    parts += [f"{name}={value!r}" for name, value in reply.response.items()]
    parts += [_show_detail(detail) for detail in reply.details]
    line = without_random(" ".join(parts))
    for pattern, name in OWN:
        line = pattern.sub(name, line)
    return line


def _show_detail(detail: dict[str, Any]) -> str:
    kind = detail["@type"].rpartition(".")[2]
    if kind == "ErrorInfo" and detail.get("domain") == "dapr.io" and set(detail) == {"@type", "domain", "reason"}:
        return f"[{detail['reason']}]"  # by far the most frequent
    return f"[{kind} { ({name: value for name, value in detail.items() if name != '@type'}) }]"


# The steps: (key, value, options…) tuples are items.


def save(*items: tuple[Any, ...]) -> Callable[[Scene], Reply]:
    return lambda scene: scene.client.save(scene.store, *_items(scene, items))


def get(key: str, **more: Any) -> Callable[[Scene], Reply]:
    return lambda scene: scene.client.get(scene.store, scene.key(key), **more)


def bulk_get(*keys: str, **more: Any) -> Callable[[Scene], Reply]:
    return lambda scene: scene.client.bulk_get(scene.store, *map(scene.key, keys), **more)


def delete(key: str, **more: Any) -> Callable[[Scene], Reply]:
    def call(scene: Scene) -> Reply:
        built = scene.item(key, **more)
        etag = built.etag.value if built.HasField("etag") else None
        return scene.client.delete(scene.store, built.key, etag=etag, options=built.options, metadata=built.metadata)

    return call


def bulk_delete(*items: tuple[Any, ...]) -> Callable[[Scene], Reply]:
    return lambda scene: scene.client.bulk_delete(scene.store, *_items(scene, items))


def transact(*operations: tuple[Any, ...], **more: Any) -> Callable[[Scene], Reply]:
    """Each operation is (kind, key, value, options…)."""

    def call(scene: Scene) -> Reply:
        kinds = [kind for kind, *_ in operations]
        items = _items(scene, [rest for _, *rest in operations])
        return scene.client.transact(scene.store, *zip(kinds, items, strict=True), **more)

    return call


def query(text: str) -> Callable[[Scene], Reply]:
    return lambda scene: scene.client.query(scene.store, text)


def raw(method: str, body: bytes) -> Callable[[Scene], Reply]:
    return lambda scene: scene.client.call(method, body)


def elsewhere(store: str, call: Callable[[Scene], Reply]) -> Callable[[Scene], Reply]:
    """Make the call on another store."""
    return lambda scene: call(Scene(scene.client, store, scene.prefix))


def _items(scene: Scene, items: Iterable[Any]) -> list[StateItem]:
    """Build items from (key, value, {field: …}), the last two optional."""
    return [_item(scene, *entry) for entry in items]


def _item(scene: Scene, key: str, value: bytes = b"", more: Mapping[str, Any] = MappingProxyType({})) -> StateItem:
    return scene.item(key, value, **more)
