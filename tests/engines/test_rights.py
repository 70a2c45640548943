"""DBM305: what a database's role may not do is known before anything moves."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cli import dbmigrate
from support.mariadb import DRIVER, MariadbServer
from support.postgresql import PostgresqlServer
from support.projects import Project, create, everywhere, migration, model, simple_app, write_project

_names = itertools.count()

ID = '("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))'
ITEM = '("item", models.ForeignKey("core.item", models.CASCADE))'

MODELS = model() + model("Log").split("\n\n", 1)[1]

CORE = {
    "models.py": MODELS,
    "migrations/0001_initial.py": migration(create(), create("Log")),
}
PENDING = {
    "models.py": """\
from django.db import models

class Item(models.Model):
    name = models.CharField(max_length=20)
    price = models.IntegerField(default=0)

class Log(models.Model):
    name = models.CharField(max_length=20, help_text="Words", default="x")
    class Meta:
        ordering = ["name"]

class Note(models.Model):
    item = models.ForeignKey(Item, models.CASCADE)
""",
    "migrations/0002_note.py": migration(
        f'migrations.CreateModel("Note", [{ID}, {ITEM}])', after=(("core", "0001_initial"),)
    ),
    "migrations/0003_price.py": migration(
        'migrations.AddField("item", "price", models.IntegerField(default=0))', after=(("core", "0002_note"),)
    ),
    # Nothing of this reaches a database.
    "migrations/0004_words.py": migration(
        'migrations.AlterField("log", "name", models.CharField(max_length=20, help_text="Words", default="x"))',
        'migrations.AlterModelOptions("log", {"ordering": ["name"]})',
        after=(("core", "0003_price"),),
    ),
}


def new_role() -> str:
    """Return the name of a role that no other test has."""
    return f"role_{os.getpid()}_{next(_names)}"


def grants(project: Project, *words: str) -> dict[str, set[str]]:
    """Return what `check` has to be granted, by alias."""
    report = dbmigrate("check", "--select", "DBM305", "--format", "json", *words, cwd=project.root).json["result"]
    found: dict[str, set[str]] = {}
    for finding in report["findings"]:
        (alias,) = finding["aliases"]
        found.setdefault(alias, set()).add(finding["hint"].split(" with that right: ")[1].split(";")[0])
    return found


class Roles:
    """Databases of one PostgreSQL server that hold what core.0001_initial makes, each with a role of its own."""

    def __init__(self, server: PostgresqlServer, template: dict[str, Any]) -> None:
        self.server = server
        self.template = template
        self.entries: dict[str, dict[str, Any]] = {"default": template}

    def add(self, alias: str, *statements: str, empty: bool = False, attributes: str = "", **more: Any) -> str:
        """Make a database with a role; `{role}` and `{owner}` in statements are it and another one."""
        role, owner = new_role(), new_role()
        entry = self.server.create_database() if empty else self.server.create_database(self.template["NAME"])
        made = [f"CREATE ROLE {role} LOGIN {attributes}", f"CREATE ROLE {owner} NOLOGIN"]
        for statement in [*made, *statements]:
            self.server.query(entry, statement.format(role=role, owner=owner))
        options = {
            name: {key: text.format(role=role, owner=owner) for key, text in value.items()}
            for name, value in more.items()
        }
        self.entries[alias] = {**entry, "USER": role, **options}
        return role

    def grant(self, alias: str, statement: str) -> None:
        """Run a statement in a database as a superuser."""
        self.server.query({**self.entries[alias], "USER": self.template["USER"]}, statement)


@pytest.fixture
def roles(tmp_path: Path, postgresql: PostgresqlServer) -> Roles:
    """Return databases to come, whose first is that of a superuser."""
    entry = postgresql.create_database()
    dbmigrate("all", cwd=write_project(tmp_path / "before", {"core": CORE}, aliases={"default": entry}).root).expect(0)
    return Roles(postgresql, entry)


def site_of(roles: Roles, root: Path, core: dict[str, str]) -> Project:
    """Write a project whose app belongs on every one of these databases."""
    project = everywhere(root, roles.entries)
    for path, text in core.items():
        project.write(f"core/{path}", text)
    return project


RECORD = "GRANT SELECT, INSERT, DELETE ON django_migrations TO {role}"
OWNS_ALL = [f"ALTER TABLE {name} OWNER TO {{role}}" for name in ("core_item", "core_log")]


@pytest.mark.soak
@pytest.mark.postgresql
def test_what_a_postgresql_role_may_not_do_is_found_and_nothing_else(roles: Roles, tmp_path: Path) -> None:
    new = roles.add("new", empty=True)
    roles.add("new_and_granted", "GRANT CREATE ON SCHEMA public TO {role}", empty=True)
    creator = roles.add("not_owner", "GRANT CREATE ON SCHEMA public TO {role}", RECORD)
    old = roles.add("owner", *OWNS_ALL, RECORD)
    reader = roles.add(
        "no_record", *OWNS_ALL, "GRANT CREATE ON SCHEMA public TO {role}", "GRANT SELECT ON django_migrations TO {role}"
    )
    owned = [statement.replace("{role}", "{owner}") for statement in OWNS_ALL]
    group = ["GRANT CREATE ON SCHEMA public TO {owner}", RECORD.replace("{role}", "{owner}"), "GRANT {owner} TO {role}"]
    roles.add("member", *owned, *group)
    outsider = roles.add(
        "noinherit", *owned, *group, RECORD, "GRANT CREATE ON SCHEMA public TO {role}", attributes="NOINHERIT"
    )
    roles.add("assuming", *owned, *group, attributes="NOINHERIT", OPTIONS={"assume_role": "{owner}"})
    project = site_of(roles, tmp_path / "site", {**CORE, **PENDING})

    found = grants(project)

    create_in, own, refer = (
        'GRANT CREATE ON SCHEMA "public" TO "{}"',
        'ALTER TABLE "public"."core_item" OWNER TO "{}"',
        'GRANT REFERENCES ON "public"."core_item" TO "{}"',
    )
    assert found == {
        "new": {create_in.format(new)},
        "not_owner": {own.format(creator), refer.format(creator)},
        "owner": {create_in.format(old)},
        "no_record": {f'GRANT INSERT ON "django_migrations" TO "{reader}"'},
        "noinherit": {own.format(outsider), refer.format(outsider)},
    }
    before = {alias: roles.server.tables(entry) for alias, entry in roles.entries.items()}
    ignored = dbmigrate("plan", cwd=project.root, environment={"DBMIGRATE_IGNORE": "DBM305"}).expect(0)
    assert f"warning: DBM305: not_owner: role {creator}" in ignored.stdout + ignored.stderr
    assert "stops" not in ignored.stdout + ignored.stderr
    refused = dbmigrate("all", cwd=project.root).expect(13)
    assert f"DBM305: not_owner: role {creator} does not own table public.core_item (its owner is" in refused.stderr
    assert "needed for core.0003_price" in refused.stderr
    assert {alias: roles.server.tables(entry) for alias, entry in roles.entries.items()} == before
    for alias, statements in found.items():
        for statement in statements:
            roles.grant(alias, statement)

    dbmigrate("all", cwd=project.root).expect(0)


@pytest.fixture
def users(tmp_path: Path, mariadb: MariadbServer) -> Iterator[Users]:
    """Return databases to come, whose first is that of a user who may do everything."""
    entry = mariadb.create_database()
    before = write_project(tmp_path / "before", {"core": CORE}, aliases={"default": entry}, settings=DRIVER)
    dbmigrate("all", cwd=before.root).expect(0)
    found = Users(mariadb, entry)
    yield found
    for name in found.names:
        mariadb.query(entry, f"DROP USER {name}")


class Users:
    """Databases of one MariaDB server that hold what core.0001_initial makes, each with a user of its own."""

    def __init__(self, server: MariadbServer, template: dict[str, Any]) -> None:
        self.server = server
        self.template = template
        self.entries: dict[str, dict[str, Any]] = {"default": template}
        self.names: list[str] = []

    def add(self, alias: str, *statements: str) -> str:
        """Make a database with a user; `{db}` and `{user}` in statements are they."""
        entry, user = self.server.create_database(), new_role()
        self.server.copy_database(self.template, entry)
        for statement in [f"CREATE USER {user} IDENTIFIED BY 'word'", *statements]:
            pattern = entry["NAME"].replace("_", "\\_")
            self.server.query(
                entry, statement.format(user=user, db=entry["NAME"], pattern=pattern, role=f"{user}_role")
            )
        self.entries[alias] = {**entry, "USER": user, "PASSWORD": "word"}
        self.names.append(user)
        return user


@pytest.mark.soak
@pytest.mark.mariadb
def test_what_a_mariadb_user_may_not_do_is_found_and_nothing_else(users: Users, tmp_path: Path) -> None:
    rows = "GRANT SELECT, INSERT, UPDATE, DELETE ON `{db}`.* TO {user}"
    reader = users.add("rows_only", rows)
    users.add("everything", "GRANT ALL ON `{db}`.* TO {user}")
    users.add("by_pattern", "GRANT SELECT, INSERT, CREATE, ALTER ON `%`.* TO {user}")
    users.add("by_prefix", "GRANT SELECT, INSERT, CREATE, ALTER ON `{pattern}`.* TO {user}")
    other = users.add("other_pattern", rows, "GRANT CREATE, ALTER ON `{pattern}\\_`.* TO {user}")
    users.add(
        "by_role",
        "GRANT SELECT ON `{db}`.* TO {user}",
        "CREATE ROLE {role}",
        "GRANT INSERT, CREATE, ALTER ON *.* TO {role}",
        "GRANT {role} TO {user}",
        "SET DEFAULT ROLE {role} FOR {user}",
    )
    users.add(
        "by_table",
        "GRANT SELECT, INSERT, CREATE ON `{db}`.django_migrations TO {user}",
        "GRANT SELECT ON `{db}`.core_log TO {user}",
        *[
            "GRANT SELECT, CREATE, ALTER ON `{db}`.core_note TO {user}",
            "GRANT SELECT, ALTER ON `{db}`.core_item TO {user}",
        ],
    )
    no_record = users.add(
        "no_record", "GRANT SELECT, CREATE, ALTER ON `{db}`.* TO {user}", "GRANT INSERT ON `{db}`.core_item TO {user}"
    )
    project = everywhere(tmp_path / "site", users.entries)
    project.append("site_settings.py", DRIVER)
    for path, text in {**CORE, **PENDING}.items():
        project.write(f"core/{path}", text)

    found = grants(project)

    names = {alias: entry["NAME"] for alias, entry in users.entries.items()}
    assert found == {
        "rows_only": {f"GRANT {right} ON `{names['rows_only']}`.* TO '{reader}'@'%'" for right in ("CREATE", "ALTER")},
        "other_pattern": {
            f"GRANT {right} ON `{names['other_pattern']}`.* TO '{other}'@'%'" for right in ("CREATE", "ALTER")
        },
        "no_record": {f"GRANT INSERT ON `{names['no_record']}`.* TO '{no_record}'@'%'"},
    }
    assert f"role {reader}@% lacks CREATE on database" in dbmigrate("all", cwd=project.root).expect(13).stderr
    for alias, statements in found.items():
        for statement in statements:
            users.server.query({**users.template, "NAME": users.entries[alias]["NAME"]}, statement)

    dbmigrate("all", cwd=project.root).expect(0)


@pytest.mark.soak
@pytest.mark.mariadb
def test_what_a_mariadb_user_has_by_another_host_of_its_name_stops_nothing(users: Users, tmp_path: Path) -> None:
    """The server counts it, and SHOW GRANTS does not show it."""
    for alias, here in {"wider": "", "own": "GRANT SELECT, INSERT ON `{db}`.* TO {user}@'127.0.0.1'"}.items():
        user = users.add(
            alias, "GRANT ALL ON `{db}`.* TO {user}", "CREATE USER {user}@'127.0.0.1' IDENTIFIED BY 'word'"
        )
        name = users.entries[alias]["NAME"]
        if here:
            users.server.query(users.template, here.format(db=name, user=user))
        users.names.append(f"{user}@'127.0.0.1'")
    project = everywhere(tmp_path / "site", users.entries)
    project.append("site_settings.py", DRIVER)
    for path, text in {**CORE, **PENDING}.items():
        project.write(f"core/{path}", text)

    report = dbmigrate("check", "--select", "DBM305", "--format", "json", cwd=project.root).expect(13).json["result"]
    dbmigrate("run", "--database", "wider", cwd=project.root).expect(0)
    forced = dbmigrate("run", "--database", "own", cwd=project.root, environment={"DBMIGRATE_IGNORE": "DBM305"})

    levels = {(finding["aliases"][0], finding["level"], finding["stops"]) for finding in report["findings"]}
    assert levels == {("wider", "warning", False), ("own", "error", True)}
    assert "command denied" in forced.expect(30).stderr + forced.stdout


THING = f"""migrations.CreateModel("Thing", [{ID}], options={{"db_table": '"shop"."thing"'}})"""
OLD_RECORD = (
    "CREATE TABLE django_migrations (id serial PRIMARY KEY, app varchar(255) NOT NULL, name varchar(255) NOT NULL,"
    " applied timestamptz NOT NULL)"
)
MAY_CREATE = "GRANT CREATE ON SCHEMA public TO {role}"


@pytest.mark.soak
@pytest.mark.postgresql
def test_rights_are_known_of_other_schemas_sequences_extensions_and_for_undoing(roles: Roles, tmp_path: Path) -> None:
    server = roles.add("default", empty=True)
    roles.entries["migrator"] = {**roles.entries["default"], "USER": roles.template["USER"]}
    shop = roles.add("shop", MAY_CREATE, "CREATE SCHEMA shop", "GRANT USAGE ON SCHEMA shop TO {role}", empty=True)
    lost = roles.add("lost", MAY_CREATE, empty=True, OPTIONS={"options": "-c search_path=nowhere"})
    old = roles.add("old", MAY_CREATE, OLD_RECORD, "GRANT SELECT, INSERT ON django_migrations TO {role}", empty=True)
    roles.add("extended", MAY_CREATE, empty=True)
    roles.add("mute", "REVOKE EXECUTE ON FUNCTION has_table_privilege(oid, text) FROM PUBLIC", empty=True)
    undoing = roles.add("undone", "GRANT SELECT ON django_migrations TO {role}")
    things = {
        "models.py": model("Thing", """Meta = type("Meta", (), {"db_table": '"shop"."thing"'})"""),
        "migrations/0001_initial.py": migration(THING),
    }
    extension = "from django.contrib.postgres.operations import CreateExtension"
    project = write_project(
        tmp_path / "site",
        {
            "core": CORE,
            "main": simple_app(),
            "shop": things,
            "old": simple_app(),
            "lost": simple_app(),
            "mute": simple_app(),
            "extended": {
                "models.py": "",
                "migrations/0001_initial.py": migration('CreateExtension("vector")', head=extension),
            },
        },
        aliases=roles.entries,
        rules={"shop": "shop", "old": "old", "lost": "lost", "mute": "mute", "extended": "extended", "core": "undone"},
    )

    report = dbmigrate("check", "--select", "DBM305", "--format", "json", cwd=project.root).expect(13).json["result"]

    place = "in database {}, as a user with that right: "
    places = {alias: place.format(entry["NAME"]) for alias, entry in roles.entries.items()}
    unless = '; if this is wrong, ignore = ["DBM305"] under [tool.dbmigrate]'
    assert [(finding["message"], finding["hint"].replace(unless, ";")) for finding in report["findings"]] == [
        (
            f"default: role {server} lacks CREATE on schema public, needed for django_migrations, main.0001_initial",
            f'{places["default"]}GRANT CREATE ON SCHEMA "public" TO "{server}"; or let migrator migrate it, which is '
            'the same database and whose role has the right: exclude = ["default"] and databases.migrator.open = '
            '"migrate" under '
            "[tool.dbmigrate];",
        ),
        (
            f"shop: role {shop} lacks CREATE on schema shop, needed for shop.0001_initial",
            f'{places["shop"]}GRANT CREATE ON SCHEMA "shop" TO "{shop}";',
        ),
        (
            f"lost: role {lost} has no schema to create tables in (search path nowhere), needed for django_migrations, "
            "lost.0001_initial",
            f'{places["lost"]}CREATE SCHEMA "nowhere" AUTHORIZATION "{lost}";',
        ),
        (
            f"old: role {old} lacks USAGE on sequence public.django_migrations_id_seq, needed for django_migrations",
            f'{places["old"]}GRANT USAGE ON SEQUENCE public.django_migrations_id_seq TO "{old}";',
        ),
        (
            f"extended: role {roles.entries['extended']['USER']} may not create extension vector "
            "(only a superuser may, unless the server allows others), needed for extended.0001_initial",
            f'{places["extended"]}CREATE EXTENSION "vector";',
        ),
    ]
    assert [finding["stops"] for finding in report["findings"]] == [True, True, True, True, False]
    assert report["limits"] == [
        "mute: all but what its role may do, which the server does not report "
        "(permission denied for function has_table_privilege)"
    ]
    undo = ("run", "--database", "undone", "--app", "core", "--to", "zero")
    refused = dbmigrate(*undo, cwd=project.root).expect(13)
    assert f"DBM305: undone: role {undoing} lacks DELETE on table django_migrations" in refused.stderr
    assert f"DBM305: undone: role {undoing} does not own table public.core_item" in refused.stderr
    # Recording alone makes no table and no extension.
    for alias in ("shop", "extended"):
        dbmigrate("run", "--database", alias, "--app", alias, "--to", "0001", "--fake", cwd=project.root).expect(0)


@pytest.mark.soak
@pytest.mark.postgresql
def test_nothing_is_claimed_where_code_may_work_as_another_role(roles: Roles, tmp_path: Path) -> None:
    """A receiver of pre_migrate, SQL of an earlier migration, or a migrate of the project's own may choose the role."""
    roles.add(
        "default",
        "GRANT SELECT, INSERT ON django_migrations TO {role}",
        "GRANT {owner} TO {role}",
        *[f"ALTER TABLE {name} OWNER TO {{owner}}" for name in ("core_item", "core_log")],
        "GRANT CREATE, USAGE ON SCHEMA public TO {owner}",
        "GRANT ALL ON django_migrations TO {owner}",
        attributes="NOINHERIT",
    )
    owner = roles.server.query(
        roles.entries["default"], "SELECT tableowner FROM pg_tables WHERE tablename = 'core_item'"
    )[0][0]
    project = write_project(
        tmp_path / "site", {"core": {**CORE, **PENDING}}, aliases={"default": roles.entries["default"]}
    )
    refused = dbmigrate("check", "--select", "DBM305", cwd=project.root).expect(13)
    assert f"does not own table public.core_item (its owner is {owner})" in refused.stdout
    set_role = project.write(
        "core/migrations/0002_note.py",
        PENDING["migrations/0002_note.py"].replace(
            "operations = [", f'operations = [\n        migrations.RunSQL("SET ROLE {owner}"),'
        ),
    )
    dbmigrate("check", "--select", "DBM305", cwd=project.root).expect(0)
    set_role.write_text(PENDING["migrations/0002_note.py"])
    project.write(
        "core/apps.py",
        f"""
        from django.apps import AppConfig
        from django.db import connections
        from django.db.models.signals import pre_migrate

        class Core(AppConfig):
            name = "core"

            def ready(self):
                pre_migrate.connect(work_as_owner, sender=self)

        def work_as_owner(using, **more):
            with connections[using].cursor() as cursor:
                cursor.execute("SET ROLE {owner}")
        """,
    )

    dbmigrate("all", cwd=project.root).expect(0)

    assert "core_note" in roles.server.tables(roles.entries["default"])


