"""Protocols as bytes in, events and bytes out: without a socket, a clock or anything of ours."""
