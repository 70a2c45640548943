"""The comment on a pull request, made from the document of `dbmigrate plan --sql -o FILE`. Standard library only."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterator
from typing import Any

MOST_CHARACTERS = 65_000
"""GitHub accepts 65 536."""

MOST_ROWS, MOST_FINDINGS = 200, 50
TOO_LONG = "\n\nThe rest is too long for a comment: `dbmigrate plan --sql` prints it.\n"

CommentKey = tuple[str, str, str]
"""The working directory, the settings and the arguments: each triple has a comment of its own."""


def mark_of(key: CommentKey) -> str:
    """Return the first line of the comment, by which it is found again; it is not shown.

    The arguments stand in it as a digest: they may be long, and nothing of them may end the mark.
    """
    *shown, args = key
    words = [re.sub(r"[^A-Za-z0-9._/]", "_", word)[:200] for word in shown]
    return f"<!-- dbmigrate plan {' '.join(words)} {hashlib.sha256(args.encode()).hexdigest()[:12]} -->"


def comment_of(document: Any, key: CommentKey) -> str:
    """Return the text: what is pending where, what is dangerous, and the SQL of each database, folded.

    What is too long ends at a whole line or before a whole database's SQL, and says so.
    """
    text = "\n".join((mark_of(key), *_body(document))) + "\n"
    room = MOST_CHARACTERS - len(TOO_LONG)
    if len(text) > room:
        whole_lines = text[:room].rpartition("\n")[0]
        return whole_lines + TOO_LONG
    for part in _sql(document):
        if len(text) + len(part) > room:
            return text.rstrip("\n") + TOO_LONG
        text += part
    return text


def _body(document: Any) -> Iterator[str]:
    error, result = document["error"], document["result"]
    if result is None:
        yield "### dbmigrate could not make a plan"
        if error is not None:
            yield from ("", _plain(error["message"]))
            if error["hint"]:
                yield from ("", f"hint: {_plain(error['hint'])}")
        return
    plan = result["plan"]
    pending = [(step, migration) for step in plan["steps"] for migration in step["migrations"]]
    aliases = list(dict.fromkeys(step["alias"] for step, _ in pending))
    yield f"### dbmigrate plan: {_count(len(pending), 'migration')} on {_count(len(aliases), 'database')}"
    if plan.get("digest"):
        yield from ("", f"Digest: `{plan['digest'][:12]}`")
    if pending:
        yield from _table(pending)
    for refusal in [result["refusal"]] if result.get("refusal") else []:
        yield from ("", f"A run would be refused: {_plain(refusal['message'])}")
    dangers = plan["findings"]
    if dangers:
        yield from ("", "**What to know before it runs**", "")
        yield from (f"- {one['level']} {one['id']}: {_plain(one['message'])}" for one in dangers[:MOST_FINDINGS])
        if len(dangers) > MOST_FINDINGS:
            yield f"- and {len(dangers) - MOST_FINDINGS} more"


def _table(pending: list[tuple[Any, Any]]) -> Iterator[str]:
    """Yield a row for each migration; a column for phases where the plan has them: a new database takes all at once."""
    has_phases = any(migration.get("phase") for _, migration in pending)
    yield ""
    yield "| database | migration |" + (" phase |" if has_phases else "")
    yield "|---|---|" + ("---|" if has_phases else "")
    for step, migration in pending[:MOST_ROWS]:
        undone = " (undone)" if migration["backwards"] else ""
        row = f"| {_plain(step['alias'])} | {_plain(migration['id'])}{undone} |"
        yield row + (f" {_plain(migration.get('phase') or 'at once')} |" if has_phases else "")
    if len(pending) > MOST_ROWS:
        yield f"| | and {len(pending) - MOST_ROWS} more |" + (" |" if has_phases else "")


def _sql(document: Any) -> Iterator[str]:
    for step in (document["result"] or {}).get("sql") or ():
        statements = [
            line for one in step["migrations"] for line in (f"-- {one['id']}", *one["statements"], one["problem"] or "")
        ]
        text = "\n".join(statement for statement in statements if statement)
        longest = max((len(run) for run in re.findall("`+", text)), default=0)
        fence = "`" * max(3, longest + 1)
        title = f"SQL on {_plain(step['alias'])}: {_count(len(step['migrations']), 'migration')}"
        yield f"\n<details><summary>{title}</summary>\n\n{fence}sql\n{text}\n{fence}\n\n</details>\n"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _plain(text: str) -> str:
    """Return a text in one line that GitHub shows as it is: no tags, no table, no mention, no link."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"[|@`*_\[\]#\\~!]", lambda match: f"&#{ord(match[0])};", escaped)
