"""How a plan that was saved differs from the one that would run now, by name and with the cause first. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal

from dbmigrate.models.apps import AppRoute
from dbmigrate.models.basis import CodeBasis, FileHash, SavedPlan, SavedStep, TableBasis
from dbmigrate.models.database import Database
from dbmigrate.models.differences import (
    AppliedDiffers,
    CatalogueDiffers,
    CodeDiffers,
    DatabaseDiffers,
    Difference,
    PlanDiffers,
    RoutesDiffer,
    StatementsDiffer,
)
from dbmigrate.models.migrations import MigrationId, label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.basis import hash_names, recorded_on

NOTHING_SAID = AppRoute(answer="no")
"""Where the routers do not want an app, be it that the alias or the app is not there."""

Statements = Mapping[tuple[str, MigrationId], tuple[str, ...]]
"""By (alias, migration)."""


def compare(
    saved: SavedPlan,
    now: SavedPlan,
    snapshot: Snapshot,
    files: Mapping[MigrationId, FileHash | None],
    *,
    statements: tuple[Statements, Statements] = ({}, {}),
    any_database: bool = False,
) -> tuple[Difference, ...]:
    """Return what is not as it was; what follows from something that is named is not named itself.

    `files`: of every migration of the saved basis, as they are now. `statements`: those that are known, then and now.
    `any_database`: whether the databases may be other ones in the same state.
    """
    code = [*compare_files(saved, files, snapshot), *_find_added(saved, now)]
    databases = [] if any_database else [*_compare_databases(saved, now)]
    applied = [*_compare_applied(saved, now, snapshot)]
    unlike = {one.alias for one in applied}
    catalogue = [*_compare_catalogues(saved, now, unlike)]
    routes = [*_compare_routes(saved, now)]
    found: list[Difference] = [*code, *databases, *applied, *catalogue, *routes]
    if not code and not routes:
        unlike |= {one.alias for one in databases} | {one.alias for one in catalogue}
        found += _compare_statements(saved, now, unlike, files, statements)
    return tuple(found) or tuple(_compare_steps(saved, now))


def compare_files(
    saved: SavedPlan, files: Mapping[MigrationId, FileHash | None], snapshot: Snapshot | None = None
) -> Iterator[CodeDiffers]:
    """Yield the migrations whose files are not what they were; `snapshot`: None where the project has none."""
    replaced = {one: name for name, own in (snapshot.migrations if snapshot else {}).items() for one in own.replaces}
    for identifier, then in saved.basis.code.items():
        if not then.is_planned and not then.is_own:
            continue
        now = files.get(identifier)
        if now is None:
            by = replaced.get(identifier)
            yield CodeDiffers(migration=identifier, change="replaced" if by else "removed", name=by)
        elif now.sha256 != then.sha256 if then.is_planned else now.code != then.code:
            yield CodeDiffers(migration=identifier, change="edited")
        elif then.is_planned:
            for name in _find_other_calls(then, now):
                yield CodeDiffers(migration=identifier, change="calls", name=name)


def _find_other_calls(then: CodeBasis, now: FileHash) -> list[str]:
    if then.calls is None or now.calls is None:
        return []
    return [name for name in sorted({*then.calls, *now.calls}) if then.calls.get(name) != now.calls.get(name)]


def is_done(saved: SavedPlan, snapshot: Snapshot) -> bool:
    """Return whether all that a plan wanted is recorded, or not any more, and the tables that it made are there.

    False if it wanted neither.
    """
    wanted = [(step.alias, one) for step in saved.steps for one in step.migrations]
    synced = [(step.alias, model) for step in saved.steps for model in step.synced]
    known = {
        database.alias: database
        for database in map(snapshot.database, dict.fromkeys(alias for alias, _ in (*wanted, *synced)))
        if database is not None and database.recorded is not None
    }
    recorded = {alias: {*recorded_on(snapshot, database)} for alias, database in known.items()}
    return (
        bool(wanted or synced)
        and all(alias in known and (one.id in recorded[alias]) is not one.backwards for alias, one in wanted)
        and all(alias in known and model not in known[alias].unsynced for alias, model in synced)
    )


def is_same_code(saved: SavedPlan, files: Mapping[MigrationId, FileHash | None]) -> bool:
    """Return whether the files of the planned migrations are as they were."""
    return not any(saved.basis.code[one.migration].is_planned for one in compare_files(saved, files))


def _find_added(saved: SavedPlan, now: SavedPlan) -> Iterator[CodeDiffers]:
    """Yield the migrations that are planned now, and that the plan knew nothing of."""
    found: dict[MigrationId, list[str]] = {}
    for alias, identifier in _planned(now.steps):
        if identifier not in saved.basis.code:
            found.setdefault(identifier, []).append(alias)
    for identifier, aliases in found.items():
        yield CodeDiffers(migration=identifier, change="added", aliases=tuple(dict.fromkeys(aliases)))


def _planned(steps: Sequence[SavedStep]) -> list[tuple[str, MigrationId]]:
    return [(step.alias, one.id) for step in steps for one in step.migrations]


def _compare_databases(saved: SavedPlan, now: SavedPlan) -> Iterator[DatabaseDiffers]:
    for alias, then in saved.basis.databases.items():
        if alias in now.basis.databases and now.basis.databases[alias].identity != then.identity:
            yield DatabaseDiffers(alias=alias)


def _compare_applied(saved: SavedPlan, now: SavedPlan, snapshot: Snapshot) -> Iterator[AppliedDiffers]:
    for alias, then in saved.basis.databases.items():
        database = snapshot.database(alias)
        if database is None or alias not in now.basis.databases or now.basis.databases[alias].applied == then.applied:
            continue
        recorded = recorded_on(snapshot, database)
        more, fewer = _find_changed(saved, alias, database, recorded)
        times = {record.id: record.at for record in database.records or ()}
        yield from (AppliedDiffers(alias=alias, migration=one, is_applied=True, at=times.get(one)) for one in more)
        yield from (AppliedDiffers(alias=alias, migration=one, is_applied=False) for one in fewer)
        if not more and not fewer:
            counts = (then.count, len(recorded))
            yield AppliedDiffers(alias=alias, migration=None, is_applied=counts[1] > counts[0], counts=counts)


def _find_changed(
    saved: SavedPlan, alias: str, database: Database, recorded: Sequence[MigrationId]
) -> tuple[list[MigrationId], list[MigrationId]]:
    """Return what was recorded on a database since, and what is not recorded any more, as far as it can be said.

    A document has the hash of what was recorded, so it is tried which names make the difference.
    """
    wanted = saved.basis.databases[alias].applied
    planned = {one.id: one.backwards for step in saved.steps if step.alias == alias for one in step.migrations}
    more = [one for one in recorded if planned.get(one) is False]
    fewer = [one for one in planned if planned[one] and one not in recorded]
    if more or fewer:
        return more, fewer
    for one in recorded:
        if hash_names([other for other in recorded if other != one]) == wanted:
            return [one], []
    for one in saved.basis.code:
        if one not in recorded and hash_names(sorted([*recorded, one])) == wanted:
            return [], [one]
    by_age = [record.id for record in database.records or ()]
    for count in range(1, len(by_age) + 1):
        newest = {*by_age[-count:], *database.unknown, *database.leftover}
        if hash_names([one for one in recorded if one not in newest]) == wanted:
            return sorted(newest & {*recorded}), []
    return [], []


def _compare_catalogues(saved: SavedPlan, now: SavedPlan, unlike: Collection[str]) -> Iterator[CatalogueDiffers]:
    for alias, then in saved.basis.databases.items():
        if alias in unlike or alias not in now.basis.databases:
            continue
        tables = now.basis.databases[alias].tables
        for table, was in then.tables.items():
            if table in tables:
                yield from _compare_tables(alias, table, was, tables[table])


def _compare_tables(alias: str, table: str, was: TableBasis | None, now: TableBasis | None) -> list[CatalogueDiffers]:
    if was is None or now is None:
        if was is now:
            return []
        return [CatalogueDiffers(alias=alias, table=table, part="table", change="removed" if was else "added")]
    parts: tuple[tuple[Literal["column", "index"], dict[str, str], dict[str, str]], ...] = (
        ("column", was.columns, now.columns),
        ("index", was.others, now.others),
    )
    found = [
        CatalogueDiffers(alias=alias, table=table, part=part, change=_change(before, after, name), name=name)
        for part, before, after in parts
        for name in sorted({*before, *after})
        if name and before.get(name) != after.get(name)
    ]
    if not found and was.others.get("") != now.others.get(""):
        return [CatalogueDiffers(alias=alias, table=table, part="definition", change="changed")]
    return found


def _change(before: Mapping[str, str], after: Mapping[str, str], name: str) -> Literal["added", "removed", "changed"]:
    if name not in before:
        return "added"
    return "changed" if name in after else "removed"


def _compare_routes(saved: SavedPlan, now: SavedPlan) -> Iterator[RoutesDiffer]:
    for app, then in saved.basis.routes.items():
        answers = now.basis.routes.get(app)
        if answers is None:
            continue  # nothing of it is planned any more, for a reason that has a name of its own
        for alias in dict.fromkeys((*then, *answers)):
            was, is_now = then.get(alias, NOTHING_SAID), answers.get(alias, NOTHING_SAID)
            if was.answer != is_now.answer:
                yield RoutesDiffer(alias=alias, app=app, model=None, before=was.answer, now=is_now.answer)
                continue
            for model in sorted({*was.models, *is_now.models}):
                before, after = was.answer_for(model), is_now.answer_for(model)
                if before != after:
                    yield RoutesDiffer(alias=alias, app=app, model=model, before=before, now=after)


def _compare_statements(
    saved: SavedPlan,
    now: SavedPlan,
    unlike: Collection[str],
    files: Mapping[MigrationId, FileHash | None],
    statements: tuple[Statements, Statements],
) -> list[StatementsDiffer]:
    hashes = {(one.alias, one.migration): one.sha256 for one in now.basis.statements or ()}
    django = saved.basis.versions.django, now.basis.versions.django
    before, after = statements
    return [
        StatementsDiffer(
            alias=then.alias,
            migration=then.migration,
            django=django,
            before=before.get((then.alias, then.migration)),
            now=after.get((then.alias, then.migration)),
        )
        for then in saved.basis.statements or ()
        if then.alias not in unlike
        and _is_other(
            then.sha256,
            hashes.get((then.alias, then.migration)),
            saved.basis.code.get(then.migration),
            files.get(then.migration),
        )
    ]


def _is_other(was: str | None, is_now: str | None, then: FileHash | None, now: FileHash | None) -> bool:
    """Return whether SQL differs by its hashes; where one is not known, by what RunSQL was given."""
    if was is not None and is_now is not None:
        return was != is_now
    return then is not None and now is not None and None not in (then.sql, now.sql) and then.sql != now.sql


def _compare_steps(saved: SavedPlan, now: SavedPlan) -> list[PlanDiffers]:
    """Return the steps that differ although all that they were made from is the same."""
    then, after = ({step.id: step for step in plan.steps} for plan in (saved, now))
    found = [PlanDiffers(step=name, change="removed") for name in then if name not in after]
    found += [PlanDiffers(step=name, change="added") for name in after if name not in then]
    found += [PlanDiffers(step=name, change="changed") for name in then if name in after and then[name] != after[name]]
    if not found and [*then] != [*after]:
        return [PlanDiffers(step=None, change="order")]
    return found


def find_foreign(saved: SavedPlan, snapshot: Snapshot) -> str | None:
    """Return why a plan is of another project; None if it may be of this one."""
    aliases = [database.alias for database in snapshot.databases]
    missing = [step.alias for step in saved.steps if step.alias not in aliases]
    if missing:
        return f"it migrates database {missing[0]}, which is not in DATABASES"
    labels = {label_of(one) for _, one in _planned(saved.steps)}
    own = {label_of(one) for one, code in saved.basis.code.items() if code.is_own} & labels or labels
    installed = {app.label for app in snapshot.apps}
    if own and not own & installed:
        return f"it migrates app {min(own)}, which is not installed"
    return None
