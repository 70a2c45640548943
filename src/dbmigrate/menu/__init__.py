"""The interactive mode: which question follows which, and what is then called."""
