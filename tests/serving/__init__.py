"""The servers, each met by clients that know nothing of what it serves."""
