"""The HTTP API beside daprd."""
