"""Several sidecars under one placement service, ours and the real daprd."""