NUMBERS = (
    '("a", models.IntegerField()), ("b", models.IntegerField(db_index=True)), ("c", models.IntegerField(unique=True))'
)
CHANGES = {
    "words": 'migrations.AlterField("words", "a", models.IntegerField(help_text="A"))',
    "added_index": 'migrations.AddIndex("added_index", models.Index(fields=["b", "a"], name="more"))',
    "gone_index": 'migrations.RemoveIndex("gone_index", "index_gone_index")',
    "added_unique": 'migrations.AddConstraint("added_unique", models.UniqueConstraint(fields=["b"], name="one"))',
    "gone_unique": 'migrations.RemoveConstraint("gone_unique", "unique_gone_unique")',
    "together": 'migrations.AlterUniqueTogether("together", {("a", "b")})',
    "unique_field": 'migrations.AlterField("unique_field", "a", models.IntegerField(unique=True))',
    "indexed_field": 'migrations.AlterField("indexed_field", "a", models.IntegerField(db_index=True))',
    "plain_field": 'migrations.AlterField("plain_field", "b", models.IntegerField())',
    "renamed": 'migrations.RenameField("renamed", "b", "d")',
    "column": 'migrations.AlterField("column", "b", models.IntegerField(db_index=True, db_column="d"))',
    "gone_field": 'migrations.RemoveField("gone_field", "b")',
    "added_field": 'migrations.AddField("added_field", "d", models.IntegerField(null=True, unique=True))',
    "added_key": 'migrations.AddField("added_key", "d", models.ForeignKey("words.words", models.CASCADE, null=True))',
}
"""By label of an app, and name of its model: a change of its table."""

