"""A scenario: calls made one after the other on one store, and their answers as lines of text that can be compared."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tests.support.client import item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.support.client import Client, Reply, StateItem

CURRENT = "<the etag that the key has now>"

# what no two servers can have in common
RANDOM = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "TIME"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "SHA"),
    (re.compile(r"current=\w+"), "current=ETAG"),
    (re.compile(r"\(\d+ vs\."), "(SIZE vs."),  # the size of a message depends on the store's name
    (re.compile(r"\n"), r"\\n"),
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


@dataclass(frozen=True)
class Scenario:
    name: str
    calls: tuple[Callable[[Scene], Reply], ...]

    def play(self, scene: Scene) -> list[str]:
        """Make the calls and return one line for each answer, with what is random or the scenario's own taken out."""
        return [show(call(scene)).replace(scene.prefix, "").replace(f"{scene.store}:", "STORE:") for call in self.calls]


def scenario(name: str, *calls: Callable[[Scene], Reply]) -> Scenario:
    return Scenario(name, calls)


def show(reply: Reply) -> str:
    """Write all of an answer in one line, fit for a table of expected answers."""
    parts = [reply.code]
    if reply.message:
        parts.append(reply.message)
    parts += [f"{name}={value!r}" for name, value in reply.response.items()]
    parts += [_show_detail(detail) for detail in reply.details]
    line = " ".join(parts)
    for pattern, name in RANDOM:
        line = pattern.sub(name, line)
    return line


def _show_detail(detail: dict[str, Any]) -> str:
    kind = detail["@type"].rpartition(".")[2]
    if kind == "ErrorInfo" and detail.get("domain") == "dapr.io" and set(detail) == {"@type", "domain", "reason"}:
        return f"[{detail['reason']}]"  # by far the most frequent
    return f"[{kind} { ({name: value for name, value in detail.items() if name != '@type'}) }]"


# The calls, each in the form that a Scenario wants: (key, value, options…) tuples are items.


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
