"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from dbmigrate import __version__
from dbmigrate.cli.completion_cache import (
    complete_app,
    complete_database,
    complete_file,
    complete_folder,
    complete_migration,
)
from dbmigrate.cli.global_options import remember_option
from dbmigrate.config import FORMATS, LAUNCHERS, MOST_NUMBER, MOST_SECONDS, PHASES

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

COLORS = ("auto", "always", "never")


def _number(read: type[int] | type[float], meaning: str, is_in: Callable[[float], bool]) -> Callable[[str], float]:
    """Return what reads a number; a word that is not what `meaning` says is refused with that."""

    def convert(word: str) -> float:
        try:
            number = read(word)
        except ValueError:
            raise click.BadParameter(f"{word!r} is not {meaning}") from None
        if not is_in(number):
            raise click.BadParameter(f"{word} is not {meaning}")
        return number

    return convert


_NUMBER = _number(int, f"a whole number between 1 and {MOST_NUMBER}", lambda number: 1 <= number <= MOST_NUMBER)
_SECONDS = _number(
    float, f"a number of seconds between 0 and {MOST_SECONDS}", lambda number: 0 <= number <= MOST_SECONDS
)
_POSITIVE_SECONDS = _number(
    float, f"a number of seconds above 0 and up to {MOST_SECONDS}", lambda number: 0 < number <= MOST_SECONDS
)


