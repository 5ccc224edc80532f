"""One sidecar: its options, its life, its signals."""
