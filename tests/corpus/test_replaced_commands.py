"""Projects and packages that bring a migrate or makemigrations of their own, whose parser takes other words."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import dbmigrate
from support.projects import Project, applied, model, simple_app, tables, write_project

LAUNCHERS = ["fork", pytest.param("spawn", marks=pytest.mark.soak)]

OWN_MIGRATE = """\
from django.core.management.commands import migrate


class Command(migrate.Command):
    def add_arguments(self, parser):
{arguments}

    def execute(self, *args, **options):
        for name in ("app_label", "migration_name"):
            options.setdefault(name, None)
        for name in ("fake", "fake_initial", "plan", "check_unapplied", "run_syncdb", "prune", "skip_checks"):
            options.setdefault(name, False)
        options.setdefault("interactive", True)
        options.setdefault("database", "default")
        return super().execute(*args, **options)
"""

APP_LABEL = 'parser.add_argument("app_label", nargs="?")'
MIGRATION = 'parser.add_argument("migration_name", nargs="?")'
DATABASE = 'parser.add_argument("--database", default="default")'
NOINPUT = 'parser.add_argument("--noinput", action="store_false", dest="interactive")'
WHOLE_PARSER = "super().add_arguments(parser)"


def bring_command(project: Project, name: str, text: str) -> None:
    """Let the app `tools` of the project provide a command."""
    for package in ("management", "management/commands"):
        project.write(f"tools/{package}/__init__.py", "")
    project.write(f"tools/management/commands/{name}.py", text)


def site_with_migrate(folder: Path, *arguments: str, extra: str = "") -> Project:
    """Write a project with two databases whose own migrate adds these lines to its parser."""
    project = write_project(
        folder / "site",
        {"tools": {}, "core": simple_app(), "blog": simple_app()},
        aliases=("default", "blog_db"),
        rules={"blog": "blog_db"},
    )
    body = "\n".join(f"        {line}" for line in arguments)
    bring_command(project, "migrate", OWN_MIGRATE.format(arguments=body) + extra)
    return project


def commands_of(project: Project, *words: str) -> list[str]:
    """Return the words of each step, as `plan` shows them."""
    planned = dbmigrate("plan", *words, "--format", "json", cwd=project.root).expect(0)
    return [" ".join(step["arguments"]) for step in planned.json["result"]["plan"]["steps"]]


@pytest.mark.soak
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_migrate_that_knows_noinput_alone_is_called_with_it(tmp_path: Path, launcher: str) -> None:
    project = site_with_migrate(tmp_path, APP_LABEL, MIGRATION, DATABASE, NOINPUT)

    assert commands_of(project) == ["migrate --database=default --noinput", "migrate blog --database=blog_db --noinput"]
    assert "manage.py migrate blog --database=blog_db --noinput" in dbmigrate("plan", cwd=project.root).stdout
    dbmigrate("all", "--launcher", launcher, cwd=project.root).expect(0)

    assert "core_item" in tables(project.database("default"))
    assert "blog_item" in tables(project.database("blog_db"))
    dbmigrate("run", "--app", "blog", "--to", "zero", "--no-input", cwd=project.root).expect(0)
    assert "blog_item" not in tables(project.database("blog_db"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((APP_LABEL, MIGRATION, DATABASE), "migrate --database=default"),
        (
            (APP_LABEL, MIGRATION, DATABASE, NOINPUT.replace("--noinput", "--batch")),
            "migrate --database=default --batch",
        ),
        ((APP_LABEL, MIGRATION, 'parser.add_argument("-d", "--db", dest="database")'), "migrate --db=default"),
        (
            (
                WHOLE_PARSER,
                'parser._optionals.conflict_handler = "resolve"',
                'parser.add_argument("--no-input", dest="other")',
            ),
            "migrate --database=default --noinput",
        ),
        (
            (
                WHOLE_PARSER,
                "parser._remove_action(parser._option_string_actions['--no-input'])",
                "for option in ('--no-input', '--noinput'):",
                "    del parser._option_string_actions[option]",
            ),
            "migrate --database=default",
        ),
    ],
    ids=["none", "another", "short", "taken-for-something-else", "removed"],
)
def test_each_word_is_asked_of_the_parser(tmp_path: Path, arguments: tuple[str, ...], expected: str) -> None:
    project = site_with_migrate(tmp_path, *arguments)

    assert commands_of(project)[0] == expected


@pytest.mark.parametrize(
    ("arguments", "words", "said"),
    [
        ((APP_LABEL, MIGRATION, NOINPUT), ("all",), "does not accept --database=blog_db"),
        ((APP_LABEL, MIGRATION, DATABASE.replace(")", ', choices=["default"])')), ("all",), "--database=blog_db"),
        ((DATABASE,), ("all",), "does not accept blog (it accepts no names)"),
        (('parser.add_argument("schema", nargs="?")', DATABASE), ("all",), "does not accept blog"),
        ((APP_LABEL, DATABASE), ("run", "--app", "core", "--to", "0001"), "does not accept 0001 (it accepts one"),
        ((APP_LABEL, MIGRATION, DATABASE), ("all", "--fake-initial"), "does not accept --fake-initial"),
        (
            (WHOLE_PARSER, 'parser.add_argument("-t", "--tenant", required=True)'),
            ("all",),
            "requires -t or --tenant, which",
        ),
        (
            (
                WHOLE_PARSER,
                "group = parser.add_mutually_exclusive_group(required=True)",
                'group.add_argument("--shared", action="store_true")',
                'group.add_argument("--tenant")',
            ),
            ("all",),
            "requires --shared or --tenant",
        ),
        (('parser.add_argument("app_label")', MIGRATION, DATABASE), ("all",), "requires app_label"),
        (("raise KeyError('TENANT')",), ("all",), "cannot report its options: KeyError: 'TENANT'"),
    ],
    ids=[
        "no-database",
        "one-database",
        "no-app",
        "another-name",
        "no-migration",
        "no-fake-initial",
        "an-option-of-its-own",
        "one-of-two",
        "an-app",
        "raises",
    ],
)
def test_a_word_that_is_needed_and_not_taken_is_an_error_before_anything_is_touched(
    tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...], said: str
) -> None:
    project = site_with_migrate(tmp_path, *arguments)
    before = project.content()

    outcome = dbmigrate(*words, cwd=project.root).expect(3)

    assert "the migrate command of tools.management.commands.migrate" in outcome.stderr
    assert said in outcome.stderr
    assert "(nothing was changed)" in outcome.stderr
    assert "hint: " in outcome.stderr
    assert project.content() == before


def test_a_command_that_reads_what_it_knows_and_drops_the_rest_is_not_believed(tmp_path: Path) -> None:
    project = site_with_migrate(
        tmp_path,
        APP_LABEL,
        MIGRATION,
        "parser.parse_args = lambda words: parser.parse_known_args(words)[0]",
    )

    outcome = dbmigrate("all", cwd=project.root).expect(3)

    assert "does not accept --database=blog_db" in outcome.stderr
    assert not applied(project.database("default"))
    dbmigrate("run", "--database", "default", cwd=project.root).expect(0)
    assert "core_item" in tables(project.database("default"))


def test_a_migrate_that_knows_no_database_is_not_called_where_nothing_is_pending(tmp_path: Path) -> None:
    project = site_with_migrate(tmp_path, WHOLE_PARSER)
    dbmigrate("all", cwd=project.root).expect(0)
    bring_command(project, "migrate", OWN_MIGRATE.format(arguments="        pass"))

    outcome = dbmigrate("all", cwd=project.root).expect(0)

    assert "blog_db" not in [line.split("]")[0].strip("[") for line in outcome.stderr.splitlines()]


NAME = "name = models.CharField(max_length=20)"

OWN_MAKEMIGRATIONS = """\
from django.core.management.base import CommandError
from django.core.management.commands import makemigrations


