"""The options of plans that were approved: how one is run, and the digest it has to have."""

from __future__ import annotations

import re

import click

from dbmigrate.cli.global_options import is_given
from dbmigrate.cli.options import Decorated, jobs_option, keep_going_option, lock_wait_option, stopping_options
from dbmigrate.errors import UsageError
from dbmigrate.system import shortened


def how_options(command: Decorated) -> Decorated:
    """Add what says how to go about a plan that says what is to be done."""
    for option in reversed((jobs_option, keep_going_option, lock_wait_option, stopping_options)):
        command = option(command)
    return command


def _refuse_option(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Do nothing if an option was not given (an option's callback).

    Raises:
        UsageError: it was.
    """
    if is_given(context, parameter.name or ""):
        raise UsageError(
            f"{parameter.opts[0]} cannot be combined with a saved plan, which says what is done (nothing was changed)",
            hint="remove it, or save a plan that was made with it; see: dbmigrate plan --help",
        )


def refused_options(command: Decorated) -> Decorated:
    """Add the options that say what is done, in order to refuse them by name."""
    valued = ("--database", "--app", "--to", "--phase", "--expect")
    flags = (
        "--fake",
        "--fake-initial",
        "--run-syncdb",
        "--always",
        "--skip-makemigrations",
        "--allow-data-loss",
        "--no-lock",
        "--dry-run",
        "--auto",
    )
    for name in (*valued, *flags):
        refused = click.option(
            name,
            is_flag=name in flags,
            multiple=name in valued,
            hidden=True,
            expose_value=False,
            callback=_refuse_option,
        )
        command = refused(command)
    return command


expect_option = click.option(
    "--expect",
    metavar="DIGEST",
    callback=lambda context, parameter, value: None if value is None else read_digest(value),
    help="Run only the plan with this digest, as `dbmigrate plan` shows it; otherwise change nothing and exit 32.",
)


def read_digest(text: str) -> str:
    """Return a digest in lower case.

    Raises:
        UsageError: it is not one, or too short to be one.
    """
    digest = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{12,64}", digest):
        raise UsageError(
            f"--expect {shortened(text)} is not a digest: it has 12 to 64 characters, 0 to 9 and a to f (nothing was "
            "changed)",
            hint="copy it from the last line of: dbmigrate plan",
        )
    return digest
