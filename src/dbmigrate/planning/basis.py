"""What a plan was made from, and the digest of both: equal wherever the same plan is made of the same things. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from dbmigrate import __version__
from dbmigrate.models.apps import AppRoute
from dbmigrate.models.basis import (
    Basis,
    CodeBasis,
    DatabaseBasis,
    DatabaseFacts,
    FileHash,
    SavedMigration,
    SavedPlan,
    SavedStep,
    Sha256,
    StatementsBasis,
    Versions,
)
from dbmigrate.models.database import Database
from dbmigrate.models.migrations import MigrationId, label_of
from dbmigrate.models.plan import MigrationPlan, PlannedMigration, Step
from dbmigrate.models.selection import Selection
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.models.sql import MigrationSql

OPAQUE = "CANNOT BE WRITTEN AS SQL"
"""What Django writes in place of an operation that is more than SQL (Migration.apply)."""

UNIMPORTANT = ("make_migrations", "allow_data_loss")
"""What of a selection means nothing for a plan that writes no migration."""


def find_files(snapshot: Snapshot, plan: MigrationPlan) -> tuple[MigrationId, ...]:
    """Return the migrations of a plan and all that they depend on, sorted."""
    queue = [*planned_in(plan)]
    found: set[MigrationId] = set()
    while queue:
        one = queue.pop()
        if one not in found:
            found.add(one)
            queue += snapshot.migrations[one].after if one in snapshot.migrations else ()
    return tuple(sorted(found))


def working_on(plan: MigrationPlan) -> dict[str, tuple[PlannedMigration, ...]]:
    """Return by alias on which the plan has steps what does something there, in its order."""
    return {
        alias: tuple(one for step in plan.steps_on(alias) for one in step.migrations if one.does)
        for alias in dict.fromkeys(step.alias for step in plan.steps)
    }


def likeness_of(
    snapshot: Snapshot, alias: str, migrations: Sequence[PlannedMigration], facts: DatabaseFacts
) -> tuple[str, ...]:
    """Return what is equal for databases on which migrations run the same SQL: Django asks for nothing else."""
    database = snapshot.database(alias)
    assert database is not None
    routes = {label: database.routes.get(label) for label in sorted({label_of(one.id) for one in migrations})}
    return (
        database.engine,
        database.server,
        " ".join(f"{one.id}:{one.backwards}" for one in migrations),
        repr(routes),
        facts.model_dump_json(include={"tables"}),
    )


def build_basis(
    snapshot: Snapshot,
    plan: MigrationPlan,
    files: Mapping[MigrationId, FileHash | None],
    facts: Mapping[str, DatabaseFacts],
    statements: Mapping[str, Sequence[MigrationSql]] | None,
) -> Basis:
    """Return what a plan was made from; `facts` and `statements`: by alias, as the host gave them."""
    databases = {alias: snapshot.database(alias) for alias in facts}
    labels = sorted({label_of(one) for one in planned_in(plan)} | {step.app for step in plan.steps if step.app})
    return Basis(
        code=_build_code(snapshot, plan, files),
        statements=None if statements is None else _build_statements(statements),
        databases={
            alias: _build_database(snapshot, database, facts[alias])
            for alias, database in databases.items()
            if database is not None
        },
        routes={
            label: {
                database.alias: database.routes[label]
                for database in snapshot.databases
                if label in database.routes and not _is_refused(database.routes[label])
            }
            for label in labels
        },
        versions=Versions(
            dbmigrate=__version__,
            django=snapshot.project.django_version,
            python=snapshot.project.python_version,
            drivers={alias: fact.driver for alias, fact in facts.items()},
            servers={database.alias: database.server for database in snapshot.databases if database.alias in facts},
        ),
    )


def save_plan(plan: MigrationPlan, basis: Basis) -> SavedPlan:
    """Return what of a plan is compared with another, with its digest."""
    steps = tuple(_save_step(step) for step in plan.steps)
    return SavedPlan(selection=plan.selection, steps=steps, basis=basis, digest=digest_of(plan.selection, steps, basis))


def digest_of(selection: Selection, steps: Sequence[SavedStep], basis: Basis) -> Sha256:
    """Return the SHA-256 of the canonical JSON of a plan.

    Statements, versions and times are not in it. Of what is not planned comments count for nothing, nor does what is
    third-party.
    """
    parts = {
        "selection": canonical_selection(selection),
        "steps": [step.model_dump(mode="json", exclude_defaults=True) for step in steps],
        "code": {
            identifier: [code.sha256, code.calls, *([code.sql] if code.sql else [])] if code.is_planned else [code.code]
            for identifier, code in basis.code.items()
            if code.is_planned or code.is_own
        },
        "databases": {
            alias: database.model_dump(mode="json", include={"identity", "engine", "applied", "tables"})
            for alias, database in basis.databases.items()
        },
        "routes": {
            label: {alias: route.model_dump(mode="json", exclude_defaults=True) for alias, route in routes.items()}
            for label, routes in basis.routes.items()
        },
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def canonical_selection(selection: Selection) -> dict[str, Any]:
    """Return what a selection says that is not said anyway."""
    return selection.model_dump(mode="json", exclude_defaults=True, exclude={*UNIMPORTANT})


def recorded_on(snapshot: Snapshot, database: Database) -> tuple[MigrationId, ...]:
    """Return the names of all that is recorded on a database, sorted; of what this code does not know too."""
    known = snapshot.recorded[database.recorded] if database.recorded is not None else ()
    return tuple(sorted({*known, *database.unknown, *database.leftover}))


def hash_names(names: Sequence[str]) -> Sha256:
    """Return the SHA-256 of names that are sorted."""
    return hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()


def planned_in(plan: MigrationPlan) -> dict[MigrationId, None]:
    """Return the migrations of a plan, each once, in its order."""
    return dict.fromkeys(one.id for step in plan.steps for one in step.migrations)


def _is_refused(route: AppRoute) -> bool:
    return route.answer == "no" and not route.models


def _build_code(
    snapshot: Snapshot, plan: MigrationPlan, files: Mapping[MigrationId, FileHash | None]
) -> dict[MigrationId, CodeBasis]:
    own = {app.label for app in snapshot.apps if app.is_own}
    planned = planned_in(plan)
    return {
        identifier: CodeBasis(
            **dict(file),
            is_planned=identifier in planned,
            is_own=label_of(identifier) in own,
            replaces=snapshot.migrations[identifier].replaces if identifier in snapshot.migrations else (),
        )
        for identifier, file in sorted(files.items())
        if file is not None
    }


def _build_database(snapshot: Snapshot, database: Database, facts: DatabaseFacts) -> DatabaseBasis:
    recorded = recorded_on(snapshot, database)
    return DatabaseBasis(
        identity=facts.identity,
        engine=database.engine,
        applied=hash_names(recorded),
        count=len(recorded),
        newest=database.last_applied,
        tables=facts.tables,
    )


def _build_statements(statements: Mapping[str, Sequence[MigrationSql]]) -> tuple[StatementsBasis, ...]:
    return tuple(
        StatementsBasis(alias=alias, migration=one.id, sha256=hash_statements(one), is_opaque=_is_opaque(one))
        for alias, migrations in statements.items()
        for one in migrations
    )


def hash_statements(sql: MigrationSql) -> Sha256 | None:
    """Return the SHA-256 of the SQL of a migration; None where it is not known."""
    if sql.problem is not None:
        return None
    # The comments are Django's words, which another version puts otherwise.
    comments = [one.startswith("--") and "\n" not in one for one in sql.statements]
    run = [
        OPAQUE if is_comment else one
        for one, is_comment in zip(sql.statements, comments, strict=True)
        if not is_comment or OPAQUE in one
    ]
    return hashlib.sha256("\0".join(run).encode("utf-8", "surrogateescape")).hexdigest()


def _is_opaque(sql: MigrationSql) -> bool:
    return sql.is_by_cursor or any(OPAQUE in one for one in sql.statements)


def _save_step(step: Step) -> SavedStep:
    return SavedStep(
        id=step.id,
        alias=step.alias,
        app=step.app,
        to=step.to,
        arguments=step.arguments,
        migrations=tuple(SavedMigration(id=one.id, does=one.does, backwards=one.backwards) for one in step.migrations),
        synced=step.synced,
        after=step.after,
    )