class Command(makemigrations.Command):
    {definition}
"""

DECIDES = """\
def handle(self, *app_labels, **options):
        if not options["name"] and not options["dry_run"]:
            raise CommandError("This project gives every migration a name: -n")
        super().handle(*app_labels, **options)
"""
DEMANDS = """\
def add_arguments(self, parser):
        super().add_arguments(parser)
        parser._option_string_actions["--name"].required = True
"""
SILENT = """\
def handle(self, *app_labels, **options):
        print("not in this project")
"""


def site_with_makemigrations(folder: Path, definition: str) -> Project:
    """Write a migrated project whose model has changed and that has its own makemigrations."""
    project = write_project(folder / "site", {"tools": {}, "shop": simple_app(), "blog": simple_app()})
    dbmigrate("all", cwd=project.root).expect(0)
    for label in ("shop", "blog"):
        project.write(
            f"{label}/models.py", model("Item", NAME, "colour = models.CharField(max_length=9, default='red')")
        )
    bring_command(project, "makemigrations", OWN_MAKEMIGRATIONS.format(definition=definition))
    return project


@pytest.mark.soak
@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (DECIDES, "CommandError: This project gives every migration a name: -n"),
        (DEMANDS, "the makemigrations command of tools.management.commands.makemigrations requires -n or --name"),
    ],
    ids=["it-decides", "its-parser-demands"],
)
def test_a_makemigrations_that_insists_on_a_name(tmp_path: Path, definition: str, said: str, launcher: str) -> None:
    project = site_with_makemigrations(tmp_path, definition)
    before = project.content()

    outcome = dbmigrate("all", "--launcher", launcher, cwd=project.root).expect(11)

    assert said in outcome.stderr
    assert "(nothing was changed)" in outcome.stderr
    assert "dbmigrate make shop --name NAME" in outcome.stderr
    assert "dbmigrate make blog --name NAME" in outcome.stderr
    assert project.content() == before
    unnamed = dbmigrate("make", "shop", cwd=project.root).expect(11)
    assert "dbmigrate make shop --name NAME" in unnamed.stderr
    assert project.content() == before
    dbmigrate("make", "shop", "--name", "colour", cwd=project.root).expect(0)
    dbmigrate("make", "--name", "hue", cwd=project.root).expect(0)
    dbmigrate("all", cwd=project.root).expect(0)
    names = [name for name in applied(project.database("default")) if "0002" in name]
    assert sorted(names) == ["blog.0002_hue", "shop.0002_colour"]


def test_one_name_is_for_one_app(tmp_path: Path) -> None:
    project = site_with_makemigrations(tmp_path, DECIDES)

    for words in (("shop", "blog"), ()):
        outcome = dbmigrate("make", *words, "--name", "colour", cwd=project.root).expect(2)
        assert "--name requires exactly one app" in outcome.stderr


@pytest.mark.soak
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_makemigrations_that_ends_well_and_writes_nothing_is_noticed(tmp_path: Path, launcher: str) -> None:
    project = site_with_makemigrations(tmp_path, SILENT)

    outcome = dbmigrate("all", "--launcher", launcher, cwd=project.root).expect(11)

    assert "makemigrations exited with 0 but wrote no migration for blog (Add field colour to item)" in outcome.stderr
    assert "tools.management.commands.makemigrations" in outcome.stderr
    assert "--skip-makemigrations" in outcome.stderr
    assert "wrote no migration for shop" in dbmigrate("make", "shop", cwd=project.root).expect(11).stderr
    dbmigrate("all", "--skip-makemigrations", cwd=project.root).expect(0)


def test_a_makemigrations_that_crashes_has_failed(tmp_path: Path) -> None:
    project = site_with_makemigrations(tmp_path, "def handle(self, *app_labels, **options):\n        1 / 0")

    outcome = dbmigrate("all", cwd=project.root).expect(30)

    assert "ZeroDivisionError" in outcome.stderr


def test_what_is_refused_after_makemigrations_does_not_say_that_nothing_was_changed(tmp_path: Path) -> None:
    project = site_with_makemigrations(
        tmp_path,
        """\
