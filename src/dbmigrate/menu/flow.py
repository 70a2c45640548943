"""Which question follows: every path through the menu ends in the words of a command line, which are then run."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Protocol

from dbmigrate.errors import ExitCode
from dbmigrate.menu.prompter import MenuItem, Prompter
from dbmigrate.models.database import UNKNOWN_STATES, describe_trouble
from dbmigrate.models.reports import DatabaseStatus, StatusReport

QUESTION = "What would you like to do?"

ALL, DATABASE, APP, STATUS, INFO, CHECK, APPLY, EXIT = (
    "all",
    "database",
    "app",
    "status",
    "info",
    "check",
    "apply",
    "exit",
)

ENTRIES = (
    MenuItem(ALL, "Migrate all databases (recommended)"),
    MenuItem(DATABASE, "Migrate specific database"),
    MenuItem(APP, "Migrate specific app"),
    MenuItem(STATUS, "Show database status"),
    MenuItem(INFO, "View configuration info"),
    MenuItem(CHECK, "Check for problems"),
    MenuItem(APPLY, "Apply a saved plan"),
    MenuItem(EXIT, "Exit"),
)

PLAN_FILE = "plan.json"
"""Where a plan is saved if nothing else is typed."""

EVERYTHING = "*"
"""The choice of all of an app's migrations; no migration has this name."""


class Outside(Protocol):
    """What the menu needs from the command line around it."""

    def read_status(self) -> StatusReport | None:
        """Return how every database stands, or None if that could not be found out (the reason was shown)."""

    def run(self, words: Sequence[str]) -> ExitCode:
        """Run `dbmigrate WORDS` with the global options of this session; an error is shown and is its code."""

    def plan(self, words: Sequence[str]) -> bool:
        """Show what `all` or `run` with these words would do; return whether that is anything, and not refused."""

    def show_saved(self, file: str) -> bool:
        """Show what the saved plan in a file would do; return whether that is one, otherwise why not was shown."""

    def say(self, text: str, *, is_heading: bool = False) -> None:
        """Show a line."""

    def symbol(self, name: str) -> str:
        """Return an emoji with a space behind it, or nothing where the terminal has none."""


class Menu:
    """The questions of one session."""

    def __init__(self, prompter: Prompter, outside: Outside, command_line: Callable[[Sequence[str]], str]) -> None:
        """Ask through the prompter; `command_line` makes what a person would type from a command's words."""
        self._prompter = prompter
        self._outside = outside
        self._command_line = command_line

    def show(self) -> None:
        """Ask, do, and ask again until somebody leaves."""
        self._outside.say(f"{self._outside.symbol('database')}Django Database Migrator", is_heading=True)
        report = self._header()
        while True:
            entry = self._prompter.choose(QUESTION, ENTRIES)
            if entry is None or entry == EXIT:
                return
            if entry in (STATUS, INFO, CHECK):
                self._act([entry])
            elif entry == APPLY:
                if self._apply():
                    report = self._header()
            elif self._migrate(entry, report):
                report = self._header()

    def _header(self) -> StatusReport | None:
        report = self._outside.read_status()
        if report is None:
            return None
        self._outside.say(f"{self._outside.symbol('configuration')}Current Configuration:", is_heading=True)
        self._outside.say("  Databases:")
        width = max(len(database.alias) for database in report.databases)
        for database in report.databases:
            self._outside.say(f"    {database.alias:{width}}  {describe(database)}")
        self._outside.say(f"  Apps: {', '.join(apps_of(report))}")
        for finding in report.findings:
            if finding.category == "model-changes":  # an app without which Django migrates nothing at all
                self._outside.say(f"  ! {finding.message}: {finding.hint}")
        return report

    def _migrate(self, entry: str, report: StatusReport | None) -> bool:
        """Ask what to migrate, show the plan, ask once more, and do it; return whether something was run."""
        words = self._words(entry, report)
        if words is None:
            return False
        if not self._outside.plan(words[1:]):
            self._outside.say(f"$ {self._command_line(words)}")
            return False
        is_undoing = report is not None and _undoes(report, words)
        question = "Run this plan, which undoes migrations?" if is_undoing else "Run this plan?"
        is_wanted = self._prompter.confirm(question, is_yes=not is_undoing)
        if not is_wanted:
            self._outside.say("nothing was changed; the same from the command line:")
            self._outside.say(f"$ {self._command_line(words)}")
            if is_wanted is not None:
                self._save(words[1:])
            return False
        self._act(words)
        return True

    def _save(self, words: Sequence[str]) -> None:
        """Ask whether a plan that was shown is to be saved, and where."""
        if self._prompter.confirm("Save this plan to apply it later?", is_yes=False):
            file = self._prompter.write("In which file?", PLAN_FILE)
            if file:
                self._act(["plan", *words, "-o", file])

    def _apply(self) -> bool:
        """Ask for the file of a saved plan, show what it would do, and apply it; return whether that was tried."""
        file = self._prompter.write("Which file?", PLAN_FILE)
        if not file or not self._outside.show_saved(file):
            return False
        if not self._prompter.confirm("Apply this plan, if nothing has changed?", is_yes=False):
            return False
        self._act(["apply", file])
        return True

    def _act(self, words: Sequence[str]) -> None:
        self._outside.run(words)
        self._outside.say(f"$ {self._command_line(words)}")

    def _words(self, entry: str, report: StatusReport | None) -> list[str] | None:
        if entry == ALL:
            return ["all"]
        report = report or self._outside.read_status()
        if report is None:
            return None
        if entry == DATABASE:
            alias = self._prompter.find(
                "Which database?",
                [
                    MenuItem(database.alias, f"{database.alias}  {describe(database)}")
                    for database in report.databases
                    if database.kind in ("default", "routed", "open")
                ],
            )
            return ["run", "--database", alias] if alias is not None else None
        return self._app_words(report)

    def _app_words(self, report: StatusReport) -> list[str] | None:
        label = self._prompter.find(
            "Which app?",
            [
                MenuItem(label, f"{label}  on {', '.join(aliases)}, {_app_state(report, label)}")
                for label, aliases in apps_of(report).items()
            ],
        )
        if label is None:
            return None
        migration = self._prompter.find("Up to which migration?", _migration_choices(report, label))
        if migration is None:
            return None
        return ["run", "--app", label] if migration == EVERYTHING else ["run", "--app", label, "--to", migration]