def _global(*names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    return click.option(*names, expose_value=False, is_eager=True, callback=remember_option, **attributes)


def _output_file(*, hidden: bool) -> Callable[[Decorated], Decorated]:
    return _global(
        "-o",
        "--output-file",
        metavar="FILE",
        shell_complete=complete_file,
        hidden=hidden,
        help="Also write the document of --format json to FILE: whole or not at all, however the command ends.",
    )


def _no_input(*, hidden: bool) -> Callable[[Decorated], Decorated]:
    return _global("--no-input", is_flag=True, hidden=hidden, help="Never ask questions, even on a terminal.")


_OUTPUT_FILE = _output_file(hidden=False)
_NO_INPUT = _no_input(hidden=False)
_IN_MENU = {_OUTPUT_FILE: _output_file(hidden=True), _NO_INPUT: _no_input(hidden=True)}

_GLOBAL_OPTIONS = (
    _global(
        "--settings",
        metavar="DOTTED",
        help="Settings module, for example myproj.settings (default: DBMIGRATE_SETTINGS, else DJANGO_SETTINGS_MODULE, "
        "else settings in pyproject.toml, else what manage.py sets).",
    ),
    _global(
        "--project",
        metavar="DIR",
        shell_complete=complete_folder,
        help="Project folder (default: the nearest one with a manage.py).",
    ),
    _global("--manage", metavar="COMMAND", help='Command to run instead of manage.py, for example "kiosk manage".'),
    _global(
        "--python",
        metavar="PATH",
        shell_complete=complete_file,
        help="The project's Python interpreter or its environment (default: VIRTUAL_ENV, else .venv, else the one "
        "dbmigrate runs in if it has Django, else python3).",
    ),
    _global(
        "--format",
        type=click.Choice(FORMATS),
        help="Output format (default: rich on a terminal, github in GitHub Actions, otherwise plain).",
    ),
    _OUTPUT_FILE,
    _global("--color", type=click.Choice(COLORS), help="Use of color in the output."),
    _global("-v", "--verbose", count=True, help="Show subprocess output, executed commands and tracebacks."),
    _global("-q", "--quiet", count=True, help="Show only warnings and errors."),
    _global(
        "--wait",
        type=_SECONDS,
        metavar="SECONDS",
        help="Wait up to SECONDS for unreachable databases (default: 0; the command wait: 60).",
    ),
    _global(
        "--launcher",
        type=click.Choice(LAUNCHERS),
        help="How to start migrate processes: fork copies the loaded project, spawn loads it again, auto forks where "
        "that is safe (default: auto).",
    ),
    _NO_INPUT,
    click.version_option(__version__, message="dbmigrate %(version)s", help="Show the version and exit."),
)


def global_options(command: Decorated) -> Decorated:
    """Add the options that are valid before and after every command."""
    for option in reversed(_GLOBAL_OPTIONS):
        command = option(command)
    return command


def menu_options(command: Decorated) -> Decorated:
    """Add these options to the menu; its help leaves out those that it refuses."""
    for option in reversed(_GLOBAL_OPTIONS):
        command = _IN_MENU.get(option, option)(command)
    return command


def database_option(help_text: str = "Only this database; repeatable.") -> Callable[[Decorated], Decorated]:
    """Return the option that names databases; its parameter is `databases`."""
    return click.option(
        "--database", "databases", multiple=True, metavar="ALIAS", help=help_text, shell_complete=complete_database
    )


def app_option(help_text: str = "Only this app; repeatable.") -> Callable[[Decorated], Decorated]:
    """Return the option that names apps; its parameter is `apps`."""
    return click.option("--app", "apps", multiple=True, metavar="LABEL", help=help_text, shell_complete=complete_app)


def selection_options(command: Decorated) -> Decorated:
    """Add what names databases, apps and a migration."""
    for option in reversed(
        (
            database_option(),
            app_option(),
            click.option(
                "--to",
                metavar="MIGRATION",
                shell_complete=complete_migration,
                help="Migrate the app to exactly this migration: apply what is pending up to it, or undo what is "
                'applied after it; "zero" undoes all.',
            ),
            click.option(
                "--fake", is_flag=True, help="Change only the records of the app's migrations, and run nothing."
            ),
        )
    ):
        command = option(command)
    return command


jobs_option = click.option(
    "--jobs",
    type=_NUMBER,
    metavar="N",
    help="Migrate up to N databases in parallel (default: the number of CPUs; if a database is on a "
    "server, four times that, but at most 16).",
)


def migrate_options(command: Decorated) -> Decorated:
    """Add what `all`, `run` and `plan` have in common."""
    for option in reversed(
        (
            click.option(
                "--phase",
                type=click.Choice(PHASES),
                help="Only what runs before a deploy (pre), while the old code still serves, or after it (post).",
            ),
            click.option(
                "--skip-makemigrations",
                is_flag=True,
                default=None,
                help="Do not create migrations, even if models changed.",
            ),
            click.option(
                "--allow-data-loss",
                is_flag=True,
                help="Apply migrations that this run creates even if they drop columns or tables.",
            ),
            click.option(
                "--fake-initial",
                is_flag=True,
                help="Only record an initial migration whose tables exist already, as `migrate --fake-initial`.",
            ),
            click.option(
                "--run-syncdb",
                is_flag=True,
                help="Also create the tables of apps without migrations, as `migrate --run-syncdb`.",
            ),
            click.option("--always", is_flag=True, help="Run migrate even where nothing is pending."),
            jobs_option,
        )
    ):
        command = option(command)
    return command


lock_wait_option = click.option(
    "--lock-wait",
    type=_SECONDS,
    metavar="SECONDS",
    help="Wait up to SECONDS for another run on the same database (default: 60).",
)


def lock_options(command: Decorated) -> Decorated:
    """Add how other runs on the same databases are kept away."""
    for option in reversed(
        (
            lock_wait_option,
            click.option("--no-lock", is_flag=True, help="Do not take the lock; concurrent runs are not prevented."),
        )
    ):
        command = option(command)
    return command


keep_going_option = click.option(
    "--keep-going",
    is_flag=True,
    default=None,
    help="After a failure, continue with databases that do not depend on the failed one.",
)


def stopping_options(command: Decorated) -> Decorated:
    """Add how long a migration may run, and what for."""
    for option in reversed(
        (
            click.option(
                "--grace",
                type=_SECONDS,
                metavar="SECONDS",
                help="After SIGTERM or SIGHUP, give running migrations SECONDS to finish, then interrupt them "
                "(default: no limit).",
            ),
            click.option(
                "--step-timeout",
                type=_POSITIVE_SECONDS,
                metavar="SECONDS",
                help="Interrupt a migrate process that runs longer than SECONDS (default: no limit).",
            ),
            click.option(
                "--ddl-lock-timeout",
                type=_POSITIVE_SECONDS,
                metavar="SECONDS",
                help="PostgreSQL: cancel a migration that waits longer than SECONDS for a table lock, and retry it "
                "(default: the server's setting).",
            ),
            click.option(
                "--ddl-retries",
                type=_NUMBER,
                metavar="N",
                help="With --ddl-lock-timeout: retry up to N times, with increasing delays (default: 5).",
            ),
        )
    ):
        command = option(command)
    return command


def run_options(command: Decorated) -> Decorated:
    """Add what `all` and `run` have and `plan` has not: how to go about it."""
    for option in reversed(
        (
            keep_going_option,
            lock_options,
            stopping_options,
            click.option("--dry-run", is_flag=True, help="Show the plan and do nothing, like `dbmigrate plan`."),
        )
    ):
        command = option(command)
    return command


junit_option = click.option(
    "--junit",
    metavar="FILE",
    shell_complete=complete_file,
    help="Also write a JUnit report to FILE.",
)


def exit_code_option(help_text: str) -> Callable[[Decorated], Decorated]:
    """Return the option that makes a command that shows something end with it; the text says with which codes."""
    return click.option("--exit-code", is_flag=True, help=help_text)
