"""What makes a command fail and is no finding: pending migrations, silent databases, records that are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from dbmigrate.listing import MANY, listed
from dbmigrate.models.database import INCURABLE, describe_silence
from dbmigrate.renderers import verify_words, words

if TYPE_CHECKING:
    # A run has nothing to do with the answers of the other commands, and need not load them.
    from dbmigrate.models.reports import AnyReport, NotChecked
    from dbmigrate.models.verification import VerifiedDatabase


def failures(report: AnyReport) -> Iterator[tuple[str, str | None]]:
    """Give a sentence for each thing that fails the command of an answer, in addition to its findings, and its hint."""
    unreachable: Sequence[NotChecked | VerifiedDatabase] = ()
    pending: Mapping[str, Sequence[str]] = {}
    cures: Mapping[str, str] = {}
    match report.type:
        case "check":
            unreachable, cures = report.not_checked, report.cures
            pending = report.pending or {}
        case "verify":
            unreachable, cures = [database for database in report.databases if database.error], report.cures
            pending = report.pending
            for database in report.databases:
                for sentence in verify_words.drift_sentences(database):
                    yield f"{database.alias}: {sentence}", None
        case "wait":
            for silent in report.silent:
                assert silent.trouble is not None
                no_help = "; waiting will not help" if silent.trouble in INCURABLE else ""
                yield f"database {silent.alias}: {words.TROUBLES[silent.trouble]}: {silent.error}{no_help}", None
        case _:
            pass
    for silence in unreachable:
        yield describe_silence(silence.alias, silence.trouble, silence.error), cures.get(silence.alias)
    yield from ((sentence, None) for sentence in _pending_sentences(pending))


def _pending_sentences(pending: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Give a sentence for each database with pending migrations; of many databases those that are alike share one."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for alias, migrations in pending.items():
        if migrations:
            # Where there are few each is a group of its own.
            groups.setdefault((*migrations, *([] if len(pending) > MANY else [alias])), []).append(alias)
    for aliases in groups.values():
        migrations = pending[aliases[0]]
        yield f"{listed(aliases)}: {words.plural(len(migrations), 'migration')} pending: {listed(migrations)}"
