"""Pluggable components, found at their sockets."""
