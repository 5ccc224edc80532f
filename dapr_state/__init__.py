"""Dapr's State and Actors building blocks in one Python process."""

__version__ = "0.1.0"
