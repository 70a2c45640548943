"""Migrations: the graph, the states, the routes, and what an operation does, read from it and from its source."""
