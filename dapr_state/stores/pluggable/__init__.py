"""state.<name of a socket>: a store in a process of its own, behind a Unix socket, as daprd has them."""
