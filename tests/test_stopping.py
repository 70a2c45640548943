"""One signal is enough, from any moment: the run ends in time and says how it stands, whatever the servers do."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from support.background import start
from support.proxy import proxy
from support.sites import ENGINES, Site

END_SECONDS = 8
"""--grace 3, and 5 seconds for the report."""

LOCK_WORDS = {"postgresql": b"pg_try_advisory_xact_lock(", "mariadb": b"GET_LOCK"}


def behind(site: Site, entry: dict[str, object]) -> None:
    """Let a project reach its database by another way."""
    site.project.append("site_settings.py", f'DATABASES["default"].update({entry!r})')


@pytest.mark.parametrize("engine", ENGINES[1:])
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143)])
def test_a_signal_while_a_lock_is_taken_of_a_silent_server_ends_the_run(
    engine: str, signum: int, code: int, site: Callable[..., Site]
) -> None:
    here = site(engine)
    with proxy(here.entry) as between:
        behind(here, between.entry)
        between.freeze_at(LOCK_WORDS[engine])
        process = start(here.project, "all", "--skip-makemigrations", "--grace", "3")
        between.wait_for(LOCK_WORDS[engine])

        process.send_signal(signum)
        said = process.communicate(timeout=END_SECONDS)[0]

    assert process.returncode == code, said
    assert "ended by SIGTERM; nothing was migrated" in said
    assert here.query("SELECT count(*) FROM information_schema.tables WHERE table_name = 'core_item'") == [(0,)]
