"""The root command: its subcommands, and the one place where errors become words and exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from dbmigrate import __version__
from dbmigrate.cli.completion import VARIABLE
from dbmigrate.cli.global_options import given_words, read_global_options
from dbmigrate.cli.help import read_help
from dbmigrate.cli.meaning import command_of_django, meant
from dbmigrate.cli.options import global_options
from dbmigrate.cli.session import WORK, Session, keep_session, new_session, session_of
from dbmigrate.cli.signals import Terminated, end_on_signals, leave_on_signals
from dbmigrate.cli.sink import (
    END_SECONDS,
    STOPPED_IN_ALL_SECONDS,
    STOPPED_SECONDS,
    finish_streams,
    impatient,
    take_streams,
)
from dbmigrate.confidential import find_secrets
from dbmigrate.errors import DbmigrateError, ExitCode, Interrupted, LostAnswer, UsageError
from dbmigrate.nearest import nearest
from dbmigrate.redact import Redactor
from dbmigrate.system import is_of_stream, lost_answer, refused, shortened

COMMANDS = (
    "menu",
    "all",
    "run",
    "plan",
    "apply",
    "status",
    "info",
    "check",
    "verify",
    "wait",
    "make",
    "squash",
    "reset",
    "completion",
)
"""In the order of the help; each is a module of this package with a `command`."""


class Root(click.Group):
    """Loads a subcommand when it is called, and is the only error boundary."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a line.

        Raises:
            UsageError: there is none of this name.
        """
        name = args[0]
        if name not in COMMANDS and not ctx.resilient_parsing:  # which is a shell that completes: it wants no error
            hint = command_of_django(name, args[1:], given_words(ctx)) or nearest(name, COMMANDS, what="commands")
            raise UsageError(f"there is no command {shortened(name)}", hint=hint)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"dbmigrate.cli.{cmd_name}").command
        return command

    def get_help(self, ctx: click.Context) -> str:
        """Return the text that `--help` shows without loading Click."""
        return read_help().rstrip("\n")

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run the command line and leave with its exit code; nothing else in dbmigrate exits the process."""
        arguments = list(sys.argv[1:] if args is None else args)
        if VARIABLE in os.environ:
            self._main_shell_completion({}, "dbmigrate", VARIABLE)
        end_on_signals()
        take_streams()
        session = new_session(arguments, Redactor(), command=_command_in(arguments))
        code = self._run(session, prog_name or "dbmigrate", extra)
        command = _command_in(arguments)
        leave_on_signals(code or 0, is_work=command in WORK)
        finish_streams(*_patience(command, code))
        leave(code)

    def _run(self, session: Session, prog_name: str, extra: dict[str, Any]) -> int | None:
        """Run the command line in its session; whatever ends it, the session's output is closed."""
        try:
            extra["standalone_mode"] = False
            session.redactor.learn(find_secrets(os.environ.items()))
            with self.make_context(prog_name, list(session.arguments)) as context:
                keep_session(context, session)
                session.options = read_global_options(context)
                code: int | None = self.invoke(context)
        except click.exceptions.Exit as error:
            return error.exit_code
        except (DbmigrateError, click.ClickException) as error:
            return _refuse(_as_own(error, session.arguments), session)
        except (KeyboardInterrupt, click.Abort):
            return _refuse(Interrupted("interrupted; nothing was migrated"), session)
        except Terminated as error:
            terminated = Interrupted(f"ended by {error}; nothing was migrated", code=ExitCode.TERMINATED)
            return _refuse(terminated, session)
        except OSError as error:
            known = _as_refusal(error)
            return ExitCode.OK if known is None else _refuse(known, session)
        except Exception as error:
            return _refuse(_as_bug(error, session.redactor), session)
        return code


def _patience(command: str | None, code: int | None) -> tuple[float | None, float | None]:
    """Return for how long a reader of our output may take nothing, and for how long it may continue; None is for ever.

    Of an answer that is for the reader; a signal ends the wait. What does some work has done it.
    """
    if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        return STOPPED_SECONDS, STOPPED_IN_ALL_SECONDS
    return END_SECONDS if command in WORK else None, None


def _command_in(arguments: Sequence[str]) -> str | None:
    return next((word for word in arguments if word in COMMANDS), None)


def _as_own(error: DbmigrateError | click.ClickException, arguments: Sequence[str]) -> DbmigrateError:
    if isinstance(error, DbmigrateError):
        return error
    message = shortened(" ".join(error.format_message().split()))
    context = getattr(error, "ctx", None)
    line = meant(error, arguments) if isinstance(error, click.UsageError) else None
    # Click gives no context with an option that lacks its value.
    path = context.command_path if context is not None else f"dbmigrate {_command_in(arguments) or ''}".rstrip()
    return UsageError(message[:1].lower() + message[1:].rstrip("."), hint=line or f"{path} --help")


def _as_refusal(error: OSError) -> DbmigrateError | None:
    """Return the error for what the system refused; None where the reader of a help has read enough."""
    return lost_answer(error) if is_of_stream(error) else refused(error)


def _as_bug(error: Exception, redactor: Redactor) -> DbmigrateError:
    import traceback

    story = redactor.scrub("".join(traceback.format_exception(error)))
    log = _write_log(f"dbmigrate {__version__}, Python {sys.version}\n\n{story}")
    proof = f"the log {log}" if log is not None else "what -v prints (no log could be written)"
    return DbmigrateError(
        f"this is a bug in dbmigrate: {type(error).__name__}: {error}",
        hint=f"report it with {proof}; check the databases with: dbmigrate status",
        detail=story,
    )


def _write_log(text: str) -> str | None:
    """Return the name of a new file with this text; None where no temporary file can be made."""
    import tempfile

    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="dbmigrate-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as log:
            log.write(text)
    except OSError:
        return None
    return log.name


def _refuse(error: DbmigrateError, session: Session) -> ExitCode:
    leave_on_signals(error.code)  # the second ends at once what the first has begun
    with impatient():
        if isinstance(error, LostAnswer) or not _show(error, session):
            scrub = session.redactor.scrub
            say(scrub(error.message), scrub(error.hint) if error.hint is not None else None, error.code)
    return error.code


def _show(error: DbmigrateError, session: Session) -> bool:
    """Show an error in the command's own output, and end that; return whether it could be shown."""
    try:
        is_shown = session.output.refuse(error)
        session.output.close(error.code)
        is_shown = is_shown and not session.output.is_lost
    except Exception:  # what is wrong may be that nothing can be loaded any more (no file to open, no memory)
        return False
    return is_shown


def say(message: str, hint: str | None, code: ExitCode) -> None:
    """Write an error with nothing but what is there already."""
    lines = [f"error: {message}", *([f"hint: {hint}"] if hint is not None else []), code.sentence]
    try:
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # nobody reads it, and the exit code says it too


def leave(code: int | None) -> NoReturn:
    """End the process with this code, whether or not its streams can still be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # The reader has gone (`| head`): Python would complain once more at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(int(code or 0))


@click.command(cls=Root, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@global_options
@click.pass_context
def cli(context: click.Context) -> ExitCode | None:
    """Migrate every database of a Django project."""
    if context.invoked_subcommand is not None:
        return None
    if session_of(context).opens_menu:
        from dbmigrate.cli.menu import show_menu

        return show_menu(context)
    if session_of(context).is_for_machines or session_of(context).output_file is not None:
        raise UsageError("no command is given", hint="dbmigrate all, or another one of: dbmigrate --help")
    click.echo(context.get_help(), err=True)
    return ExitCode.USAGE
