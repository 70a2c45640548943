"""The question `inspect`: everything a plan is made from, as one dictionary (models/snapshot.py is its type)."""

from __future__ import annotations

import importlib
import platform
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from django import get_version
from django.conf import settings
from django.db import connections
from django.db.migrations.exceptions import CircularDependencyError
from django.db.migrations.loader import MigrationLoader

from ..host_error import HostError
from ..migrations.effects import Effects
from ..migrations.facts import Records, describe_migrations
from ..migrations.graph import Disk
from ..migrations.makers import Makers
from ..migrations.phase_work import describe_phases
from ..migrations.relations import find_relations
from ..migrations.routes import RouteBook, describe_routers
from ..migrations.sql import write_sql
from ..servers.connecting import open_in_turn
from ..steps.background import Aside
from .applications import describe_apps, find_constance, find_receivers, read_rules, unfollowed_rules
from .changes import find_changes, foresee
from .commands import describe_commands, find_replaced_commands
from .databases import FRESH_SECONDS, DatabaseDescriber, Depth
from .sameness import settle_identities
from .touched_tables import describe_tables
from .undoing import describe_undoing

if TYPE_CHECKING:
    from ..protocol import (
        AskedMigration,
        DescribeTablesReply,
        DescribeUndoingReply,
        FindChangesReply,
        GuardScope,
        InspectReply,
        ReachedReply,
        SqlReply,
    )

UNASKED: ReachedReply = {"state": "unasked", "trouble": None, "error": None}


