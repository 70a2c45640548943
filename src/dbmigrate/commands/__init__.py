"""The use cases, one file per command: what is done, in the order in which it happens."""
