"""Dapr over HTTP."""
