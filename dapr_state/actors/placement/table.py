"""The table of one round: the ring of each type, and which types are not as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.actors.placement.ring import Ring
from dapr_state.slices import Work

if TYPE_CHECKING:
    from dapr_state_proto.placement.v1 import placement_pb2

    Signature = tuple[tuple[str, str, int], ...]


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
        """What did not change is taken over; a type that is absent is gone."""
        table = cls(tables.replication_factor)
        work = Work()
        made: dict[Signature, Ring] = {}  # most types have the same hosts as others
        for actor_type, each in tables.entries.items():
            signature = tuple(sorted((name, host.id, host.port) for name, host in each.load_map.items()))
            table._signatures[actor_type] = signature
            if signature not in made:
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
