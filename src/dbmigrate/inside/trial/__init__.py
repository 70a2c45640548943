"""A twin of the project on scratch databases, to try migrations in."""
