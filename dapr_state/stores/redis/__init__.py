"""state.redis: hashes in daprd's layout, over one connection that all requests share."""
