"""No password of DATABASES in anything that is shown, whatever the project prints and however it fails."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from support.cli import dbmigrate
from support.mariadb import MariadbServer
from support.projects import migration, model
from support.sites import ENGINES, Site

PASSWORDS = ["plain-password", 'it\'s "quoted"', "a@b:c/d?e%20&f", "two\nlines of it", "pässwörd ñ", "back\\slash", "q"]

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


@pytest.fixture
def site_with(site: Callable[..., Site], request: pytest.FixtureRequest) -> Callable[[str, str], Site]:
    """Return a function that writes a project on one engine, whose migration tells the password and fails."""

    def write(engine: str, password: str) -> Site:
        app = {"models.py": model(), "migrations/0001_initial.py": migration("migrations.RunPython(tell)", head=LEAK)}
        here = site(engine, app)
        if engine == "mariadb":
            server: MariadbServer = request.getfixturevalue("mariadb")
            user = f"u{here.entry['NAME']}"
            # The driver sends it in Latin-1.
            [(hashed,)] = server.query(here.entry, f"SELECT PASSWORD(X'{password.encode('latin-1').hex()}')")
            server.query(here.entry, f"CREATE USER {user}@'%' IDENTIFIED BY PASSWORD '{hashed}'")
            server.query(here.entry, f"GRANT ALL ON *.* TO {user}@'%'")
            here.project.append("site_settings.py", f'DATABASES["default"]["USER"] = {user!r}')
        here.project.append("site_settings.py", f'DATABASES["default"]["PASSWORD"] = {password!r}')
        return here

    return write


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_password_that_a_failing_migration_tells_is_hidden(
    engine: str, password: str, site_with: Callable[[str, str], Site]
) -> None:
    here = site_with(engine, password)

    for arguments in FORMATS:
        outcome = dbmigrate("all", "--skip-makemigrations", *arguments, cwd=here.project.root).expect(30)
        said = outcome.stdout + outcome.stderr
        assert "***" in said
        assert "IN THE PROCESS LIST" not in said
        assert [form for form in forms_of(password) if form in said] == [], outcome


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_is_hidden_where_the_project_cannot_be_loaded(password: str, site: Callable[..., Site]) -> None:
    here = site("sqlite")
    here.project.append("site_settings.py", f'DATABASES["default"]["PASSWORD"] = {password!r}')
    here.project.append("core/models.py", "from django.conf import settings\nraise ValueError(settings.DATABASES)")

    for arguments in FORMATS:
        outcome = dbmigrate("all", *arguments, cwd=here.project.root).expect(3)
        said = outcome.stdout + outcome.stderr
        assert "'PASSWORD': ***" in said  # nothing is known yet but what it is called
        assert len(password) == 1 or repr(password)[1:-1] not in said


@pytest.mark.parametrize(
    "name", ["postgresql://me:{}@nowhere.invalid/x", "host=nowhere.invalid password='{}' dbname=x"]
)
def test_a_connection_string_in_a_setting_is_hidden_too(name: str, site: Callable[..., Site], tmp_path: Path) -> None:
    here = site("sqlite")
    entry = {"ENGINE": "django.db.backends.postgresql", "NAME": name.format("s3cr3t"), "HOST": "nowhere.invalid"}
    here.project.append("site_settings.py", f'DATABASES["default"] = {entry!r}')

    for command in ("status", "info", "all", "wait"):
        for arguments in (("-v",), ("--format", "json")):
            outcome = dbmigrate(command, "--wait", "0", *arguments, cwd=here.project.root)
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
