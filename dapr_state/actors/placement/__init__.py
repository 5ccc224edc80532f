"""Placement: which sidecar an actor lives on."""
