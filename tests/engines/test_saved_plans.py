"""A plan that a role made which may only read is applied by one that may write, and compared as on SQLite."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli import dbmigrate
from support.projects import create, migration, model
from support.sites import ENGINES, Site, write_site

_names = itertools.count()

PARENT = create("Parent")
CHILD = 'models.ForeignKey("core.parent", on_delete=models.CASCADE, null=True)'

APP = {
    "models.py": model()
    + "    parent = models.ForeignKey('core.Parent', on_delete=models.CASCADE, null=True)\n"
    + "    at = models.DateTimeField(default=timezone.now)\n"
    + "\n\nclass Parent(models.Model):\n    name = models.CharField(max_length=20)\n",
    "migrations/0001_initial.py": migration(
        create("Parent"), create("Item"), f'migrations.AddField("item", "parent", {CHILD})'
    ),
    "migrations/0002_at.py": migration(
        'migrations.AddField("item", "at", models.DateTimeField(default=timezone.now))',
        head="from django.utils import timezone",
        after=(("core", "0001_initial"),),
    ),
}
APP["models.py"] = "from django.utils import timezone\n" + APP["models.py"]

READER = {
    "postgresql": (
        "CREATE ROLE {user} LOGIN",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}",
    ),
    "mariadb": ("CREATE USER {user}@'%' IDENTIFIED BY '{password}'", "GRANT SELECT ON `{name}`.* TO {user}@'%'"),
}
"""What makes a role that may only read."""


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_a_plan_of_a_role_that_may_only_read_is_applied_or_says_what_differs(
    engine: str, site: Callable[..., Site]
) -> None:
    begun = site(engine, APP)
    root = begun.project.root
    begun.project.append(
        "site_settings.py",
        'import os\nDATABASES["default"]["USER"] = os.environ.get("DB_USER", DATABASES["default"]["USER"])\n',
    )
    dbmigrate("run", "--app", "core", "--to", "0001", cwd=root).expect(0)
    user = f"reader_{os.getpid()}_{next(_names)}"
    for statement in READER[engine]:
        begun.query(statement.format(user=user, name=begun.entry["NAME"], password=begun.entry.get("PASSWORD")))
    dbmigrate("plan", "--skip-makemigrations", "-o", "plan.json", cwd=root, environment={"DB_USER": user}).expect(0)
    own = dbmigrate("plan", cwd=root).expect(0).stdout.splitlines()[-1]
    saved = json.loads((root / "plan.json").read_text())["result"]["plan"]

    begun.query("ALTER TABLE core_item ADD COLUMN x integer")
    altered = dbmigrate("apply", "plan.json", cwd=root).expect(32)
    begun.query("ALTER TABLE core_item DROP COLUMN x")
    begun.query("CREATE INDEX by_hand ON core_item (name)")
    indexed = dbmigrate("apply", "plan.json", cwd=root).expect(32)
    begun.query("DROP INDEX by_hand" + (" ON core_item" if engine == "mariadb" else ""))
    begun.query("CREATE TABLE elsewhere (id integer)")

    assert own == f"Digest: {saved['digest'][:12]}"
    assert "catalogue: default: table core_item got the column x" in altered.stderr
    assert "catalogue: default: table core_item got the index or constraint by_hand" in indexed.stderr
    assert begun.entry["NAME"] not in json.dumps(saved["basis"])
    dbmigrate("apply", "plan.json", cwd=root).expect(0)
    assert begun.recorded()["core.0002_at"] == 1


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_another_database_of_a_server_is_another_one(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue(engine)
    first, second = (write_site(tmp_path / name, server, APP) for name in ("first", "second"))
    dbmigrate("plan", "--skip-makemigrations", "-o", "plan.json", cwd=first.project.root).expect(0)
    plan = str(first.project.root / "plan.json")

    refused = dbmigrate("apply", plan, cwd=second.project.root).expect(32)
    accepted = dbmigrate("apply", plan, "--any-database", cwd=second.project.root).expect(0)

    assert "database: default is another database than the one that the plan was made for" in refused.stderr
    assert "All migrations completed successfully" in accepted.stdout
