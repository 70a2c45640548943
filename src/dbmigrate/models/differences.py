"""How what is there now differs from what a saved plan was made from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dbmigrate.models.base import Value
from dbmigrate.models.migrations import Answer, MigrationId


class CodeDiffers(Value):
    """A file that the plan depends on is another one."""

    cause: Literal["code"] = "code"
    migration: MigrationId
    change: Literal["edited", "removed", "added", "replaced", "calls"]
    """"added": it is pending and not in the plan. "replaced": a squashed one stands for it. "calls": what its
    RunPython calls was edited."""
    name: str | None = None
    """Of the module that it calls, or of the migration that replaces it."""
    aliases: tuple[str, ...] = ()
    """For "added": where it is pending."""


class DatabaseDiffers(Value):
    """An alias leads to another physical database."""

    cause: Literal["database"] = "database"
    alias: str


class AppliedDiffers(Value):
    """Other migrations are recorded on a database."""

    cause: Literal["applied"] = "applied"
    alias: str
    migration: MigrationId | None
    """None where it cannot be said which."""
    is_applied: bool
    """Whether it is recorded now and was not; or the other way round."""
    at: str | None = None
    """When it was recorded, ISO 8601."""
    counts: tuple[int, int] | None = None
    """Without a migration: how many were recorded, and are."""


class CatalogueDiffers(Value):
    """A table that the plan touches is another one."""

    cause: Literal["catalogue"] = "catalogue"
    alias: str
    table: str
    part: Literal["table", "column", "index", "definition"]
    """"index": or a constraint."""
    change: Literal["added", "removed", "changed"]
    name: str = ""
    """Of the column, index or constraint."""


class RoutesDiffer(Value):
    """The routers answer differently for a planned app."""

    cause: Literal["routes"] = "routes"
    alias: str
    app: str
    model: str | None
    """Lower-case name; None for all that are not named."""
    before: Answer | None
    """None: the alias or the app was not there."""
    now: Answer | None


class StatementsDiffer(Value):
    """A migration would run other SQL."""

    cause: Literal["statements"] = "statements"
    alias: str
    migration: MigrationId
    django: tuple[str, str]
    """The versions of Django then and now."""
    before: tuple[str, ...] | None = None
    """The statements; None where the plan was saved without `--sql`."""
    now: tuple[str, ...] | None = None


class PlanDiffers(Value):
    """A step is another one for a reason that none of the others is: the configuration, or an option."""

    cause: Literal["plan"] = "plan"
    step: str | None
    """None for the order of the steps, and for migrations that would be written."""
    change: Literal["added", "removed", "changed", "order", "writes"]
    apps: tuple[str, ...] = ()
    """For "writes": those whose models changed and have no migrations yet."""


class DigestDiffers(Value):
    """The digest is not the one that was expected; what differs cannot be seen in it."""

    cause: Literal["digest"] = "digest"
    expected: str
    now: str


Difference = Annotated[
    CodeDiffers
    | DatabaseDiffers
    | AppliedDiffers
    | CatalogueDiffers
    | RoutesDiffer
    | StatementsDiffer
    | PlanDiffers
    | DigestDiffers,
    Field(discriminator="cause"),
]