NEEDING = {
    "postgresql": (
        "added_index",
        "added_unique",
        "together",
        "unique_field",
        "indexed_field",
        "added_field",
        "added_key",
    ),
    "mariadb": ("added_index", "gone_index", "indexed_field", "plain_field"),
}
"""Those that a role fails to make that owns the tables and may not create, or a user without INDEX."""


def change(label: str, operation: str | None = None) -> dict[str, str]:
    """Return the files of an app that makes a table with indexes, and then changes it."""
    indexes = f'"indexes": [models.Index(fields=["a"], name="index_{label}")]'
    constraints = f'"constraints": [models.UniqueConstraint(fields=["a"], name="unique_{label}")]'
    made = f"migrations.CreateModel({label!r}, [{ID}, {NUMBERS}], options={{{indexes}, {constraints}}})"
    files = {"models.py": "", "migrations/0001_initial.py": migration(made)}
    if operation is not None:
        files["migrations/0002_change.py"] = migration(operation, after=((label, "0001_initial"),))
    return files


@pytest.fixture
def changing(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Project]:
    """Return an engine and a project with every change pending, whose role lacks one right."""
    engine: str = request.param
    server = request.getfixturevalue(engine)
    entry, role, settings = server.create_database(), new_role(), DRIVER if engine == "mariadb" else ""
    first = write_project(
        tmp_path / "first", {label: change(label) for label in CHANGES}, aliases={"default": entry}, settings=settings
    )
    dbmigrate("all", "--skip-makemigrations", cwd=first.root).expect(0)
    if engine == "postgresql":
        made = [f"CREATE ROLE {role} LOGIN", f"GRANT SELECT, INSERT ON django_migrations TO {role}"]
        made += [f"ALTER TABLE {label}_{label} OWNER TO {role}" for label in CHANGES]
    else:
        made = [f"CREATE USER {role} IDENTIFIED BY 'word'"]
        made += [f"GRANT SELECT, INSERT, UPDATE, CREATE, ALTER, DROP ON `{entry['NAME']}`.* TO {role}"]
        request.addfinalizer(lambda: server.query(entry, f"DROP USER {role}"))
    for statement in made:
        server.query(entry, statement)
    apps = {label: change(label, text) for label, text in CHANGES.items()}
    aliases = {"default": {**entry, "USER": role, "PASSWORD": "word"}}
    return engine, write_project(tmp_path / "site", apps, aliases=aliases, settings=settings)


