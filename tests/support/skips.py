"""What the end of `make test` says of the tests that were skipped: a line for each service and other reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

SERVICES = {
    "mariadb": "MariaDB",
    "pgbouncer": "PgBouncer",
    "localised": "German PostgreSQL",
    "postgresql": "PostgreSQL",
}
"""By mark; a test that needs two is counted for the first."""


def skip_lines(skipped: Iterable[tuple[Iterable[str], str]]) -> list[str]:
    """Return the lines for skipped tests, given as the marks and the reason of each."""
    counted = Counter(
        (next((service for mark, service in SERVICES.items() if mark in marks), None), reason)
        for marks, reason in skipped
    )
    if not counted:
        return ["nothing was skipped"]
    return [
        f"skipped {count} {'test' if count == 1 else 'tests'}{f' of {service}' if service else ''}: {reason}"
        for (service, reason), count in sorted(counted.items(), key=lambda one: (one[0][0] is None, repr(one[0])))
    ]
