"""From a snapshot to the answers of `status` and `info`. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from dbmigrate.models.apps import ModelAnswers
from dbmigrate.models.database import DEFAULT_ALIAS, UNKNOWN_STATES, Database
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import Answer, MigrationId, label_of
from dbmigrate.models.plan import MigrationPlan, PlannedMigration, PlannedPhase
from dbmigrate.models.reports import (
    Because,
    DatabaseStatus,
    ExplainedDatabase,
    ExplainReport,
    InfoReport,
    MigrationStatus,
    RoutedApp,
    RoutesReport,
    SettingOrigin,
    StatusReport,
    Waited,
    WaitReport,
)
from dbmigrate.models.selection import Selection
from dbmigrate.models.settings import Settings
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.models.target import Choice, Target
from dbmigrate.planning.preflight import find_cures
from dbmigrate.planning.routing import Routing
from dbmigrate.planning.selection import is_wanted


def describe_status(
    snapshot: Snapshot,
    routing: Routing,
    plan: MigrationPlan,
    findings: Sequence[Finding],
    *,
    apps: Sequence[str] = (),
    migrations: bool,
) -> StatusReport:
    """Return every database as it is; `plan` is what `all` would do, so that both count the same.

    `apps`: only these are counted, if any are named. `migrations`: whether to list every migration. For both the
    snapshot must have been taken with its records.
    """
    return StatusReport(
        project=snapshot.project,
        databases=_databases(snapshot, routing, plan, apps),
        findings=tuple(finding.as_remark() for finding in findings),
        migrations=_migrations(snapshot, routing) if migrations else None,
        limits=plan.limits,
        cures=find_cures(snapshot),
    )


def only_about(report: StatusReport, databases: Sequence[str], apps: Sequence[str]) -> StatusReport:
    """Return the part of an answer that is about these databases and apps; all of it where none are named."""

    def is_about(finding: Finding) -> bool:
        is_here = not (databases and finding.aliases) or bool({*databases} & {*finding.aliases})
        return is_here and (not (apps and finding.apps) or bool({*apps} & {*finding.apps}))

    migrations = report.migrations
    return report.model_copy(
        update={
            "databases": tuple(
                database
                for database in report.databases
                if (
                    database.alias in databases
                    if databases
                    else not apps or database.apps or database.applied or database.pending != 0
                )
            ),
            "findings": tuple(finding for finding in report.findings if is_about(finding)),
            "migrations": migrations
            if migrations is None
            else tuple(row for row in migrations if not apps or row.app in apps),
        }
    )


def describe_wait(snapshot: Snapshot, routing: Routing, selection: Selection, *, seconds: float) -> WaitReport:
    """Return which of the databases that are to be migrated answer."""
    wanted = [database for database in snapshot.databases if is_wanted(database, routing, selection)]
    return WaitReport(
        databases=tuple(
            Waited(alias=database.alias, state=database.state, trouble=database.trouble, error=database.error)
            for database in wanted
        ),
        seconds=seconds,
    )


def describe_info(
    snapshot: Snapshot,
    routing: Routing,
    plan: MigrationPlan,
    findings: Sequence[Finding],
    settings: Settings,
    target: Target,
    choices: Mapping[str, Choice],
) -> InfoReport:
    """Return the project, how it was found, how dbmigrate is configured, and what belongs where.

    `choices`: what was chosen for this command, in addition to the target's.
    """
    return InfoReport(
        project=snapshot.project,
        root=str(target.root),
        working_directory=str(target.cwd),
        choices=tuple(
            SettingOrigin(key=key, value=choice.value or _found(key, snapshot), origin=choice.reason)
            for key, choice in {**target.choices, **choices}.items()
        ),
        configuration=_configuration(settings),
        databases=_databases(snapshot, routing, plan),
        routers=snapshot.routers,
        rules=snapshot.rules,
        routes=tuple(_routed_apps(snapshot, routing)),
        receivers=snapshot.receivers,
        replaced_commands=snapshot.replaced_commands,
        constance=snapshot.last_app,
        findings=tuple(finding.as_remark() for finding in findings if finding.category == "model-changes"),
    )


def describe_routes(snapshot: Snapshot, routing: Routing) -> RoutesReport:
    """Return the answers for every app on every database."""
    return RoutesReport(routes=tuple(_routed_apps(snapshot, routing)))


def describe_model(asked: ModelAnswers, snapshot: Snapshot, routing: Routing) -> ExplainReport:
    """Return where one model belongs, and who says so."""
    return ExplainReport(
        model=asked.model,
        table=asked.table,
        databases=tuple(_explain(asked, snapshot, database, routing) for database in snapshot.databases),
    )


def _explain(asked: ModelAnswers, snapshot: Snapshot, database: Database, routing: Routing) -> ExplainedDatabase:
    label, model = asked.model.split(".", 1)
    name = f"{label}.{model.lower()}"
    answers = asked.answers[database.alias]
    answer: Answer = "none"
    for one in answers:
        if one.answer != "silent" and one.answer != "none":
            answer = one.answer
            break
    placement = routing.placements[database.alias].get(label)
    belongs = asked.has_own_table and placement is not None and model.lower() in placement.models
    reason: Because = "unmanaged"
    if asked.has_own_table:
        reason = _because(snapshot, database, routing, name, answer, belongs=belongs)
    return ExplainedDatabase(alias=database.alias, answers=answers, answer=answer, belongs=belongs, because=reason)


def _because(
    snapshot: Snapshot, database: Database, routing: Routing, name: str, answer: Answer, *, belongs: bool
) -> Because:
    """Return why a model (label.model) with a table of its own belongs on a database, or does not."""
    label, model = name.split(".", 1)
    default = snapshot.database(DEFAULT_ALIAS)
    if model in database.routes[label].unfit:
        return "unfit"
    if routing.kinds[database.alias].kind == "replica" and not belongs and answer != "no":
        return "replica"
    if routing.by_rules:
        return "rules"
    if answer != "none":
        return "routers"
    if not belongs:
        return "nobody"
    if database.alias == DEFAULT_ALIAS:
        return "default"
    if default is not None and default.routes[label].refuses(model):
        return "silence"
    return "existing" if name in database.existing else "open"


def _found(key: str, snapshot: Snapshot) -> str:
    """Return what the project itself says where nothing was chosen: manage.py may name the settings."""
    return snapshot.project.settings_module if key == "settings" else ""


def _databases(
    snapshot: Snapshot, routing: Routing, plan: MigrationPlan, apps: Sequence[str] = ()
) -> tuple[DatabaseStatus, ...]:
    return tuple(_database(database, routing, plan, apps) for database in snapshot.databases)


def _database(database: Database, routing: Routing, plan: MigrationPlan, apps: Sequence[str]) -> DatabaseStatus:
    """Return how a database stands; `apps`: only these count, if any are named."""

    def counts(identifier: MigrationId) -> bool:
        return not apps or label_of(identifier) in apps

    kind = routing.kinds[database.alias]
    planned = [migration for migration in plan.planned_on(database.alias) if counts(migration.id)]
    records = [record for record in database.records or () if counts(record.id)]
    missing = database.missing if routing.is_checked(database.alias) else ()
    return DatabaseStatus(
        alias=database.alias,
        kind=kind.kind,
        because=kind.because,
        stands_for={"same": kind.because, "replica": database.mirror_of}.get(kind.kind),
        state=database.state,
        trouble=database.trouble,
        error=database.error,
        server=database.server,
        name=database.name,
        apps=tuple(label for label in routing.placements[database.alias] if not apps or label in apps),
        applied=len(records) if apps else database.applied,
        is_skipped=not routing.is_migrated(database.alias) and database.alias not in routing.undecided,
        pending=None if database.state in UNKNOWN_STATES else len(planned),
        only_recorded=sum(not migration.does for migration in planned),
        by_phase=_count_by_phase(planned),
        unknown=sum(counts(identifier) for identifier in routing.ahead(database)),
        missing=tuple(
            table.table
            for table in missing
            if table.is_recorded and counts(table.model) and routing.has(database, table.model)
        ),
        last_applied=max(records, key=lambda record: record.at, default=None) if apps else database.last_applied,
    )


def _count_by_phase(planned: Sequence[PlannedMigration]) -> dict[PlannedPhase, int] | None:
    counted = Counter(migration.phase for migration in planned if migration.phase is not None)
    return {phase: counted[phase] for phase in PHASES if counted[phase]} if counted else None


PHASES: tuple[PlannedPhase, ...] = ("pre", "post", "undecided")


def _migrations(snapshot: Snapshot, routing: Routing) -> tuple[MigrationStatus, ...]:
    applied: dict[str, dict[str, str]] = {}
    for database in snapshot.databases:
        for record in database.records or ():
            applied.setdefault(record.id, {})[database.alias] = record.at
    return tuple(
        MigrationStatus(
            app=app.label,
            name=name,
            belongs_on=routing.aliases_of(app.label),
            applied_on=applied.get(f"{app.label}.{name}", {}),
        )
        for app in snapshot.apps
        for name in app.migrations
    )


def _configuration(settings: Settings) -> tuple[SettingOrigin, ...]:
    origins = settings.origins
    shown = {
        **vars(settings),
        "lock_url": tuple(f"{alias}={url}" for alias, url in settings.lock_url.items()),
        "phases": tuple(f"{pattern}={phase}" for pattern, phase in settings.phases.items()),
    }
    rows = [
        SettingOrigin(key=key, value=shown[key], origin=origin) for key, origin in origins.items() if key != "databases"
    ]
    for alias, own in settings.databases.items():
        for key in ("scope", "open"):
            value = getattr(own, key)
            if value is not None:
                rows.append(SettingOrigin(key=f"databases.{alias}.{key}", value=value, origin=origins["databases"]))
    return tuple(rows)


def _routed_apps(snapshot: Snapshot, routing: Routing) -> list[RoutedApp]:
    return [
        RoutedApp(
            label=app.label,
            is_own=app.is_own,
            why=app.why,
            has_migrations=app.has_migrations,
            aliases=routing.aliases_of(app.label),
            answers={database.alias: database.routes[app.label].answer for database in snapshot.databases},
            split={
                database.alias: database.routes[app.label].models
                for database in snapshot.databases
                if database.routes[app.label].models
            },
        )
        for app in snapshot.apps
    ]
