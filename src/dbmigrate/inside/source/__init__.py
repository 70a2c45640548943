"""Where in the source of a project something stands."""
