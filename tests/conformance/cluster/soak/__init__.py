"""A cluster whose hosts are killed, stopped, frozen and joined under load, and what must hold meanwhile."""
