"""HTTP/2 and gRPC framing: bytes in, events and bytes out."""
