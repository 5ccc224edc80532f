"""How Go's gRPC prints the codes of a status."""

from __future__ import annotations


def shown(name: str) -> str:
    """`DEADLINE_EXCEEDED` is `DeadlineExceeded`."""
    if name == "CANCELLED":  # Go has one l less
        return "Canceled"
    return "".join(word.capitalize() for word in name.split("_"))
