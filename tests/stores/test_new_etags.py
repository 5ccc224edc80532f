"""The etags of stores whose versions are random."""

from __future__ import annotations

import uuid
from itertools import islice

from dapr_state.stores.etags import new_etags


def test_new_etags_are_random_uuids() -> None:
    """Version 4, written as daprd writes them; none comes twice, here or from another store."""
    etags = [*islice(new_etags(), 1000), *islice(new_etags(), 1000)]

    assert [str(uuid.UUID(etag, version=4)) for etag in etags] == etags
    assert len(set(etags)) == len(etags)