def handle(self, *app_labels, **options):
        from pathlib import Path
        super().handle(*app_labels, **options)
        folder = Path("shop", "migrations")
        (written,) = folder.glob("0002_*.py")
        (folder / "0002_other.py").write_text(written.read_text())
""",
    )

    outcome = dbmigrate("all", "--format", "json", cwd=project.root).expect(13)

    error = outcome.json["error"]
    assert error["message"].startswith("DBM102: app shop has 2 leaf migrations")
    assert error["message"].endswith("; makemigrations has written migrations, and no database was touched")
    assert error["changed"] is True


@pytest.mark.soak
def test_a_makemigrations_that_writes_into_the_migration_that_is_there(tmp_path: Path) -> None:
    project = site_with_makemigrations(tmp_path, "def handle(self, *app_labels, **options):\n        pass")
    project.write(
        "tools/management/commands/makemigrations.py",
        """\
        from pathlib import Path
        from django.core.management.base import BaseCommand
        from django.core.management.commands import makemigrations

        FIELD = '("colour", models.CharField(default="red", max_length=9)), '

        class Command(makemigrations.Command):
            def add_arguments(self, parser):
                parser.add_argument("--batch", action="store_false", dest="interactive")

            def handle(self, *app_labels, **options):
                for label in ("shop", "blog"):
                    file = Path(label, "migrations", "0001_initial.py")
                    file.write_text(file.read_text().replace('("name"', FIELD + '("name"'))
        """,
    )

    dbmigrate("all", cwd=project.root).expect(0)

    assert "No changes detected" in dbmigrate("plan", cwd=project.root).expect(0).stdout


def test_an_option_that_makemigrations_of_this_django_does_not_know(tmp_path: Path) -> None:
    project = site_with_makemigrations(tmp_path, "def add_arguments(self, parser):\n        pass")

    outcome = dbmigrate("make", "shop", "--name", "colour", cwd=project.root).expect(2)

    assert "does not accept --name=colour" in outcome.stderr
