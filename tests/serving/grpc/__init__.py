"""The native gRPC server, met by real clients in other processes."""
