"""DBM105: a model for which makemigrations would never stop writing."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.apps import Unstable
from dbmigrate.models.findings import Finding
from dbmigrate.models.migrations import label_of
from dbmigrate.models.snapshot import Snapshot
from dbmigrate.planning.routing import Routing


def find_endless_migrations(snapshot: Snapshot, _routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each field, or the options of a model, that differs in each process."""
    for unstable in snapshot.unstable:
        label = label_of(unstable.model)
        what = f"{unstable.model}.{unstable.field}" if unstable.field is not None else f"Meta of {unstable.model}"
        yield Finding(
            id="DBM105",
            level="warning",
            stops=False,
            message=f"makemigrations would write a new migration every time for {what}: {_reason(unstable)}",
            hint=_hint(unstable),
            apps=(label,),
            subject=("field", unstable.model, unstable.field)
            if unstable.field is not None
            else ("model", unstable.model),
        )


def _reason(unstable: Unstable) -> str:
    if unstable.kind == "set":
        return f"its order comes from {unstable.why}, which differs in each process"
    if unstable.kind == "call":
        return f"{unstable.why} is called when the class is created, so its value differs each time"
    return "its definition differed in a second process"


def _hint(unstable: Unstable) -> str:
    if unstable.kind == "set":
        return "write a list in the order you want, or sorted(...) around the set; then once: dbmigrate make " + (
            label_of(unstable.model)
        )
    if unstable.kind == "call":
        function = unstable.why.removesuffix("()")
        return (
            f"pass the function itself, for example default={function} without parentheses, or a function of the "
            "module "
            f"that calls {unstable.why}"
        )
    return (
        "make it the same in every process: no set order, no clock, no random number, no host name; to "
        "compare two: PYTHONHASHSEED=1 and PYTHONHASHSEED=2 with makemigrations --dry-run -v 3"
    )
