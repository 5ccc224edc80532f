"""Resiliency: what policies mean, and what becomes of calls that are under them."""
