"""The pytest plugin, as its users have it."""
