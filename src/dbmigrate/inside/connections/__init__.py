"""Connections of this process: which are open, how long they may be silent, and how they are cut."""
