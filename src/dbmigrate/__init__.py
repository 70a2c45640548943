"""Migrate every database of a Django project, in order, and say what happened."""

__version__ = "0.2.0"
