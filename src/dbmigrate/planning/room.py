"""Whether there is room for the connections of a run: for its locks, and for the migrations next to them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote, urlsplit

from dbmigrate.listing import listed
from dbmigrate.models.database import Database
from dbmigrate.models.plan import MigrationPlan, Refusal
from dbmigrate.models.rooms import Cap, Room
from dbmigrate.models.snapshot import Snapshot

Rooms = Mapping[str, Sequence[Room]]
"""What limits the sessions on each alias."""


@dataclass(frozen=True)
class Shortage:
    """More connections are needed than one limit leaves room for."""

    room: Room
    aliases: tuple[str, ...]
    """Databases whose connections count together there."""
    locks: int
    """How many of them have the connection of their lock there."""

    @property
    def needed(self) -> int:
        """How many connections the run has at a time, at the least."""
        return self.locks + 1

    @property
    def may_pass(self) -> bool:
        """Whether it is over once others have closed their connections."""
        return self.needed <= self.room.most


def rooms_of(snapshot: Snapshot) -> Rooms:
    """Return what the look at the databases has found; sessions that it had at the same time count as others'."""
    return {database.alias: database.room for database in snapshot.databases}


def find_shortage(rooms: Rooms, aliases: Sequence[str], lock_url: Mapping[str, str]) -> Shortage | None:
    """Return where there is no room for the locks of these databases and one more connection; the worst first."""
    found = []
    for room, sharing in _by_limit(rooms, aliases):
        locks = sum(_locks_there(alias, room, lock_url) for alias in sharing)
        if locks and locks + 1 > room.most - room.others:
            found.append(Shortage(room, sharing, locks))
    return min(found, key=lambda shortage: (shortage.may_pass, shortage.room.most), default=None)


def find_refusal(snapshot: Snapshot, aliases: Sequence[str], lock_url: Mapping[str, str]) -> Refusal | None:
    """Return that a run cannot have the connections that it needs on these databases, whatever others close."""
    shortage = find_shortage(rooms_of(snapshot), aliases, lock_url)
    if shortage is None or shortage.may_pass:
        return None
    # Nobody has asked how many of the sessions were the look's own.
    shortage = replace(shortage, room=shortage.room.model_copy(update={"others": 0}))
    return Refusal(message=describe_shortage(shortage), hint=ways_out(shortage, snapshot.databases))


def find_pools(snapshot: Snapshot, plan: MigrationPlan, jobs: int) -> tuple[tuple[str, ...], ...]:
    """Return the databases of a plan behind each pooler through which more than one would be migrated at a time."""
    poolers = {database.alias: database.pooler for database in snapshot.databases}
    pools = {pooler: tuple(alias for alias in _busy(plan) if poolers[alias] == pooler) for pooler in poolers.values()}
    return tuple(aliases for pooler, aliases in pools.items() if pooler is not None and min(len(aliases), jobs) > 1)


def find_caps(rooms: Rooms, plan: MigrationPlan, jobs: int) -> tuple[Cap, ...]:
    """Return the databases of a plan of which fewer than `jobs` may be migrated at a time; others' sessions count."""
    return tuple(
        Cap(aliases=sharing, most=most, because=describe_limit(room))
        for room, sharing in _by_limit(rooms, _busy(plan))
        if (most := max(1, room.most - room.others)) < min(jobs, len(sharing))
    )


def describe_shortage(shortage: Shortage) -> str:
    """Return what is needed and what there is."""
    room, locks = shortage.room, shortage.locks
    is_one = len(shortage.aliases) == 1
    which = (
        f"database {shortage.aliases[0]}: its lock" if is_one else f"databases {listed(shortage.aliases)}: each lock"
    )
    used = f"; other sessions use {room.others} of them" if shortage.may_pass else ""
    return (
        f"{which} has its own connection, so a run needs {shortage.needed} at a time "
        f"({locks} for the lock{'' if locks == 1 else 's'} and 1 for the migrations), and {describe_limit(room)}{used}"
    )


def describe_limit(room: Room) -> str:
    """Return a limit as a sentence."""
    connections = "1 connection" if room.most == 1 else f"{room.most} connections"
    match room.kind:
        case "role":
            return f'role "{room.name}" is allowed {connections} (CONNECTION LIMIT)'
        case "user":
            return f"user {room.name} is allowed {connections} (MAX_USER_CONNECTIONS)"
        case "database":
            return f'database "{room.name}" allows {connections} (CONNECTION LIMIT)'
        case "server":
            return f"the server allows {connections} (max_connections)"


def ways_out(shortage: Shortage, databases: Collection[Database]) -> str:
    """Return what to type: more room, another role for the lock, or no lock."""
    room, alias = shortage.room, shortage.aliases[0]
    raised = room.others + shortage.needed
    ways = [
        {
            "role": f'ALTER ROLE "{room.name}" CONNECTION LIMIT {raised}',
            "user": f"ALTER USER {room.name} WITH MAX_USER_CONNECTIONS {raised}",
            "database": f'ALTER DATABASE "{room.name}" CONNECTION LIMIT {raised}',
            "server": f"raise max_connections of the server by {raised - room.most}",
        }[room.kind]
    ]
    if shortage.may_pass:
        ways.append("close some of the others' connections; --wait SECONDS waits for that")
    if room.kind in ("role", "user"):
        database = next(database for database in databases if database.alias == alias)
        url = write_lock_url(alias, database.vendor, database.host, database.port, database.name)
        ways.append(f"use another user for the lock, under [tool.dbmigrate]: {url}")
    if len(shortage.aliases) > 1 and room.most - room.others > 1:
        ways.append(f"one at a time: dbmigrate run --database {alias}")
    return f"{'; or '.join(ways)}; or --no-lock, which does not prevent concurrent runs"


def write_lock_url(alias: str, vendor: str, host: str, port: str, name: str) -> str:
    """Return a setting for the lock of a database, with a user to be filled in."""
    scheme = "mysql" if vendor == "mysql" else "postgresql"
    place = quote(host, safe=":") + (f":{port}" if port else "")
    return f'lock_url.{alias} = "{scheme}://USER@{place}/{quote(name)}"'


def _busy(plan: MigrationPlan) -> tuple[str, ...]:
    return tuple(dict.fromkeys(step.alias for step in plan.steps))


def _by_limit(rooms: Rooms, aliases: Sequence[str]) -> list[tuple[Room, tuple[str, ...]]]:
    """Return each limit with those of the aliases that share it; the latest count of others is the largest."""
    sharing: dict[str, list[str]] = {}
    latest: dict[str, Room] = {}
    for alias in aliases:
        for room in rooms.get(alias, ()):
            sharing.setdefault(room.key, []).append(alias)
            if room.key not in latest or room.others > latest[room.key].others:
                latest[room.key] = room
    return [(latest[key], tuple(names)) for key, names in sharing.items()]


def _locks_there(alias: str, room: Room, lock_url: Mapping[str, str]) -> bool:
    """Return whether the connection of a lock counts: not where it is another user's, or leads to another server."""
    url = lock_url.get(alias)
    if url is None:
        return True
    user = urlsplit(url).username
    named = room.name.split("'")[1] if room.kind == "user" else room.name
    return room.kind in ("role", "user") and (user is None or unquote(user) == named)
