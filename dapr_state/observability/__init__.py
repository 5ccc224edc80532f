"""What is told about the sidecar while it runs."""
