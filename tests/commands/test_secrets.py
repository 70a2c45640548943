"""No secret in anything that is shown, whatever the project prints and however it fails."""

from __future__ import annotations

import base64
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from support import leaking
from support.cli import dbmigrate
from support.combinations import combinations
from support.leaking import pem, random_secrets, traces
from support.mariadb import DRIVER, MariadbServer
from support.postgresql import PostgresqlServer
from support.projects import Project, create, everywhere, migration, numbered, simple_app, write_project
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


@pytest.mark.soak
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

    assert "database default is unreachable: UnicodeEncodeError: 'latin-1' codec" in outcome.stderr
    assert "waiting will not help" in outcome.stderr
    assert "snowman" not in outcome.stderr


TELL_IN_PIECES = """
import sys, time
from leaking import spellings

def tell(apps, schema_editor):
    secret = schema_editor.connection.settings_dict["PASSWORD"]
    for stream in (sys.stdout, sys.stderr):
        for way, text in spellings(secret).items():
            stream.write("{}: {}\\n".format(way, text))
        for piece in (secret[:7], secret[7:], "\\n"):
            stream.write(piece)
            stream.flush()
            time.sleep(0.01)
    raise RuntimeError("it was " + " and ".join(spellings(secret).values()))
"""


def telling_project(folder: Path, secrets: list[str], server: MariadbServer | None = None) -> Project:
    """Write a project with a database for each secret; its migration tells the one of its database, and fails."""
    entries: dict[str, dict[str, Any]] = {alias: {} for alias in numbered(len(secrets))}
    if server is not None:
        for alias, secret in zip(list(entries), secrets, strict=True):
            entries[alias] = server.create_database()
            entries[alias]["USER"] = user_with(server, entries[alias], secret)
    project = everywhere(folder, entries)
    project.write("leaking.py", inspect.getsource(leaking))
    project.write("core/migrations/0001_initial.py", migration("migrations.RunPython(tell)", head=TELL_IN_PIECES))
    project.append("site_settings.py", DRIVER if server is not None else "")
    for alias, secret in zip(entries, secrets, strict=True):
        project.append("site_settings.py", f"DATABASES[{alias!r}]['PASSWORD'] = {secret!r}")
    return project


@pytest.mark.soak
@pytest.mark.parametrize(("launcher", "count"), [("fork", 4), pytest.param("spawn", 12, marks=pytest.mark.soak)])
def test_generated_secrets_that_migrations_print_in_every_way_are_hidden(
    launcher: str, count: int, tmp_path: Path
) -> None:
    secrets = [*random_secrets(count, seed=7), *([pem(7)] if count > 10 else [])]
    project = telling_project(tmp_path / "site", secrets)
    summary = tmp_path / "summary.md"
    words = (
        "all",
        "--skip-makemigrations",
        "--keep-going",
        f"--launcher={launcher}",
        "--junit=junit.xml",
        "-oout.json",
    )

    shown = []
    for arguments in (("-v",), ("--format=json",), ("--format=jsonl",), ("--format=github",)):
        outcome = dbmigrate(
            *words, *arguments, cwd=project.root, environment={"GITHUB_STEP_SUMMARY": str(summary)}
        ).expect(30)
        files = [(project.root / name).read_text() for name in ("junit.xml", "out.json")]
        shown += [outcome.stdout, outcome.stderr, *files]
    shown.append(summary.read_text())

    assert all("it was" in text for text in shown if len(text) > 1000)
    assert len([text for text in shown if len(text) > 1000]) >= 11
    assert [trace for secret in secrets for trace in traces(secret) for text in shown if trace in text] == []


HALF = """
import sys

def fail(apps, schema_editor):
    print("so far", schema_editor.connection.settings_dict["PASSWORD"])
    raise RuntimeError("it fails")
"""

NAMES = {"default": "core", "db1": "0001_initial", "db2": "Applying", "db3": "db3"}
"""By alias: a password that is the name of something."""


