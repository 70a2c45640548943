"""Many databases: nothing runs out, and a person can still read it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from support.cli import EXECUTABLE, clean_environment, dbmigrate
from support.postgresql import PostgresqlServer
from support.projects import applied, create, everywhere, failing, migration, numbered, simple_app
from support.terminal import Terminal


@pytest.mark.soak
def test_seventy_databases_under_a_limit_of_64_open_files(tmp_path: Path) -> None:
    aliases = numbered(70)
    project = everywhere(tmp_path / "site", aliases)
    command = [str(EXECUTABLE), "all", "--skip-makemigrations", "--format", "json"]

    ended = subprocess.run(
        ["bash", "-c", 'ulimit -S -n 64 && exec "$@"', "-", *command],
        cwd=project.root,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert ended.returncode == 0, ended
    assert [applied(project.database(alias)) for alias in aliases] == [["core.0001_initial"]] * 70
    again = dbmigrate("all", "--format", "json", cwd=project.root).expect(0).json["result"]["run"]["databases"]
    assert [(database["alias"], database["status"]) for database in again] == [
        (alias, "unchanged") for alias in aliases
    ]


@pytest.mark.soak
def test_many_databases_on_a_terminal_are_groups_not_lines(tmp_path: Path) -> None:
    project = everywhere(tmp_path / "site", numbered(25))
    head = (
        "import pathlib, time\n\n\ndef wait(apps, schema_editor):\n"
        f"    while schema_editor.connection.alias == 'db2' and not pathlib.Path({str(tmp_path / 'go')!r}).exists():\n"
        "        time.sleep(0.05)\n"
    )
    project.write("core/migrations/0001_initial.py", migration(create(), "migrations.RunPython(wait)", head=head))
    terminal = Terminal(project, "all", "--skip-makemigrations", "--jobs", "1", rows=14, columns=80)

    screen = terminal.see("22 databases waiting")
    (tmp_path / "go").touch()
    code = terminal.wait_for_end()

    assert [line.split()[1] for line in screen if line.startswith(("✔", "▶"))] == ["default", "db1", "db2"]
    assert not any("Migrating database" in line for line in screen)
    assert code == 0
    assert any(line.startswith("default … db24 (25 databases)") for line in (row.strip() for row in terminal.screen()))


@pytest.mark.soak
def test_many_databases_in_a_log_are_counted_and_shortened_in_sentences(tmp_path: Path) -> None:
    project = everywhere(tmp_path / "site", numbered(25))

    checked = dbmigrate("check", "--pending", cwd=project.root).expect(10)
    done = dbmigrate("all", "--skip-makemigrations", cwd=project.root).expect(0)
    written = dbmigrate("make", "core", "--empty", "--name", "more", cwd=project.root).expect(0)
    project.write(
        "core/migrations/0002_more.py",
        migration("migrations.RunPython(fail)", after=(("core", "0001_initial"),), head=failing()),
    )
    failed = dbmigrate("all", "--skip-makemigrations", "--keep-going", cwd=project.root).expect(30)

    assert "error: default, db1, db2 and 22 more: 1 migration pending: core.0001_initial" in checked.stdout
    completed = [line for line in done.stderr.splitlines() if "Migrations completed for" in line]
    assert [line.partition(" (")[2] for line in completed] == [f"{n} of 25 databases)" for n in range(1, 26)]
    assert "core.0002_more goes to default, db1, db2 and 22 more\n" in written.stdout
    assert re.search(
        r"^error: 25 of 25 databases failed: .* and 22 more; no database was migrated$", failed.stderr, re.M
    )


@pytest.mark.soak
@pytest.mark.postgresql
def test_connections_do_not_grow_with_the_databases_of_a_server(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    entries = {alias: postgresql.create_database() for alias in numbered(24)}
    default = entries["default"]
    role = f"few_{default['NAME']}"
    # A lock on each, and sixteen to look at them.
    postgresql.query(default, f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 42")
    for entry in entries.values():
        postgresql.query(default, f'ALTER DATABASE "{entry["NAME"]}" OWNER TO {role}')
    project = everywhere(tmp_path / "site", {alias: {**entry, "USER": role} for alias, entry in entries.items()})

    dbmigrate("all", "--skip-makemigrations", cwd=project.root).expect(0)

    assert "Nothing pending" in dbmigrate("all", cwd=project.root).expect(0).stdout
    assert all("core_item" in postgresql.tables(entry) for entry in entries.values())


@pytest.mark.soak
def test_what_is_squashed_and_half_applied_on_one_database_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    """The graph of the migrations is shared between databases; what is applied of squashed ones makes it differ."""
    first = migration(create())
    second = migration(
        'migrations.AddField("item", "size", models.IntegerField(default=0))', after=(("core", "0001_a"),)
    )
    squashed = migration(create()).replace(
        "    operations", '    replaces = [("core", "0001_a"), ("core", "0002_b")]\n    operations', 1
    )
    app = simple_app()
    del app["migrations/0001_initial.py"]
    app |= {"migrations/0001_a.py": first, "migrations/0002_b.py": second}
    app["models.py"] = app["models.py"] + "    size = models.IntegerField(default=0)\n"
    aliases = numbered(5)
    project = everywhere(tmp_path / "site", aliases)
    (project.root / "core/migrations/0001_initial.py").unlink()
    for path, text in app.items():
        project.write(f"core/{path}", text)
    dbmigrate("run", "--app", "core", "--to", "0001_a", "--database", "db1", cwd=project.root).expect(0)
    dbmigrate("run", "--app", "core", "--database", "db2", "--database", "db4", cwd=project.root).expect(0)
    project.write("core/migrations/0001_squashed_0002_b.py", squashed)

    planned = dbmigrate("plan", "--skip-makemigrations", "--format", "json", cwd=project.root).expect(0)
    databases = planned.json["result"]["plan"]["steps"]

    pending = {step["alias"]: [planned["id"] for planned in step["migrations"]] for step in databases}
    assert pending == {
        "default": ["core.0001_squashed_0002_b"],
        "db1": ["core.0002_b"],
        "db2": [],
        "db3": ["core.0001_squashed_0002_b"],
        "db4": [],
    }