@pytest.mark.soak
@pytest.mark.parametrize(
    "changing",
    [
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mariadb", marks=pytest.mark.mariadb),
    ],
    indirect=True,
)
def test_what_indexes_and_columns_need_is_known(changing: tuple[str, Project]) -> None:
    engine, project = changing

    checked = dbmigrate("check", "--select", "DBM305", "--format", "json", cwd=project.root).expect(13).json["result"]

    assert [sorted(finding["migrations"]) for finding in checked["findings"]] == [
        sorted(f"{label}.0002_change" for label in NEEDING[engine])
    ]


@pytest.mark.soak
@pytest.mark.parametrize(
    "changing",
    [
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mariadb", marks=pytest.mark.mariadb),
    ],
    indirect=True,
)
def test_what_is_said_to_need_a_right_fails_without_it_and_nothing_else(changing: tuple[str, Project]) -> None:
    engine, project = changing

    ends = {
        label: subprocess.run(
            [sys.executable, "manage.py", "migrate", label], cwd=project.root, capture_output=True, timeout=60
        ).returncode
        for label in CHANGES
    }

    assert {label for label, code in ends.items() if code} == set(NEEDING[engine])


@pytest.mark.postgresql
def test_a_superuser_without_a_schema_to_create_tables_in_is_found_before_anything_moves(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    entry = {**postgresql.create_database(), "OPTIONS": {"options": "-c search_path=shop"}}
    aliases = {"default": {}, "shop_db": entry}
    project = write_project(
        tmp_path, {"core": simple_app(), "shop": simple_app()}, aliases=aliases, rules={"shop": "shop_db"}
    )

    refused = dbmigrate("all", cwd=tmp_path).expect(13)
    moved = project.database("default").exists()
    found = re.search(r'CREATE SCHEMA "shop" AUTHORIZATION "\w+";', refused.stderr)
    assert found is not None, refused
    postgresql.query(entry, found.group())
    dbmigrate("all", cwd=tmp_path).expect(0)

    assert "has no schema to create tables in (search path shop), needed for django_migrations" in refused.stderr
    assert not moved
    assert postgresql.query(entry, "SELECT count(*) FROM shop.shop_item") == [(0,)]
