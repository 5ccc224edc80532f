"""The State API over gRPC beside daprd."""
