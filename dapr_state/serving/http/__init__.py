"""A server for handlers of HTTP requests, over HTTP/1.1 and HTTP/2."""
