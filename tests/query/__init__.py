"""Queries apart from any store that answers them."""
