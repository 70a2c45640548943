"""No password of DATABASES in anything that is shown, whatever the project prints and however it fails."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from support.cli import dbmigrate
from support.combinations import combinations
from support.mariadb import DRIVER, MariadbServer
from support.postgresql import PostgresqlServer
from support.projects import Project, everywhere, migration
from support.sites import ENGINES, Site

PASSWORDS = {
    "default": "plain-password",
    "db1": 'it\'s "quoted"',
    "db2": "a@b:c/d?e%20&f",
    "db3": "two\nlines of it",
    "db4": "pässwörd ñ",
    "db5": "back\\slash",
    "db6": "q",
}
"""By the alias of the database that has it: one project holds them all."""

FORMATS = (("-v",), ("--format", "json"), ("--format", "rich", "--color", "always"), ())

LEAK = """
import base64, json, os, sys
from urllib.parse import quote, quote_plus

def tell(apps, schema_editor):
    configured = schema_editor.connection.settings_dict
    secret = configured["PASSWORD"]
    url = "db://me:{}@host/name".format(quote(secret, safe=""))
    dsn = "password='{}'".format(secret.replace("'", "\\\\'"))
    named = [repr(configured), json.dumps({"PASSWORD": secret}), url, dsn]
    bare = [secret, repr(secret), repr(secret.encode()), json.dumps("it's " + secret), secret.replace("'", "''"),
            quote(secret), quote_plus(secret), quote(secret, safe="").lower(),
            base64.b64encode(secret.encode()).decode(), base64.b64encode(("me:" + secret).encode()).decode()]
    told = named + (bare if len(secret) > 1 else [])
    for text in told:
        print(text)
        print(text, file=sys.stderr)
    for pid in os.listdir("/proc"):
        try:
            words = open("/proc/{}/cmdline".format(pid), "rb").read() if pid.isdigit() else b""
        except OSError:
            continue
        if len(secret) > 1 and secret.encode() in words:
            print("IN THE PROCESS LIST", words)
    raise RuntimeError(" ".join(told))
"""


TELL_AT_IMPORT = """
from django.conf import settings
raise ValueError([{"PASSWORD": entry["PASSWORD"]} for entry in settings.DATABASES.values()])
"""


def forms_of(secret: str) -> set[str]:
    """Return what must not be seen: the ways to write the secret, and each of its lines."""
    if len(secret) == 1:
        return {f"PASSWORD': '{secret}'", f'PASSWORD": "{secret}"', f":{secret}@", f"password='{secret}'"}
    raw = secret.encode()
    return {
        secret,
        *secret.splitlines(),
        repr(secret)[1:-1],
        repr(raw)[2:-1],
        json.dumps(secret)[1:-1],
        quote(secret, safe=""),
        quote_plus(secret),
        quote(secret, safe="").lower(),
        base64.b64encode(raw).decode().rstrip("="),
        base64.b64encode(b"me:" + raw).decode().rstrip("="),
    }


def project_of_all(folder: Path, server: PostgresqlServer | MariadbServer | None) -> Project:
    """Write a project with a database for each password, and a migration that tells the one of its own and fails."""
    entries = {alias: server.create_database() if server else {} for alias in PASSWORDS}
    if isinstance(server, MariadbServer):
        for alias, password in PASSWORDS.items():
            entries[alias]["USER"] = user_with(server, entries[alias], password)
    project = everywhere(folder, entries)
    project.write("core/migrations/0001_initial.py", migration("migrations.RunPython(tell)", head=LEAK))
    project.append("site_settings.py", DRIVER if isinstance(server, MariadbServer) else "")
    for alias, password in PASSWORDS.items():
        project.append("site_settings.py", f"DATABASES[{alias!r}]['PASSWORD'] = {password!r}")
    return project


def user_with(server: MariadbServer, entry: dict[str, Any], password: str) -> str:
    """Make a user of this password, and return its name; the server would let nobody in with another."""
    user = f"u{entry['NAME']}"
    # The driver sends it in Latin-1.
    [(hashed,)] = server.query(entry, f"SELECT PASSWORD(X'{password.encode('latin-1').hex()}')")
    server.query(entry, f"CREATE USER {user}@'%' IDENTIFIED BY PASSWORD '{hashed}'")
    server.query(entry, f"GRANT ALL ON *.* TO {user}@'%'")
    return user


@pytest.mark.parametrize(
    ("engine", "arguments"),
    combinations(
        ENGINES,
        FORMATS,
        quick=[*(("sqlite", words) for words in FORMATS), ("postgresql", FORMATS[0]), ("mariadb", FORMATS[0])],
    ),
)
def test_passwords_that_failing_migrations_tell_are_hidden(
    engine: str, arguments: tuple[str, ...], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = None if engine == "sqlite" else request.getfixturevalue(engine)
    project = project_of_all(tmp_path / "site", server)

    words = ("all", "--skip-makemigrations", "--keep-going", *arguments)
    outcome = dbmigrate(*words, cwd=project.root).expect(30)

    said = outcome.stdout + outcome.stderr
    assert said.count("RuntimeError: ") >= len(PASSWORDS), outcome  # each has told its own
    assert "***" in said
    assert "IN THE PROCESS LIST" not in said
    assert [form for password in PASSWORDS.values() for form in forms_of(password) if form in said] == [], outcome


def test_passwords_are_hidden_where_the_project_cannot_be_loaded(tmp_path: Path) -> None:
    project = project_of_all(tmp_path / "site", None)
    project.append("core/models.py", TELL_AT_IMPORT)

    for arguments in FORMATS:
        outcome = dbmigrate("all", *arguments, cwd=project.root).expect(3)
        said = " ".join((outcome.stdout + outcome.stderr).split())  # a terminal breaks lines
        assert said.count("'PASSWORD': ***") >= len(PASSWORDS)  # nothing is known yet but what it is called
        assert [one for one in PASSWORDS.values() if len(one) > 1 and repr(one)[1:-1] in said] == [], outcome


@pytest.mark.parametrize("command", ["status", "info", "all", "wait"])
def test_a_connection_string_in_a_setting_is_hidden_too(command: str, tmp_path: Path) -> None:
    names = ["postgresql://me:s3cr3t@nowhere.invalid/x", "host=nowhere.invalid password='s3cr3t' dbname=x"]
    entries = {
        alias: {"ENGINE": "django.db.backends.postgresql", "NAME": name, "HOST": "nowhere.invalid"}
        for alias, name in zip(("default", "db1"), names, strict=True)
    }
    project = everywhere(tmp_path / "site", entries)

    for arguments in (("-v",), ("--format", "json")):
        outcome = dbmigrate(command, "--wait", "0", *arguments, cwd=project.root)
        assert outcome.code in (0, 21), outcome
        assert "s3cr3t" not in outcome.stdout + outcome.stderr, outcome


@pytest.mark.mariadb
def test_settings_that_a_driver_does_not_take_are_told_and_not_waited_for(site: Callable[..., Site]) -> None:
    here = site("mariadb")
    here.project.append("site_settings.py", 'DATABASES["default"]["PASSWORD"] = "snowman ☃"')

    outcome = dbmigrate("all", "--wait", "600", "-v", cwd=here.project.root).expect(21)

    assert "database default does not answer: UnicodeEncodeError: 'latin-1' codec" in outcome.stderr
    assert "no waiting cures it" in outcome.stderr
    assert "snowman" not in outcome.stderr
