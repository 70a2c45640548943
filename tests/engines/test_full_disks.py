"""A disk that is full is told as such, with the database whose disk it is, also where Django hides it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.cli import dbmigrate
from support.projects import create, migration, model
from support.sites import Site

from dbmigrate.frames import Chain

FILL = {
    # Django's own words of what follows are that no query can be executed until the end of the block.
    "sqlite": """\
def fill(apps, schema_editor):
    schema_editor.connection.cursor().execute("PRAGMA max_page_count = 30")
    for number in range(60):
        apps.get_model("core", "Item").objects.create(name="x" * 4000)
""",
    "postgresql": """\
def fill(apps, schema_editor):
    schema_editor.execute(
        "DO $$ BEGIN RAISE EXCEPTION 'konnte Datei nicht erweitern' USING ERRCODE = '53100'; END $$"
    )
""",
    "mariadb": """\
def fill(apps, schema_editor):
    cursor = schema_editor.connection.cursor()
    cursor.execute("SET max_heap_table_size = 16384")
    cursor.execute("CREATE TABLE heap (a CHAR(255)) ENGINE=MEMORY")
    for number in range(200):
        cursor.execute("INSERT INTO heap VALUES (%s)", ["x" * 200])
""",
}

SAID = {
    "sqlite": "database or disk is full",
    "postgresql": "konnte Datei nicht erweitern",
    "mariadb": "is full",
}


@pytest.mark.parametrize("launcher", ["fork", pytest.param("spawn", marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    "engine",
    [
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mariadb", marks=pytest.mark.mariadb),
    ],
)
def test_a_full_disk_is_told_with_the_database_and_what_to_do(
    site: Callable[..., Site], engine: str, launcher: str
) -> None:
    text = migration(create(), "migrations.RunPython(fill)", head=FILL[engine])
    here = site(engine, {"models.py": model(), "migrations/0001_initial.py": text})

    outcome = dbmigrate("all", "--skip-makemigrations", "--launcher", launcher, cwd=here.project.root)

    assert outcome.code in (30, 31)
    error = [line for line in outcome.stderr.splitlines() if line.startswith("error: ")][-1]
    assert "(core.0001_initial: the disk of the database is full: django.db.utils." in error
    assert SAID[engine] in error
    assert "TransactionManagementError" not in error
    assert outcome.stderr.splitlines()[-2].startswith("hint: free space on the disk of database default, then ")


def test_the_exceptions_of_the_last_traceback_are_read_in_their_order() -> None:
    def traceback(*exceptions: str) -> list[str]:
        frames = ["Traceback (most recent call last):", '  File "a.py", line 1, in go', "    go()", "    ^^^^"]
        return [line for one in exceptions for line in (*frames, one)]

    direct = ["", "The above exception was the direct cause of the following exception:", ""]
    during = ["", "During handling of the above exception, another exception occurred:", ""]
    lines = [
        *traceback("KeyError: 'logged and passed over'"),
        "  Applying core.0001_initial...",
        *traceback("psycopg.errors.DiskFull: voll"),
        "HINT: a second line",
        *direct,
        *traceback("django.db.utils.OperationalError: voll"),
        *during,
        *traceback("django.db.transaction.TransactionManagementError: no queries"),
        "goodbye",
    ]
    chain = Chain()

    for line in lines:
        chain.take(line)

    assert list(chain.causes) == [
        "psycopg.errors.DiskFull: voll",
        "django.db.utils.OperationalError: voll",
        "django.db.transaction.TransactionManagementError: no queries",
    ]
