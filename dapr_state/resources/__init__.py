"""Component files: from YAML text to components whose values are known."""
