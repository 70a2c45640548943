"""What must hold before anything is touched. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from dbmigrate.errors import (
    DeclinedError,
    Fact,
    FindingsError,
    ModelChangesError,
    ProjectError,
    UnreachableError,
    UsageError,
)
from dbmigrate.listing import MANY, listed
from dbmigrate.models.apps import Change
from dbmigrate.models.check_ids import MUTUAL_NEEDS
from dbmigrate.models.database import DEFAULT_ALIAS, INCURABLE, UNKNOWN_STATES, Database, Trouble, describe_silence
from dbmigrate.models.findings import Finding
from dbmigrate.models.plan import MakeMigrations, MigrationPlan, Refusal
from dbmigrate.models.selection import Selection
from dbmigrate.models.settings import Settings
from dbmigrate.models.snapshot import Project, Snapshot
from dbmigrate.planning.order import find_contradiction
from dbmigrate.planning.routing import Routing
from dbmigrate.planning.selection import is_wanted
from dbmigrate.planning.unstarted_apps import describe_unstarted, find_stuck

FEW = 5
"""Databases that do not answer of which each has its sentence."""

PASSING: dict[Trouble, str] = {
    "starting": "wait until it has started: --wait SECONDS",
    "not-accepting": "restart it if it was shut down, or let it accept connections; --wait SECONDS waits for it",
    "full": "wait for it with --wait SECONDS, or allow more connections, for that user or in total",
}
"""What to do about troubles of a server that is there."""


def find_silent(snapshot: Snapshot, routing: Routing, selection: Selection, *, or_read_only: bool = False) -> list[str]:
    """Return the databases that do not answer and are to be migrated, or of which that cannot be known.

    `or_read_only`: or that would only be held to what belongs there.
    """
    return [
        database.alias
        for database in snapshot.databases
        if database.state in UNKNOWN_STATES and is_wanted(database, routing, selection, or_read_only=or_read_only)
    ]


def check_keeps(snapshot: Snapshot, routing: Routing, selection: Selection) -> None:
    """Do nothing if the default database outlives a process, or nothing is to be migrated there.

    Raises:
        UsageError: what belongs there would be gone at once.
    """
    database = snapshot.database(DEFAULT_ALIAS)
    is_named = bool(selection.databases or selection.apps)
    if database is None or is_named or not routing.placements[DEFAULT_ALIAS]:
        return
    if routing.kinds[DEFAULT_ALIAS].kind == "in-memory":
        raise UsageError(
            f"database {DEFAULT_ALIAS} is in memory ({database.name}): what is migrated there is lost when the process "
            "ends",
            hint=f"let {_setting(DEFAULT_ALIAS)} name a file or a server, or set the variable that it is read from; "
            + _without([DEFAULT_ALIAS], snapshot, routing, selection),
            changed=False,
        )


def check_reachable(snapshot: Snapshot, routing: Routing, selection: Selection) -> None:
    """Do nothing if every database answers that is wanted.

    Raises:
        UnreachableError: one does not.
    """
    aliases = find_silent(snapshot, routing, selection)
    if aliases:
        silent = {database.alias: database for database in snapshot.databases if database.alias in aliases}
        raise UnreachableError(
            listed(
                [describe_silence(alias, silent[alias].trouble, silent[alias].error) for alias in aliases],
                most=FEW,
                separator="; ",
                noun="unreachable databases",
            ),
            hint=f"{_cure(list(silent.values()), snapshot.project)}; {_without(aliases, snapshot, routing, selection)}",
            changed=False,
        )


def _cure(silent: Sequence[Database], project: Project) -> str:
    """Return what to do about databases that do not answer, or cannot be read."""
    folder = _missing_folder(silent[0])
    if folder is not None:
        return f"mkdir -p {folder}, or fix {_setting(silent[0].alias)}"
    if any(database.trouble == "receiver" for database in silent):
        return f"fix that receiver of connection_created: {project.command_line('migrate')} fails with the same error"
    if silent[0].vendor == "sqlite" and "database is locked" in (silent[0].error or ""):
        return "another process is writing to that file: wait for it with --wait SECONDS, or stop that process"
    incurable = next((database for database in silent if database.trouble in INCURABLE), None)
    if incurable is None and len({database.trouble for database in silent}) == 1 and silent[0].trouble in PASSING:
        return PASSING[silent[0].trouble]
    if incurable is None:
        return f"start it, or fix {_setting(silent[0].alias)}; --wait SECONDS waits for it"
    if incurable.trouble == "blocked":
        return "mariadb-admin flush-hosts on its server (MySQL: TRUNCATE performance_schema.host_cache)"
    if incurable.state == "unreadable":
        right = "SELECT ON django_migrations" if incurable.server else "access to that database"
        return f"GRANT {right} to the user of {_setting(incurable.alias)}, or name another user there"
    return f"fix {_to_correct(incurable)}; waiting will not help"


def find_cures(snapshot: Snapshot) -> dict[str, str]:
    """Return by alias what to do about each database that does not answer, or cannot be read."""
    return {
        database.alias: _cure([database], snapshot.project)
        for database in snapshot.databases
        if database.state in UNKNOWN_STATES
    }


def _to_correct(database: Database) -> str:
    if not database.name and "NAME" in (database.error or ""):
        return f'{_setting(database.alias)}["NAME"]'
    return f"the backend {database.engine}" if database.trouble == "backend" else _setting(database.alias)


def _missing_folder(database: Database) -> str | None:
    """Return the folder that an SQLite file should be in and that is not there."""
    folder = str(PurePath(database.name).parent)
    return folder if database.vendor == "sqlite" and database.error == f"the folder {folder} does not exist" else None


def check_writable(snapshot: Snapshot, routing: Routing, plan: MigrationPlan) -> None:
    """Do nothing if every database takes writes that the plan has steps on, as far as it says.

    Raises:
        UnreachableError: one does not.
    """
    refusal = find_unwritable(snapshot, routing, plan)
    if refusal is not None:
        raise UnreachableError(refusal.message, hint=refusal.hint, changed=False)


def find_unwritable(snapshot: Snapshot, routing: Routing, plan: MigrationPlan) -> Refusal | None:
    """Return that a database takes no writes which the plan has steps on, or None if all of them do."""
    aliases = {step.alias for step in plan.steps}
    for database in snapshot.databases:
        if database.alias in aliases and database.read_only is not None:
            return Refusal(
                message=f"database {database.alias} is read-only: {database.read_only}",
                hint=f"let {_setting(database.alias)} name the primary, or make it writable; "
                + _without([database.alias], snapshot, routing, plan.selection),
            )
    return None


def check_findings(findings: Sequence[Finding], plan: MigrationPlan, targeted: Sequence[str]) -> None:
    """Do nothing if no finding stops the plan, which looks after these aliases.

    Raises:
        FindingsError: some do; the message has a line for each.
    """
    stopping = find_stopping(findings, plan, targeted)
    if stopping:
        raise stopped_by(stopping)


def find_stopping(findings: Sequence[Finding], plan: MigrationPlan, targeted: Sequence[str]) -> list[Finding]:
    """Return the findings that stop a plan, which looks after these aliases."""
    unwritten = plan.make.constraining if plan.make is not None else frozenset()
    return [
        finding
        for finding in findings
        if finding.stops
        and not (finding.stops_phases and plan.selection.phase not in finding.stops_phases)
        and not (finding.stops_app_only and plan.selection.leaves_out(finding.apps))
        and not (finding.stops_work_only and plan.selection.fake)
        and (not finding.aliases or {*finding.aliases} & {*targeted})
        and (not finding.migrations or {*finding.migrations} & unwritten or is_planned(finding, plan))
    ]


def describe_stop(findings: Sequence[Finding]) -> Refusal | None:
    """Return why a run of a plan would end before it begins, or None if none of these findings stop it."""
    if not findings:
        return None
    return Refusal(
        message="\n".join(finding.sentence for finding in findings),
        hint="\n".join(dict.fromkeys(finding.hint for finding in findings)),
    )


def is_planned(finding: Finding, plan: MigrationPlan) -> bool:
    """Return whether a plan has one of the migrations of a finding on one of its databases."""
    return any(
        migration.id in finding.migrations and (not finding.aliases or step.alias in finding.aliases)
        for step in plan.steps
        for migration in step.migrations
    )


def stopped_by(findings: Sequence[Finding]) -> FindingsError:
    """Return the error for findings that stop what was to be done."""
    return FindingsError(
        "\n".join(finding.sentence for finding in findings),
        hint="\n".join(dict.fromkeys(finding.hint for finding in findings)),
        facts=[Fact(finding.id, finding.message, finding.hint, finding.file, finding.line) for finding in findings],
        changed=False,
    )


def check_reversible(plan: MigrationPlan) -> None:
    """Do nothing if all that the plan undoes can be undone: Django would find out in the middle.

    Raises:
        UsageError: a migration cannot be.
    """
    for step in plan.steps if not plan.selection.fake else ():
        for number, migration in enumerate(step.migrations):
            if migration.irreversible is not None:
                label, name = migration.id.split(".", 1)
                # Where it is the first to be undone, nothing would be left to do.
                is_later = any(other.id.startswith(f"{label}.") for other in step.migrations[:number])
                raise UsageError(
                    f"{migration.id} cannot be undone on {step.alias}: {migration.irreversible} is irreversible",
                    hint="write its reverse (reverse_code or reverse_sql; noop if there is nothing to do)"
                    + (f", or undo only what comes after it: --to {name}" if label == step.app and is_later else ""),
                    changed=False,
                )


def check_order(settings: Settings, plan: MigrationPlan) -> None:
    """Do nothing if the configured order leaves every database what it needs of others.

    Raises:
        UsageError: it does not.
    """
    found = find_contradiction(plan, settings.order)
    if found is None:
        return
    earlier, later, way = found
    ordered = list(dict.fromkeys(step.alias for step in plan.steps if step.alias in settings.order))
    rest = [alias for alias in settings.order if alias not in ordered]
    names = ", ".join(f'"{alias}"' for alias in [*ordered, *rest])
    raise UsageError(
        f"{settings.origins['order']}: order puts {earlier} before {later}, but "
        + ", and ".join(need.sentence for need in way),
        hint=f"order = [{names}], or remove {earlier} and {later} from order: dbmigrate finds the order without it",
        changed=False,
    )


def check_needs(settings: Settings, plan: MigrationPlan) -> None:
    """Do nothing if no migration of the plan needs what is pending on another database and left out of the plan.

    Nor if the configuration ignores such needs.

    Raises:
        UsageError: one does.
    """
    if plan.unmet and MUTUAL_NEEDS not in settings.ignore:
        others = dict.fromkeys(need.other for need in plan.unmet)
        first = f"dbmigrate run {' '.join(f'--database {alias}' for alias in others)}, then rerun the command"
        if plan.selection.phase is not None:  # a new database, which takes everything, needs what waits elsewhere
            first = f'"{plan.unmet[0].needed}" = "pre" under [tool.dbmigrate.phases]'
        raise UsageError(
            "; ".join(need.sentence for need in plan.unmet[:FEW]) + "; it is pending there, but not part of this run",
            hint=f'{first}; or dbmigrate all; if this is wrong, ignore = ["{MUTUAL_NEEDS}"] under [tool.dbmigrate]',
            changed=False,
        )


def check_callable(plan: MigrationPlan) -> None:
    """Do nothing if the project's own migrate and makemigrations take the words of the plan.

    Raises:
        ModelChangesError: makemigrations does not; what it would write is the work of a person.
        ProjectError: migrate does not.
    """
    if plan.make is not None and plan.make.refusal is not None:
        raise ModelChangesError(plan.make.refusal.message, hint=plan.make.refusal.hint, changed=False)
    refusals = {step.refusal.message: step.refusal for step in plan.steps if step.refusal is not None}
    if refusals:
        raise ProjectError(
            "\n".join(refusals),
            hint="\n".join(dict.fromkeys(refusal.hint for refusal in refusals.values())),
            changed=False,
        )


def check_started(snapshot: Snapshot, plan: MigrationPlan) -> None:
    """Do nothing if no migration of the plan depends on an app that has none and gets none.

    Raises:
        ModelChangesError: one does, or Django would not even read the migrations.
    """
    planned = {migration.id for step in plan.steps for migration in step.migrations if migration.does}
    for unstarted in find_stuck(snapshot):
        is_synced = plan.selection.run_syncdb and not unstarted.stops_django
        if unstarted.stops_django or (planned.intersection(unstarted.needed_by) and not is_synced):
            message, hint = describe_unstarted(snapshot, unstarted)
            raise ModelChangesError(message, hint=hint, changed=False)


def check_makemigrations(snapshot: Snapshot, make: MakeMigrations | None) -> None:
    """Do nothing if makemigrations can write everything without a person.

    Raises:
        ModelChangesError: it would ask, or write where it cannot or must not.
    """
    refusal = find_refusal(snapshot, make) if make is not None else None
    if refusal is not None:
        raise refusal


def find_refusal(snapshot: Snapshot, make: MakeMigrations) -> ModelChangesError | None:
    """Return why makemigrations cannot write everything without a person, or None if it can."""
    for change in make.changes:
        is_stuck = any(unstarted.app == change.app for unstarted in find_stuck(snapshot))
        without = "" if is_stuck else ", or pass --skip-makemigrations"
        if change.question is not None:
            return ModelChangesError(
                f"makemigrations needs an answer about app {change.app}: {change.question}",
                hint=f"dbmigrate make {change.app}",
                changed=False,
            )
        if not change.is_writable:
            return ModelChangesError(
                f"the models of app {change.app} changed ({'; '.join(change.operations)}) "
                "but its migrations folder is not writable",
                hint=f"create the migration where the source code is (dbmigrate make {change.app}) and deploy "
                f"it{without}",
                changed=False,
            )
        foreign = refuse_foreign(snapshot, change, without)
        if foreign is not None:
            return foreign
    return None


def refuse_foreign(snapshot: Snapshot, change: Change, without: str = "") -> ModelChangesError | None:
    """Return the error for a migration that would create another one in a third-party app; None if it would not.

    `without`: what is added to the hint.
    """
    own = {app.label for app in snapshot.apps if app.is_own}
    foreign = [label for label in change.carries if label not in own]
    if not foreign:
        return None
    return ModelChangesError(
        f"a migration for app {change.app} would also create one for {', '.join(foreign)}, which is a third-party app",
        hint=f"upgrade to a release of {foreign[0]} that has the migration{without}",
        changed=False,
    )


def losses_refused(losses: Sequence[Finding], make_first: str) -> ModelChangesError:
    """Return the error for data that would be lost, where nobody can be asked."""
    return ModelChangesError(
        describe_losses(losses), hint=f"{_made(make_first)}; or pass --allow-data-loss", changed=False
    )


def losses_declined(make_first: str) -> DeclinedError:
    """Return the error for data that somebody does not want to lose."""
    return DeclinedError("nothing was written and nothing was applied", hint=_made(make_first))


def losses_not_foreseen(losses: Sequence[Finding]) -> ModelChangesError:
    """Return the error for a makemigrations of the project's own that wrote what it was not expected to."""
    return ModelChangesError(
        describe_losses(losses, " (it is written now, and nothing was applied)"),
        changed=True,
        hint="review what it wrote; if it is right, rerun the command",
    )


