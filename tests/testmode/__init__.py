"""What a test may do to a sidecar that is in test mode."""
