"""`run`: the supervisor of a sidecar and its application."""
