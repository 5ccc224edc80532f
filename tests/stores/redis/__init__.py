"""What only the Redis store has: its layout, its one connection, its faults."""