class Inspector:
    """Looks at the project, as often as it is asked to."""

    def __init__(self, why_not_copy, watch):
        """Know of nothing yet; `why_not_copy()` returns why this process cannot be copied, or None."""
        self._why_not_copy = why_not_copy
        self._watch = watch
        self._disk: Any = None
        self._before = {}
        self._comparison: Any = None
        self._changes: dict[tuple[str, ...], FindChangesReply] = {}
        self._foreseen = {}
        self._locked: _Locked | None = None
        self._answers: _Answers | None = None
        self._alike: Any = None

    def inspect(
        self,
        root: str,
        changes: bool,
        records: bool,
        contact: bool,
        foreseen: list[str],
        phases: bool,
        afterwards: bool,
    ) -> InspectReply:
        """Look at the project and at every database; nothing is written anywhere.

        `changes`: whether to begin, in a copy of this process, with what `find_changes` is asked for next.
        `records`: whether to list what is applied. `contact`: whether to ask the databases; without, each is described
        as if it were empty. `foreseen`: apps whose changes are described as if makemigrations had written them.
        `phases`: whether to say what migrations say of when around a deploy they may run. `afterwards`: whether
        it is asked what became of a run, so that nothing is checked.
        """
        importlib.invalidate_caches()  # makemigrations may have written files since the last question
        if self._disk is None or not self._disk.is_current():
            self._read_disk()
        is_to_begin = changes and self._comparison is None and () not in self._changes
        if is_to_begin and self._why_not_copy() is None:
            self._comparison = Aside(self._compare)
        locked, self._locked = self._locked, None
        depth = Depth(records, checks=not afterwards)
        return self._look(self._disk_with(foreseen), root, depth, contact, phases, locked)

    def describe_undoing(self, undone: dict[str, list[str]]) -> DescribeUndoingReply:
        """Return by alias what it would do there to undo these migrations of the last look, in this order."""
        effects = Effects(self._disk, RouteBook())
        return {
            alias: describe_undoing(connections[alias], self._disk, effects, identifiers)
            for alias, identifiers in undone.items()
        }

    def find_changes(self, started: list[str]) -> FindChangesReply:
        """Return how the models differ from the migrations of the last look, or of now (changes.find_changes).

        None where leaf migrations contradict each other, and so describe no models.
        """
        if self._disk is None:
            self._read_disk()
        key = tuple(started)
        if key not in self._changes:
            is_begun = not started and self._comparison is not None
            self._changes[key] = self._comparison.answer() if is_begun else self._compare(key)
        return self._changes[key]

    def write_sql(
        self,
        alias: str,
        migrations: list[AskedMigration],
        scope: GuardScope | None,
        foreseen: list[str],
        is_compared: bool,
    ) -> SqlReply:
        """Return the statements of migrations of the last look (sql.write_sql)."""
        return write_sql(self._disk_with(foreseen), alias, migrations, scope, is_compared)

    def describe_tables(self, alias: str, migrations: list[AskedMigration], root: str) -> DescribeTablesReply:
        """Return what migrations of the last look touch (touched_tables.describe_tables)."""
        return describe_tables(self._disk, alias, migrations, root)

    def forget(self, labels: list[str]) -> None:
        """Know no migration of these apps any more: files of the same names will hold other ones."""
        for label in labels:
            package = MigrationLoader.migrations_module(label)[0]
            for name in [name for name in sys.modules if package and name.startswith(package + ".")]:
                del sys.modules[name]
        self._disk = None

    def find_replacements(self):
        """Return {label of a squashed migration: labels ("app.name") of those it replaces} of what was looked at."""
        replacements = {} if self._disk is None else self._disk.loader.replacements
        return {
            "{}.{}".format(*squashed): ["{}.{}".format(*replaced) for replaced in migration.replaces]
            for squashed, migration in replacements.items()
        }

    def expect_the_same(self, contents):
        """Take for the next look what was found a moment ago: no other run was waited for since.

        contents: {alias: (rows, tables)} that the locks have read (Locks.find_contents). A database that still has just
        these is not asked once more; of another one, what was found about pending migrations counts.
        """
        self._locked = _Locked(contents, is_again=True)

    def expect_an_end(self, contents):
        """Take for the next look what the locks of a run have read at its end (Locks.read_contents)."""
        self._locked = _Locked(contents, is_again=False)

    def find_disk(self):
        """Return the migrations of the last look; None if there was none."""
        return self._disk

    def find_alike(self, alias):
        """Return what was recorded on a database at the last look, and the aliases of all that have the same.

        None, and nobody, where it was not asked.
        """
        if self._alike is None:
            self._alike = _group({alias: frozenset(known.found[1]) for alias, known in self._before.items()})
        return self._alike.get(alias, (None, []))

    def give_up(self):
        """End what was begun in a copy of this process."""
        if self._comparison is not None:
            self._comparison.give_up()

    def _read_disk(self):
        self.give_up()
        self._disk, self._before, self._comparison, self._changes, self._foreseen = Disk(), {}, None, {}, {}

    def _disk_with(self, foreseen):
        """Return the migrations on disk, and those that makemigrations would write for some apps."""
        key = tuple(foreseen)
        if key and key not in self._foreseen:
            try:
                self._foreseen[key] = foresee(self._disk, key)
            except CircularDependencyError as error:
                raise HostError("circular", str(error), apps=list(key)) from error
        return self._foreseen[key] if key else self._disk

    def _compare(self, started=()):
        try:
            return find_changes(self._disk, started)
        except Exception:
            if self._disk.conflicts():
                return None
            raise

    def _look(self, disk, root, depth, contact, phases, locked) -> InspectReply:
        before = self._before if disk is self._disk else {}
        self._alike = None
        if locked is not None and locked.is_again and not (self._answers and self._answers.are_fresh(disk)):
            locked = None  # nothing that was found so long ago may count
        is_again = locked is not None and locked.is_again
        answers = self._answers = self._answers if self._answers and is_again else _Answers(disk)
        routes, effects = answers.routes, answers.effects
        rules = read_rules()
        homes = unfollowed_rules(rules)
        recorded = Records(disk)
        describer = DatabaseDescriber(disk, effects, answers.makers, homes, depth, recorded, before, is_again)
        by_lock = describer.recall if is_again else describer.follow
        contents = locked.contents if locked is not None else {}
        databases_by_alias = {alias: by_lock(connections[alias], found) for alias, found in contents.items()}
        asked = [alias for alias in connections if databases_by_alias.get(alias) is None]
        reached = open_in_turn(asked, self._watch) if contact else ((alias, UNASKED) for alias in asked)
        databases_by_alias.update((alias, describer.describe(connections[alias], answer)) for alias, answer in reached)
        databases = [databases_by_alias[alias] for alias in connections]
        answers.asked_at = time.monotonic()
        settle_identities(databases, self._watch.seconds)
        described = describe_apps(root, disk, effects)
        migrations = describe_migrations(disk)
        if phases:
            owned = {app["label"] for app in described if app["is_own"]}
            for identifier, facts in describe_phases(disk, owned).items():
                migrations[identifier]["marks"], migrations[identifier]["work"] = facts["marks"], facts["work"]
        return {
            "project": {
                "settings_module": settings.SETTINGS_MODULE if hasattr(settings, "SETTINGS_MODULE") else "",
                "django_version": get_version(),
                "python_version": platform.python_version(),
                "executable": sys.executable,
                "debug": bool(settings.DEBUG),
            },
            "databases": databases,
            "migrations": migrations,
            "recorded": recorded.describe(),
            "apps": described,
            "routers": describe_routers(routes),
            "router_errors": routes.errors,
            "contradictions": routes.contradictions,
            "rules": rules,
            "conflicts": disk.conflicts(),
            "unstarted": disk.unstarted(),
            "receivers": find_receivers(),
            "replaced_commands": find_replaced_commands(),
            "commands": describe_commands(),
            "constance": find_constance(),
            "relations": find_relations([database["routes"] for database in databases], homes),
        }


class _Locked(NamedTuple):
    """What the locks of this run have read: once they were held, or at the end of the run."""

    contents: dict[str, Any]
    is_again: bool


class _Answers:
    """What routers have said about the migrations on disk, and what follows from it on each database."""

    def __init__(self, disk):
        self._disk = disk
        self.asked_at = -FRESH_SECONDS
        self.routes = RouteBook()
        self.effects = Effects(disk, self.routes)
        self.makers = Makers(disk)

    def are_fresh(self, disk):
        """Whether they are about these migrations, and what a router looks at may hardly be other than it was."""
        return self._disk is disk and time.monotonic() < self.asked_at + FRESH_SECONDS


def _group(recorded):
    """Return {alias: (what is recorded, the aliases of all that have the same)}."""
    aliases: dict[frozenset[tuple[str, str]], list[str]] = {}
    for alias, found in recorded.items():
        aliases.setdefault(found, []).append(alias)
    return {alias: (found, each) for found, each in aliases.items() for alias in each}
