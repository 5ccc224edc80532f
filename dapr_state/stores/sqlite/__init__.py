"""state.sqlite: one writer thread that commits in groups, and reads on the event loop itself."""

from dapr_state.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
