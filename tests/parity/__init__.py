"""One list of cases over gRPC and HTTP."""
