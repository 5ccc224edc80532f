"""state.postgresql, versions 1 and 2: what many callers ask goes to the server as one statement."""

from dapr_state.stores.postgresql.store import PostgresV1, PostgresV2

__all__ = ["PostgresV1", "PostgresV2"]