@pytest.mark.soak
@pytest.mark.parametrize(
    ("engine", "launcher"),
    combinations(ENGINES, ("fork", "spawn"), quick=[("sqlite", "fork"), ("mariadb", "fork")]),
)
def test_a_failed_migration_is_known_although_its_name_is_a_password(
    engine: str, launcher: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = None if engine == "sqlite" else request.getfixturevalue(engine)
    entries = {alias: server.create_database() if server else {} for alias in NAMES}
    if isinstance(server, MariadbServer):
        for alias, password in NAMES.items():
            entries[alias]["USER"] = user_with(server, entries[alias], password)
    project = everywhere(tmp_path / "site", entries)
    broken = migration(create(), "migrations.RunPython(fail)", head=HALF, atomic=False)
    project.write("core/migrations/0001_initial.py", broken)
    project.append("site_settings.py", DRIVER if isinstance(server, MariadbServer) else "")
    for alias, password in NAMES.items():
        project.append("site_settings.py", f"DATABASES[{alias!r}]['PASSWORD'] = {password!r}")

    words = ("all", "--skip-makemigrations", "--keep-going", f"--launcher={launcher}")
    plain = dbmigrate(*words, "-v", "-o", str(tmp_path / "report.json"), cwd=project.root).expect(30)
    report = (tmp_path / "report.json").read_text()

    said = plain.stdout + plain.stderr
    assert [said.count(f"[{alias}] core.0001_initial may be half done") for alias in NAMES] == [1] * len(NAMES), plain
    assert "no migration was completed" in plain.stderr
    assert "Applying core.0001_initial" in plain.stderr
    assert "***" not in report
    failures = {
        database["alias"]: database["failure"]["migration"]
        for database in json.loads(report)["result"]["run"]["databases"]
    }
    assert failures == dict.fromkeys(NAMES, "core.0001_initial")


MANY_PLACES = """
import collections, os
from django.utils.functional import SimpleLazyObject, lazystr

class Environ(collections.UserDict):
    pass

SECRET_KEY = TOLD[0]
DATABASES["default"]["PASSWORD"] = lazystr(TOLD[1])
DATABASES["default"]["OPTIONS"] = SimpleLazyObject(lambda: Environ())
DATABASES["other"] = Environ({
    "ENGINE": "django.db.backends.postgresql",
    "NAME": "x",
    "HOST": "nowhere.invalid",
    "OPTIONS": {"sslpassword": TOLD[2], "passfile": str(BASE / "passwords"), "nested": [{"api_token": TOLD[3]}]},
})
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": [f"redis://:{TOLD[4]}@h:6379/0"]}}
STRIPE_SECRETS = {"live": Environ(here=TOLD[5].encode(), timeout=5)}
STRIPE_SECRETS["itself"] = STRIPE_SECRETS
SIGNING_KEYS = [TOLD[6]]
os.environ["FROM_DOTENV_TOKEN"] = TOLD[7]
DATABASE_ROUTERS = ["everywhere.Router"]
"""


def test_secrets_of_all_places_are_hidden(tmp_path: Path) -> None:
    told = list(random_secrets(12, seed=11))
    told[4] = "red1s-tr0mb0ne"  # a URL would want it escaped
    told[10] = "l0ck-tr0mb0ne"
    told[11] = told[11].replace("\n", "").replace(":", "").replace("\\", "").strip()
    project = everywhere(tmp_path / "site", ("default",))
    project.append("site_settings.py", f"TOLD = {told!r}" + MANY_PLACES)
    project.write("passwords", f"nowhere.invalid:*:*:me:{told[11]}\n")
    project.write(
        "pyproject.toml",
        f'[tool.dbmigrate]\nexclude = ["other"]\nlock_url = {{ other = "postgres://u:{told[10]}@h/d" }}\n',
    )
    project.write(
        "core/migrations/0001_initial.py",
        migration(
            "migrations.RunPython(tell)",
            head=f"TOLD = {told!r}\ndef tell(*_):\n    for one in TOLD: print(repr(one))\n    raise ValueError(TOLD)\n",
        ),
    )
    environment = {"OUTER_PASSWORD": told[8], "SOME_URL": f"https://x:{quote(told[9], safe='')}@example.org/"}

    for command in (
        ("all", "--skip-makemigrations", "--no-lock"),
        ("plan", "--sql"),
        ("info",),
        ("check",),
        ("status",),
    ):
        for arguments in (("-v",), ("--format=json",)):
            outcome = dbmigrate(*command, *arguments, cwd=project.root, environment=environment)
            shown = outcome.stdout + outcome.stderr
            assert outcome.code == (30 if command[0] == "all" else outcome.code), outcome
            assert outcome.code not in (1, 3), outcome
            assert [one for one in told for trace in traces(one) if trace in shown] == [], outcome


HALF_WAY = """
import os
os.environ["LATE_TOKEN"] = {token!r}
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "x", "PASSWORD": {password!r}}}}}

def connect(api_secret):
    raise ValueError("no service for {{!r}} {{!r}} {{!r}}".format(api_secret, {token!r}, DATABASES))

print({token!r}, {password!r})
connect({secret!r})
"""


def test_secrets_are_hidden_where_the_settings_raise_half_way(tmp_path: Path) -> None:
    token, password, secret = random_secrets(3, seed=13)
    project = write_project(tmp_path / "site", {"core": simple_app()})
    project.append("site_settings.py", HALF_WAY.format(token=token, password=password, secret=secret))

    for arguments in FORMATS:
        outcome = dbmigrate("all", *arguments, cwd=project.root).expect(3)
        shown = outcome.stdout + outcome.stderr
        assert "no service for" in shown
        assert [one for one in (token, password, secret) for trace in traces(one) if trace in shown] == [], outcome


def test_a_long_line_is_scrubbed_before_it_is_cut(tmp_path: Path) -> None:
    secret, key = "tr0mb0ne-" * 4, pem(3).replace("\n", "") * 3
    project = telling_project(tmp_path / "site", [secret, key])
    head = """
def tell(apps, schema_editor):
    secret = schema_editor.connection.settings_dict["PASSWORD"]
    print()
    print("x" * 3990 + secret + "y" * 3000)
    print("y" * 3999 + secret)
    raise RuntimeError("z" * 390 + secret)
"""
    project.write("core/migrations/0001_initial.py", migration("migrations.RunPython(tell)", head=head))

    outcome = dbmigrate("all", "--keep-going", "-v", cwd=project.root).expect(30)

    shown = outcome.stdout + outcome.stderr
    assert "xxx*** … (" not in shown
    assert "x***yyy" in shown
    assert "more characters)" in shown
    assert [part for part in ("tr0mb0", key[:20], key[-20:]) if part in shown] == [], outcome


@pytest.mark.soak
def test_what_makemigrations_prints_is_hidden_too(tmp_path: Path) -> None:
    project = write_project(tmp_path / "site", {"core": {"models.py": "", "migrations/0001_initial.py": migration()}})
    project.append(
        "site_settings.py",
        """
        import sys, time
        PARTNER_SECRET = "tr0mb0ne & sons"
        if "makemigrations" in sys.argv:
            for stream in (sys.stdout, sys.stderr):
                for piece in ("a line with tr0m", "b0ne & so", "ns in it\\n"):
                    stream.write(piece)
                    stream.flush()
                    time.sleep(0.2)
            raise RuntimeError("no partner " + repr(PARTNER_SECRET))
        """,
    )

    for arguments in ((), ("--format=json",), ("--format=github",)):
        outcome = dbmigrate("make", "core", "--empty", *arguments, cwd=project.root).expect(30)
        assert "a line with *** in it" in outcome.stdout + outcome.stderr, outcome
        assert "b0ne" not in outcome.stdout + outcome.stderr, outcome


@pytest.mark.soak
@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("command", "option"),
    combinations(
        ("status", "wait", "check", "verify", "plan", "info", "all", "run"),
        ("-v", "--format=json", "--format=github"),
        quick=[("status", "-v"), ("all", "--format=json")],
    ),
)
def test_failing_logins_tell_no_password(command: str, option: str, tmp_path: Path, mariadb: MariadbServer) -> None:
    # The driver sends Latin-1.
    secrets = [secret.encode("latin-1", "ignore").decode("latin-1") for secret in random_secrets(4, seed=17)]
    project = telling_project(tmp_path / "site", secrets, mariadb)
    project.append("site_settings.py", "for entry in DATABASES.values(): entry['PASSWORD'] += 'wrong'")

    words = ("--auto",) if command == "run" else ()
    outcome = dbmigrate(command, *words, option, cwd=project.root)

    assert outcome.code in (0, 11, 21), outcome
    shown = outcome.stdout + outcome.stderr
    assert "denied" in shown or command == "info"
    assert [one for one in secrets for trace in traces(one) if trace in shown] == [], outcome


