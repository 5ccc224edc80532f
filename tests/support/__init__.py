"""What every test may lean on: real servers in their own processes, clients for them, and waiting with a deadline."""
