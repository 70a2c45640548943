"""Ask servers whether they have room for what a run opens there, before anything moves."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from dbmigrate.commands.review import CommandContext
from dbmigrate.errors import LockedError
from dbmigrate.models.events import DatabaseAwaited, Event
from dbmigrate.models.plan import MigrationPlan
from dbmigrate.models.rooms import Cap
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.room import (
    Shortage,
    describe_shortage,
    find_caps,
    find_pools,
    find_shortage,
    rooms_of,
    ways_out,
)

ROOM_SECONDS = 1.0
"""How long room is looked for at least: a server may count a session for a moment after it was closed."""

PAUSE_SECONDS = 0.2


def check_room(work: CommandContext, snapshot: Snapshot, aliases: Sequence[str]) -> Generator[Event, None, None]:
    """Do nothing if there is room for the locks of these databases and one connection more; wait as configured.

    Raises:
        LockedError: there is none.
    """
    if work.host.has_locks:
        return  # it has taken them already, and looked at the databases since
    rooms, lock_url = rooms_of(snapshot), work.settings.lock_url
    shortage = find_shortage(rooms, aliases, lock_url)
    until = work.clock() + max(ROOM_SECONDS, work.settings.wait)
    said = None
    while shortage is not None:
        # The look's own sessions were counted too; from now on there is one at a time.
        rooms = {**rooms, **work.host.find_room(shortage.aliases)}
        shortage = find_shortage(rooms, aliases, lock_url)
        if shortage is None or not shortage.may_pass or work.clock() >= until:
            break
        if work.settings.wait and describe_shortage(shortage) != said:
            said = describe_shortage(shortage)
            yield _awaited(shortage, said, until - work.clock())
        work.sleep(PAUSE_SECONDS)
    if shortage is not None:
        raise LockedError(describe_shortage(shortage), hint=ways_out(shortage, snapshot.databases), changed=False)


def find_caps_now(work: CommandContext, plan: MigrationPlan, snapshot: Snapshot, jobs: int) -> tuple[Cap, ...]:
    """Return of which databases fewer than `jobs` have to be migrated at a time, the locks being held."""
    caps: tuple[Cap, ...] = ()
    estimated = find_caps(rooms_of(snapshot), plan, jobs)
    if estimated:
        rooms = work.host.find_room([alias for cap in estimated for alias in cap.aliases])
        caps = find_caps(rooms, plan, jobs)
    for aliases in find_pools(snapshot, plan, jobs):
        tried = aliases[:jobs]
        count = work.host.count_sessions(tried)
        if count < len(tried):
            caps += (Cap(aliases=aliases, most=max(1, count), because="their pooler has no more connections"),)
    if caps:
        work.sleep(PAUSE_SECONDS)  # as above: the last of the sessions that asked
    return caps


def _awaited(shortage: Shortage, said: str, seconds_left: float) -> DatabaseAwaited:
    return DatabaseAwaited(alias=shortage.aliases[0], trouble="full", error=said, seconds_left=max(0.0, seconds_left))
