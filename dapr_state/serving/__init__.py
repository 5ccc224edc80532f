"""HTTP/1.1, HTTP/2 and gRPC on asyncio: servers that know nothing of what they serve."""