def describe_losses(losses: Sequence[Finding], state: str = "") -> str:
    """Return what is lost, a line for each operation below one that says so; `state`: what it says at its end."""
    return "\n".join([f"the model changes would delete data{state}:", *(f"  {loss.message}" for loss in losses)])


def _made(make_first: str) -> str:
    return f"{make_first}, then rerun the command"


def _setting(alias: str) -> str:
    return f'DATABASES["{alias}"]'


def _without(aliases: Sequence[str], snapshot: Snapshot, routing: Routing, selection: Selection) -> str:
    """Return how to migrate the other databases."""
    ways = []
    others = [
        database.alias
        for database in snapshot.databases
        if database.alias not in aliases
        and is_wanted(database, routing, selection)
        and routing.is_migrated(database.alias)
    ]
    if 0 < len(others) <= MANY:
        words = [*(("--app", label) for label in selection.apps), *(("--database", alias) for alias in others)]
        ways.append(f"dbmigrate run {' '.join(word for pair in words for word in pair)}")
    if len(aliases) <= MANY:
        quoted = ", ".join(f'"{alias}"' for alias in aliases)
        ways.append(f"exclude = [{quoted}] under [tool.dbmigrate]")
    it = "it" if len(aliases) == 1 else "them"
    return f"to continue without {it}: {', or '.join(ways) or 'exclude them under [tool.dbmigrate]'}"
