"""Dapr over gRPC."""
