"""A load of writes whose acknowledgements are remembered, and the check that a database has kept all of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tests.support.client import STRONG, Client, item
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dapr_state_proto.common.v1.common_pb2 import StateItem

PAGE = 500  # keys that are read back in one call


@dataclass
class Tally:
    """What one worker knows: writes below `acknowledged` are durable, the one at it may have happened or not."""

    name: str
    acknowledged: int = 0
    refusal: str = ""


@dataclass
class Load:
    """Four workers that write until they are refused: two save, one writes pairs of keys, one moves a token."""

    port: int
    store: str
    name: str
    strong: bool = False
    tallies: dict[str, Tally] = field(default_factory=dict)
    _threads: list[threading.Thread] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        kinds: dict[str, Callable[[Client, str, int], str]] = {
            "save-1": self._save,
            "save-2": self._save,
            "pair": self._write_pair,
            "token": self._move_token,
        }
        for kind, write in kinds.items():
            tally = self.tallies[kind] = Tally(f"{self.name}-{kind}")
            self._threads.append(threading.Thread(target=self._work, args=(tally, write)))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a call hangs"

    @property
    def acknowledged(self) -> int:
        return sum(tally.acknowledged for tally in self.tallies.values())

    def wait_for(self, writes: int) -> None:
        """Return when each worker is at it and this many writes in all are acknowledged."""
        until(
            lambda: self.acknowledged >= writes and all(tally.acknowledged for tally in self.tallies.values()),
            30,
            what=f"{writes} writes of {self.tallies}",
        )

    def _work(self, tally: Tally, write: Callable[[Client, str, int], str]) -> None:
        with Client(self.port) as client:
            while not self._ending.is_set() and not tally.refusal:
                tally.refusal = write(client, tally.name, tally.acknowledged)
                tally.acknowledged += not tally.refusal

    def _save(self, client: Client, name: str, number: int) -> str:
        return _refusal(client.save(self.store, self._item(f"{name}-{number}", b"%d" % number)))

    def _item(self, key: str, value: bytes = b"") -> StateItem:
        return item(key, value, options=STRONG) if self.strong else item(key, value)

    def _write_pair(self, client: Client, name: str, number: int) -> str:
        pair = (("upsert", self._item(f"{name}-{side}-{number}", b"%d" % number)) for side in ("left", "right"))
        return _refusal(client.transact(self.store, *pair))

    def _move_token(self, client: Client, name: str, number: int) -> str:
        """Delete the token at one place and put it at the next: there is never none, and never two."""
        steps = [("upsert", self._item(f"{name}-{number + 1}", b"token"))]
        if number:
            steps.insert(0, ("delete", self._item(f"{name}-{number}")))
        return _refusal(client.transact(self.store, *steps))

    def check(self, client: Client) -> None:
        """Every acknowledged write is there, none happened twice or by half."""
        for kind in ("save-1", "save-2"):
            tally = self.tallies[kind]
            found = self._read(client, [f"{tally.name}-{number}" for number in range(tally.acknowledged)])
            lost = [number for number, value in enumerate(found) if value != b"%d" % number]
            assert lost == [], f"acknowledged and not there: {tally.name} {lost}"
        pairs = self.tallies["pair"]
        numbers = range(pairs.acknowledged + 1)  # the last one may have happened, but not by half
        left, right = (
            list(self._read(client, [f"{pairs.name}-{side}-{number}" for number in numbers]))
            for side in ("left", "right")
        )
        assert left == right
        assert left[:-1] == [b"%d" % number for number in numbers[:-1]]
        token = self.tallies["token"]
        places = self._read(client, [f"{token.name}-{number}" for number in range(token.acknowledged + 2)])
        at = [number for number, value in enumerate(places) if value is not None]
        assert len(at) == 1
        assert at[0] in {token.acknowledged, token.acknowledged + 1}

    def _read(self, client: Client, keys: list[str]) -> Iterator[bytes | None]:
        for start in range(0, len(keys), PAGE):
            page = keys[start : start + PAGE]
            reply = client.bulk_get(self.store, *page)
            assert reply.ok, reply
            found = {entry["key"]: entry for entry in reply.response.get("items", ())}
            for key in page:
                assert "error" not in found[key], found[key]
                yield found[key].get("data")


def _refusal(reply: object) -> str:
    return "" if reply.ok else f"{reply.code} {reply.message}"  # type: ignore[attr-defined]
