"""Let squawk read the SQL of pending migrations, and turn what it says into findings."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from dbmigrate.errors import UsageError
from dbmigrate.models.base import Value
from dbmigrate.models.findings import Finding, Level, Subject
from dbmigrate.models.migrations import MigrationId, label_of
from dbmigrate.models.settings import LINTER
from dbmigrate.models.sql import MigrationSql

DOCUMENTS = "https://squawkhq.com/docs"

SECONDS = 120
"""It needs some milliseconds."""

LONGEST_STATEMENT = 100
"""Characters of a statement that a message repeats."""

LEVELS: dict[str, Level] = {"Error": "error", "Warning": "warning"}

# As squawk counts them.
_LINE_ENDS = re.compile(r"\r\n|\r|\n")

_UNKNOWN_RULE = re.compile(r"invalid rule name (\S+)")


class Violation(Value):
    """What `squawk --reporter json` says of one place."""

    # It may say more one day.
    model_config = ConfigDict(frozen=True, extra="ignore")

    line: int
    """From 0."""
    level: str
    message: str
    help: str | None
    rule_name: str


@dataclass(frozen=True)
class Squawk:
    """The linter, with what every call of it has in common."""

    executable: str
    folder: Path
    """Where its own configuration (.squawk.toml) is looked for, and above."""
    environment: Mapping[str, str]
    exclude: Sequence[str] = ()
    """Names of its rules to leave out."""
    include: Sequence[str] = ()
    """Names of its rules that were asked for, those included that it would not apply on its own."""

    def read(self, text: str, *, version: str | None) -> tuple[Violation, ...]:
        """Return what it says of an SQL text; `version`: of the PostgreSQL server, for example "16.2".

        Raises:
            UsageError: it does not work, or does not know a rule.
        """
        # The text says itself what is in a transaction, whatever the configuration does.
        command = [self.executable, "--reporter", "json", "--no-assume-in-transaction"]
        command += [f"--pg-version={version}"] if version is not None else []
        command += [f"--exclude={name}" for name in self.exclude]
        command += [f"--include={name}" for name in self.include]
        try:
            ended = subprocess.run(
                command,
                input=text.encode(),
                cwd=self.folder,
                env=dict(self.environment),
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise self._broken(f"it did not finish within {SECONDS} s") from error
        except OSError as error:
            raise self._broken(str(error.strerror or error)) from error
        said = ended.stderr.decode(errors="replace").strip()
        unknown = _UNKNOWN_RULE.search(said)
        if unknown is not None:
            raise UsageError(f"squawk has no rule {unknown[1]}", hint=f"its rules: {DOCUMENTS}/rules")
        # 1 is "something was found", and also "the configuration cannot be read": then there is no report.
        if ended.returncode not in (0, 1):
            first = next(iter(said.splitlines()), "it printed nothing")
            raise self._broken(f"it exited with {ended.returncode}: {first}")
        try:
            return TypeAdapter(tuple[Violation, ...]).validate_json(ended.stdout)
        except ValidationError as error:
            raise self._broken(said or f"its output is not a report: {_first(ended.stdout)}") from error

    def _broken(self, why: str) -> UsageError:
        return UsageError(
            f"squawk could not read the pending SQL ({self.executable}): {why}",
            hint="run it directly to see: squawk --version; to upgrade it: pip install --upgrade 'dbmigrate[lint]'",
        )


def _first(printed: bytes) -> str:
    return repr(printed.decode(errors="replace")[:LONGEST_STATEMENT])


@dataclass(frozen=True)
class Script:
    """Statements of one or several migrations as one text, which knows where each of its lines comes from."""

    lines: Sequence[str]
    sources: Sequence[tuple[MigrationId, Subject]]
    """Of each line."""

    @property
    def text(self) -> str:
        """What the linter reads."""
        return "".join(f"{line}\n" for line in self.lines)


def write_script(
    migrations: Sequence[MigrationSql], *, in_transaction: bool, lock_timeout: float | None = None
) -> Script:
    """Put the statements of migrations one behind the other.

    In one text, and one transaction, because what an earlier one of them makes is empty and used by nobody when a later
    one changes it. `lock_timeout`: seconds that a run would set for them.
    """
    first = (migrations[0].id, ("migration", migrations[0].id))
    lines: list[str] = []
    sources: list[tuple[MigrationId, Subject]] = []
    if lock_timeout is not None:
        lines.append(f"SET lock_timeout = {max(1, round(lock_timeout * 1000))};")
        sources.append(first)
    if in_transaction:
        lines.append("BEGIN;")
        sources.append(first)
    for migration in migrations:
        for statement, subject in _with_subjects(migration):
            for line in _LINE_ENDS.split(statement):
                lines.append(line)
                sources.append((migration.id, subject))
    if in_transaction:
        lines.append("COMMIT;")
        sources.append((migrations[-1].id, ("migration", migrations[-1].id)))
    return Script(lines, sources)


def _with_subjects(migration: MigrationSql) -> Iterable[tuple[str, Subject]]:
    """Give each statement with the operation it belongs to.

    Django puts "--", "-- what it does", "--" before the statements of each operation (Migration.apply), and what it
    defers to the end behind all of them.
    """
    statements = migration.statements
    own = len(statements) - migration.deferred
    operation = -1
    index = 0
    while index < len(statements):
        is_heading = index + 2 < own and statements[index] == statements[index + 2] == "--"
        operation += is_heading
        of_operation = operation >= 0 and index < own
        subject = ("operation", migration.id, str(operation)) if of_operation else ("migration", migration.id)
        for statement in statements[index : index + (3 if is_heading else 1)]:
            yield statement, subject
        index += 3 if is_heading else 1


def findings_of(violations: Iterable[Violation], script: Script, alias: str) -> Iterable[Finding]:
    """Give what the linter said of a script as findings about the migrations of one database."""
    for violation in violations:
        place = min(violation.line, len(script.lines) - 1)
        migration, subject = script.sources[place]
        statement = script.lines[place].strip()
        if len(statement) > LONGEST_STATEMENT:
            statement = statement[:LONGEST_STATEMENT] + "…"
        yield Finding(
            id=f"{LINTER}:{violation.rule_name}",
            level=LEVELS.get(violation.level, "warning"),
            stops=False,
            message=f"{migration} on {alias}: {violation.message.strip().rstrip('.')}: {statement}",
            hint=violation.help or f"{DOCUMENTS}/{violation.rule_name}",
            aliases=(alias,),
            apps=(label_of(migration),),
            migrations=(migration,),
            subject=subject,
        )
