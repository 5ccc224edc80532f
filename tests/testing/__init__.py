"""Tests of what outsiders test their stores with."""
