"""The host: boots the project once, then answers questions until the other side closes the channel."""

from __future__ import annotations

import gc
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from . import boot, named_values
from .channel import Channel
from .host_error import HostError
from .trial import twin

if TYPE_CHECKING:
    from .protocol import Question

ORPHAN_SECONDS = 1.0
"""After dbmigrate was killed in the middle of a run, a server may need so long to see that a child is gone."""


def main():
    """Read the first line (how to boot), boot, and serve; every failure is a reply."""
    started_at = time.monotonic()
    handover = int(sys.argv[2]) if len(sys.argv) > 2 else None
    channel = Channel()
    start = channel.receive()
    if start is None:
        return
    wanted = named_values.Wanted(*start["wanted"])
    # A third of a short process's time is garbage collection and teardown; the host holds nothing that needs either.
    gc.disable()

    def give_up(error):
        values = named_values.collect(wanted, error.__cause__ or error)
        channel.fail(error.kind, error.message, named_values=values, **error.fields)
        raise boot.HostEnds

    if start["twin"] is not None:
        twin.arrange(start["twin"])
    boot.boot_project(
        start["manage"],
        start["words"],
        take_over=lambda opened, watch: _serve(channel, handover, started_at, wanted, opened, watch),
        give_up=give_up,
    )


def _serve(channel, handover, started_at, wanted, opened, watch):
    """Answer questions until there are no more, which raises HostEnds.

    It returns in a copy of this process alone, with what `fork` gives there (fork.Copy).
    """
    # Imported here: they import Django, which only the booted project is sure to have on its path.
    from . import language, swappable_settings
    from .inspection import files, inspection, stability
    from .locks import blockers, locks
    from .migrations import routes
    from .servers import connecting, emptying, holdings, patience, pooling, room, troubles
    from .source import locate
    from .steps import fork
    from .trial import scratch
    from .verification import traces, verification

    swappable_settings.remember()
    held = locks.Locks()
    patient = patience.Patience()
    scratches = scratch.Scratches()
    forker = fork.Forker(channel, held, opened, watch, handover)
    inspector = inspection.Inspector(lambda: forker.why_not_fork(warm_up=False), watch)
    forker.share(inspector)

    def lock(**arguments):
        reply = held.lock(**arguments)
        if not held.has_waited:
            inspector.expect_the_same(held.find_contents())
        return reply

    def inspect(**arguments):
        if arguments["afterwards"]:
            inspector.expect_an_end(held.read_contents())
        return inspector.inspect(**arguments)

    questions: dict[Question, Any] = {
        "inspect": inspect,
        "describe_undoing": inspector.describe_undoing,
        "find_changes": inspector.find_changes,
        "find_unstable": stability.find_unstable,
        "describe_fields": stability.describe_fields,
        "forget": inspector.forget,
        "locate": locate.locate,
        "sql": inspector.write_sql,
        "describe_files": files.describe_files,
        "describe_tables": inspector.describe_tables,
        "database_host": emptying.database_host,
        "describe_holdings": holdings.describe,
        "find_hand_written": emptying.find_hand_written,
        "find_holders": holdings.find_holders,
        "make_scratch": scratches.make,
        "drop_scratch": scratches.drop,
        "empty": emptying.empty,
        "reach": connecting.reach,
        "find_room": room.find_room,
        "count_sessions": pooling.count_sessions,
        "is_recorded": traces.is_recorded,
        "trace": traces.trace,
        "explain": routes.explain,
        "verify": partial(verification.verify, watch),
        "lock": lock,
        "check_locks": partial(held.check, inspector.find_replacements),
        "unlock": held.unlock,
        "end_orphans": held.end_orphans,
        "why_not_fork": forker.why_not_fork,
        "fork": forker.fork,
        "how_ended": forker.how_ended,
        "find_blockers": blockers.find_blockers,
    }
    copying = ("why_not_fork", "fork")  # a copy begins as the project has left the process
    questions.update(
        {name: language.without_translations(questions[name]) for name in questions if name not in copying}
    )
    booted = {"named_values": named_values.collect(wanted), "names": named_values.collect_names()}
    channel.reply(dict(booted, boot_seconds=time.monotonic() - started_at))
    while True:
        request = channel.receive()
        if request is None:
            inspector.give_up()
            forker.end_copies()
            with watch.limit(ORPHAN_SECONDS):
                held.end_orphans(ORPHAN_SECONDS, are_gone=False)
                held.unlock()
            scratches.drop()
            forker.reap_copies()
            raise boot.HostEnds
        try:
            is_copying = request["question"] in copying
            with watch.limit(None if is_copying else request["silence_seconds"], request["servers_seconds"]):
                result: Any = None
                try:
                    result = questions[request["question"]](**request["arguments"])
                finally:
                    if not is_copying:
                        opened.close(held.connections())
        except HostError as error:
            channel.fail(error.kind, error.message, **error.fields)
        except Exception as error:
            alias = request["arguments"].get("alias")
            described = (alias and troubles.find_fault(alias, error)) or boot.describe(error)
            channel.fail(described.kind, described.message, **described.fields)
        else:
            if isinstance(result, fork.Copy):
                opened.stop()
                patient.stop()
                watch.stop()
                return result
            channel.reply(result)
