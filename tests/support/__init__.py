"""What the tests stand on: the real executable, projects, interpreters with other Djangos, a PostgreSQL server."""