BROKEN = """
import importlib.abc, os, sys

class Break(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "dbmigrate.commands.show":
            raise ValueError("broken by {0} and {0!r}".format(os.environ["SOME_TOKEN"]))

sys.meta_path.insert(0, Break())
"""


def test_the_log_of_a_crash_has_no_secrets(tmp_path: Path) -> None:
    project = write_project(tmp_path / "site", {"core": simple_app()})
    project.write("patched/sitecustomize.py", BROKEN)
    logs = tmp_path / "logs"
    logs.mkdir()

    environment = {"SOME_TOKEN": "tr0m\"b0ne's", "TMPDIR": str(logs), "PYTHONPATH": str(project.root / "patched")}
    outcome = dbmigrate("status", "-v", cwd=project.root, environment=environment).expect(1)

    [log] = logs.glob("dbmigrate-*.log")
    assert str(log) in outcome.stderr
    for text in (outcome.stdout + outcome.stderr, log.read_text()):
        assert "tr0m" not in text
        assert "b0ne" not in text
    assert "broken by ***" in log.read_text()


KEEPING = """
import json
from pathlib import Path
SECRETS = json.loads((Path(__file__).parent / "secrets.json").read_text())
globals().update({f"SERVICE_{number}_PASSWORD": secret for number, secret in enumerate(SECRETS)})
DATABASES["default"]["PASSWORD"] = SECRETS[0]
DATABASES["default"]["HOST"] = "db.internal.example"
"""

