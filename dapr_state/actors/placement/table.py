"""The table of one round: the ring of each type, and which types are not as they were.

A service is believed, but not with all of this sidecar's memory and time: a table beyond any cluster is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dapr_state.actors.placement.ring import Ring
from dapr_state.slices import Work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dapr_state_proto.placement.v1 import placement_pb2

    Signature = tuple[tuple[str, str, int], ...]

HOSTS_AT_MOST: Final = 10_000  # of a type: to sort their names takes 5 ms
PLACES_AT_MOST: Final = 100_000  # types, and the hosts of each: 250 octets a place
FACTOR_AT_MOST: Final = 1_000  # points of a host: 1 ms to compute; placement has 100
POINTS_AT_MOST: Final = 1_000_000  # of all rings: 12 MB, and 2 s of computing in slices
NAME_AT_MOST: Final = 512  # letters: each point hashes the name; one of DNS has 253


class TableError(Exception):
    """No cluster is like that."""


class Table:
    """Compared by what daprd compares: name, app id and port of the hosts, and the number of their points."""

    def __init__(self, factor: int = 0) -> None:
        self.rings: dict[str, Ring] = {}
        self.hosts: dict[str, str] = {}  # their app ids, by their names
        self._factor = factor
        self._signatures: dict[str, Signature] = {}

    def __repr__(self) -> str:
        return f"<Table of {len(self.rings)} types>"

    @classmethod
    async def read(cls, tables: placement_pb2.PlacementTables, before: Table) -> Table:
        """What did not change is taken over; a type that is absent is gone. Raises TableError."""
        table = cls(tables.replication_factor)
        if table._factor > FACTOR_AT_MOST:
            raise TableError(f"a table with {table._factor} points of each host")
        work = Work()
        made: dict[Signature, Ring] = {}  # most types have the same hosts as others
        places = points = 0
        for actor_type, each in tables.entries.items():
            places += 1 + len(each.load_map)
            if places > PLACES_AT_MOST or len(each.load_map) > HOSTS_AT_MOST:
                raise TableError(f"a table with {len(each.load_map)} hosts of {actor_type[:NAME_AT_MOST]}")
            signature = await _signature(each.load_map, work)
            table._signatures[actor_type] = signature
            if signature not in made:
                points += len(signature) * table._factor
                if points > POINTS_AT_MOST:
                    raise TableError(f"a table with more than {POINTS_AT_MOST} points")
                names = [name for name, _, _ in signature]
                known = before.rings[actor_type] if before._has(actor_type, table) else None
                made[signature] = known or await Ring.make(names, table._factor, work)
                table.hosts |= {name: app_id for name, app_id, _ in signature}
            table.rings[actor_type] = made[signature]
            if work.is_over():
                await work.pause()
        return table

    def changed(self, before: Table) -> set[str]:
        """The types that appeared, disappeared, or have other hosts."""
        types = self.rings.keys() | before.rings.keys()
        return {actor_type for actor_type in types if actor_type not in self.rings or not before._has(actor_type, self)}

    def _has(self, actor_type: str, other: Table) -> bool:
        """The same ring as the other one."""
        mine = self._signatures.get(actor_type)
        return mine is not None and mine == other._signatures.get(actor_type) and self._factor == other._factor


async def _signature(hosts: Mapping[str, placement_pb2.Host], work: Work) -> Signature:
    found = []
    for name in sorted(hosts):
        if len(name) > NAME_AT_MOST:
            raise TableError(f"a table with a name of {len(name)} letters")
        host = hosts[name]
        found.append((name, host.id, host.port))
        if work.is_over():
            await work.pause()
    return tuple(found)
