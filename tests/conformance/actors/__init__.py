"""Actor applications on our sidecar and on daprd with its control plane."""