USING = """
from django.conf import settings

class Migration(migrations.Migration):
    dependencies = []
    operations = [
        migrations.CreateModel("Item", [
            ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ("name", models.CharField(max_length=5000, default=settings.SECRETS[1])),
        ]),
        migrations.RunSQL("; ".join("SELECT '{}'".format(one.replace("'", "''")) for one in settings.SECRETS)),
        migrations.RunSQL("SELECT 1 -- " + " ".join(map(repr, settings.SECRETS))),
    ]
"""


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_of_ten_thousand_secrets_none_is_in_a_saved_plan(tmp_path: Path) -> None:
    rounds, each = 10, 1000
    found = []
    for number in range(rounds):
        secrets = list(random_secrets(each, seed=number))
        project = everywhere(tmp_path / f"site{number}", ("default",))
        project.write("core/migrations/0001_initial.py", "from django.db import migrations, models\n" + USING)
        project.append("site_settings.py", KEEPING)
        (project.root / "secrets.json").write_text(json.dumps(secrets))
        plan = ("plan", "--skip-makemigrations", "-o")
        dbmigrate(*plan, "plan.json", cwd=project.root).expect(0)
        dbmigrate(*plan, "sql.json", "--sql", cwd=project.root).expect(0)
        project.append("core/migrations/0001_initial.py", "# edited")
        dbmigrate("apply", "sql.json", "-v", "-o", "refused.json", cwd=project.root).expect(32)
        for name in ("plan.json", "sql.json", "refused.json"):
            text = re.sub(r"\b[0-9a-f]{64}\b", "", (project.root / name).read_text())
            found += [(name, secret) for secret in secrets for trace in traces(secret) if trace in text]
            assert "db.internal.example" not in text

    assert found == []
