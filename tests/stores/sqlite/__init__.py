"""What only the SQLite store has: its file, its options, its groups and its failures."""
