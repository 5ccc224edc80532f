"""Real clients, and the real daprd beside us, against a sidecar in a process of its own."""
