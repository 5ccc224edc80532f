"""Placement: the ring, the rounds, and the stream to the service."""
