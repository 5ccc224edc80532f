"""Actors on one host."""
