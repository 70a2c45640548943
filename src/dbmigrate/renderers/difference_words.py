"""What each difference between a saved plan and the databases and files of now says."""

from __future__ import annotations

from collections.abc import Sequence

from dbmigrate.listing import listed
from dbmigrate.models.differences import (
    AppliedDiffers,
    CatalogueDiffers,
    CodeDiffers,
    DatabaseDiffers,
    Difference,
    DigestDiffers,
    PlanDiffers,
    RoutesDiffer,
    StatementsDiffer,
)

MOST_DIFFERENCES = 10

_CHANGES = {"added": "got", "removed": "lost"}

_ANSWERS = {"yes": "yes", "no": "no", "none": "nothing", "error": "an error", None: "no"}


def difference_lines(differences: Sequence[Difference]) -> list[str]:
    """Return a line for each of the first differences, the cause first, and how many more there are."""
    lines = [f"{one.cause}: {sentence_of(one)}" for one in differences[:MOST_DIFFERENCES]]
    left = len(differences) - MOST_DIFFERENCES
    return [*lines, f"and {left} more"] if left > 0 else lines


def statement_lines(differences: Sequence[Difference]) -> list[str]:
    """Return the SQL of then and of now where both are known, for `-v`."""
    lines: list[str] = []
    for one in differences[:MOST_DIFFERENCES]:
        if isinstance(one, StatementsDiffer):
            for when, statements in (("then", one.before), ("now", one.now)):
                said = ["(not in the document: save it with --sql)"] if statements is None else statements
                lines += [f"-- {one.migration} on {one.alias}, {when}:", *said]
    return lines


def sentence_of(difference: Difference) -> str:
    """Return what differs, without its cause."""
    match difference:
        case CodeDiffers():
            return _code(difference)
        case DatabaseDiffers():
            return f"{difference.alias} is another database than the one that the plan was made for"
        case AppliedDiffers():
            return _applied(difference)
        case CatalogueDiffers():
            return _catalogue(difference)
        case RoutesDiffer():
            what = f"{difference.app}.{difference.model}" if difference.model else difference.app
            before, now = _ANSWERS[difference.before], _ANSWERS[difference.now]
            return f"the routers said {before} for {what} on {difference.alias}, and say {now} now"
        case StatementsDiffer():
            then, now = difference.django
            why = f"; Django was {then} and is {now}" if then != now else ""
            return f"{difference.migration} would run other SQL on {difference.alias}{why}"
        case PlanDiffers():
            return _plan(difference)
        case DigestDiffers():
            return f"the plan has the digest {difference.now}, and {difference.expected} was expected"


def _code(difference: CodeDiffers) -> str:
    match difference.change:
        case "edited":
            return f"{difference.migration} was edited since"
        case "removed":
            return f"{difference.migration} has no file any more"
        case "replaced":
            return f"{difference.migration} was squashed into {difference.name}"
        case "calls":
            return f"{difference.name}, which {difference.migration} calls, was edited since"
        case "added":
            return f"{difference.migration} is pending on {listed(difference.aliases)} and is not in the plan"


def _applied(difference: AppliedDiffers) -> str:
    alias = difference.alias
    if difference.migration is None:
        before, now = difference.counts or (0, 0)
        return f"{alias}: {before} migrations were recorded, and {now} are, not the same ones"
    if not difference.is_applied:
        return f"{alias}: {difference.migration} is not recorded any more"
    at = f" at {difference.at}" if difference.at else ""
    return f"{alias}: {difference.migration} was applied{at}, after the plan was made"


def _catalogue(difference: CatalogueDiffers) -> str:
    table = f"{difference.alias}: table {difference.table}"
    match difference.part:
        case "table":
            return f"{table} {'exists now' if difference.change == 'added' else 'is gone'}"
        case "definition":
            return f"{table} has another definition (constraints)"
        case part:
            noun = "column" if part == "column" else "index or constraint"
            if difference.change == "changed":
                return f"{table} has another {noun} {difference.name}"
            return f"{table} {_CHANGES[difference.change]} the {noun} {difference.name}"


def _plan(difference: PlanDiffers) -> str:
    match difference.change:
        case "order":
            return "the steps have another order"
        case "writes":
            return f"models of {listed(difference.apps)} changed and have no migrations yet"
        case "added":
            return f"step {difference.step} is not in it; the configuration differs"
        case "removed":
            return f"step {difference.step} is not needed any more; the configuration differs"
        case "changed":
            return f"step {difference.step} would run differently; the configuration differs"
