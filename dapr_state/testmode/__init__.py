"""What a test may do to a sidecar that was started with --test-mode: move its clock, put faults in, empty it."""