def _undoes(report: StatusReport, words: Sequence[str]) -> bool:
    """Return whether `run --app APP --to MIGRATION` takes back what is applied."""
    if "--to" not in words:
        return False
    label, migration = words[words.index("--app") + 1], words[words.index("--to") + 1]
    rows = [row for row in report.migrations or () if row.app == label]
    kept = next((number for number, row in enumerate(rows, 1) if row.name == migration), 0)
    return any(row.applied_on for row in rows[kept:])


def describe(database: DatabaseStatus) -> str:
    """Return kind, state and what is pending, as it stands next to an alias."""
    if database.state in UNKNOWN_STATES and not database.is_skipped:
        return f"{database.kind}, {describe_trouble(database.trouble)}: {database.error}"
    if database.kind not in ("default", "routed"):
        lacks = f", {database.pending} pending" if database.pending else ""
        is_told = database.because is not None and database.stands_for is None
        return (f"{database.kind} ({database.because})" if is_told else database.kind_in_short) + lacks
    pending = "nothing pending" if not database.pending else f"{database.pending} pending"
    return f"{database.kind}, {pending}"


def apps_of(report: StatusReport) -> dict[str, list[str]]:
    """Return the aliases of every app that belongs somewhere, in the order of DATABASES."""
    homes: dict[str, list[str]] = {}
    for database in report.databases:
        for label in database.apps:
            homes.setdefault(label, []).append(database.alias)
    return homes


def _app_state(report: StatusReport, label: str) -> str:
    """Return what is pending of an app; a migration that is pending on two databases counts once."""
    rows = [row for row in report.migrations or () if row.app == label]
    aliases = [database.alias for database in report.databases if label in database.apps]
    if any(database.alias in aliases and database.state in UNKNOWN_STATES for database in report.databases):
        return "not all are reachable"
    pending = sum(any(alias not in row.applied_on for alias in aliases) for row in rows)
    return f"{pending} pending" if pending else "nothing pending"


def _migration_choices(report: StatusReport, label: str) -> list[MenuItem]:
    rows = [row for row in report.migrations or () if row.app == label]
    aliases = [database.alias for database in report.databases if label in database.apps]
    choices = [MenuItem(EVERYTHING, "all of them")]
    for row in rows:
        done = [alias for alias in aliases if alias in row.applied_on]
        state = "applied" if len(done) == len(aliases) else f"applied on {', '.join(done)}" if done else "pending"
        choices.append(MenuItem(row.name, f"{row.name}  {state}"))
    return [*choices, MenuItem("zero", "zero  (undo all of them)")]


def command_line(global_words: Sequence[str], words: Sequence[str]) -> str:
    """Return what a person would type."""
    return shlex.join(["dbmigrate", *words, *global_words])
