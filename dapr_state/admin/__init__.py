"""The administration API: what a sidecar keeps and does, shown and changed. Where it is off, none of it is imported."""
