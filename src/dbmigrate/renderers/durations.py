"""How long something took, for people."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return "0.4 s" or "2 min 5 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"
