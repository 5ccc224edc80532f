"""What the sidecar does, said once for both transports."""
