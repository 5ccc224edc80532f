"""Slots of a Redis Cluster: which one a key is in, which node has it, and what a node says of one that it has not."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from dapr_state.stores.base import StoreError
from dapr_state.stores.redis.connection import ReplyError
from dapr_state.stores.redis.scripts import packed
from dapr_state.stores.redis.writing import NotHere

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


NUMBER: Final = 16384  # of slots: of the protocol
QUESTION: Final = (packed(b"CLUSTER", b"INFO") + packed(b"CLUSTER", b"SLOTS"), 2)  # and how many replies it gets
_REDIRECTED: Final = re.compile(r"(MOVED|ASK) [0-9]+ (\S+):([0-9]+)$")
# a redirection without a host is to another port of the same one, which the topology tells
_LATER: Final = ("MOVED ", "ASK ", "TRYAGAIN ", "CLUSTERDOWN ", "MASTERDOWN ", "LOADING ")


def slot_of(key: str) -> int:
    """Of the text in its first braces, if there is any; of the whole key else."""
    octets = key.encode(errors="surrogateescape")
    start = octets.find(b"{")
    if start >= 0:
        end = octets.find(b"}", start + 1)
        if end > start + 1:
            octets = octets[start + 1 : end]
    return binascii.crc_hqx(octets, 0) % NUMBER


@dataclass(frozen=True, slots=True)
class Primary:
    """A node that has slots."""

    address: str
    name: str  # of the node, for as long as it lives
    replicas: int


@dataclass(frozen=True, slots=True)
class Topology:
    """What one node knows of all."""

    is_ok: bool
    epoch: int
    primaries: Mapping[str, Primary]  # by address
    owners: Sequence[str | None]  # the address for each slot
    map: int  # tells one distribution of the slots from another

    def __repr__(self) -> str:
        return f"<Topology {self.epoch} {'ok' if self.is_ok else 'not ok'}, {len(self.primaries)} primaries>"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Why a node did not do something: nothing was done."""

    address: str = ""  # who does it; "": nobody yet
    is_for_once: bool = False  # he has to be told that he was named for this request alone (ASK)


def elsewhere(outcome: object) -> Elsewhere | None:
    """What an outcome says of where it should have been asked for; None for any other."""
    if isinstance(outcome, NotHere):
        return Elsewhere()
    if not isinstance(outcome, StoreError):
        return None
    text = str(outcome)
    if found := _REDIRECTED.match(text):
        return Elsewhere(_joined(found[2], found[3]), found[1] == "ASK")
    return Elsewhere() if text.startswith(_LATER) else None


def topology(replies: list[Any], address: str) -> Topology:
    """What a node replied to QUESTION; `address` is where it is found. StoreError if it knows of no cluster."""
    for reply in replies:
        if isinstance(reply, ReplyError):
            raise reply
    info, slots = replies
    facts = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    host = address.rpartition(":")[0]
    primaries: dict[str, Primary] = {}
    owners: list[str | None] = [None] * NUMBER
    ranges: list[tuple[int, int, bytes]] = []
    for first, last, primary, *replicas in slots:
        ranges.append((first, last, primary[2]))
        place = primaries.setdefault(_address(primary, host), _primary(primary, replicas, host)).address
        owners[first : last + 1] = [place] * (last + 1 - first)
    its_map = crc32(repr(sorted(ranges)).encode())
    is_ok, epoch = facts.get("cluster_state") == "ok", int(facts.get("cluster_current_epoch", 0))
    return Topology(is_ok, epoch, primaries, owners, its_map)


def _primary(told: Any, replicas: Sequence[Any], host: str) -> Primary:
    return Primary(_address(told, host), told[2].decode(), len(replicas))


def _address(told: Any, host: str) -> str:
    """A node that does not know its own name is where it was asked."""
    name = (told[0] or b"").decode()
    return _joined(host if name in {"", "?"} else name, told[1])


def _joined(host: str, port: object) -> str:
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
