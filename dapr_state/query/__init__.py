"""Queries over the values of a store: what is asked, what it means, and how it is answered where the store cannot."""
