"""DBM105: a model for which makemigrations would never stop writing."""

from __future__ import annotations

from collections.abc import Iterator

from dbmigrate.models.findings import Finding
from dbmigrate.models.snapshot import Snapshot, Unstable
from dbmigrate.planning.routing import Routing


def find_endless_migrations(snapshot: Snapshot, _routing: Routing) -> Iterator[Finding]:
    """Yield a finding for each field, or the options of a model, that differs in each process."""
    for unstable in snapshot.unstable:
        label = unstable.model.split(".", 1)[0]
        what = f"{unstable.model}.{unstable.field}" if unstable.field is not None else f"Meta of {unstable.model}"
        yield Finding(
            id="DBM105",
            level="warning",
            stops=False,
            message=f"makemigrations would never stop writing for {what}: {_reason(unstable)}",
            hint=_hint(unstable),
            apps=(label,),
            subject=("field", unstable.model, unstable.field)
            if unstable.field is not None
            else ("model", unstable.model),
        )


def _reason(unstable: Unstable) -> str:
    if unstable.kind == "set":
        return f"it takes its order from {unstable.why}, which has another order in each process"
    if unstable.kind == "call":
        return f"{unstable.why} is called when the class is made, so its value is a new one each time"
    return "its definition differed in a second process"


def _hint(unstable: Unstable) -> str:
    if unstable.kind == "set":
        return (
            "write a list in the order that you want, or sorted(...) around the set; then once: dbmigrate make "
            + (unstable.model.split(".", 1)[0])
        )
    if unstable.kind == "call":
        function = unstable.why.removesuffix("()")
        return (
            f"pass the function itself, for example default={function} without brackets, or a function of the module "
            f"that calls {unstable.why}"
        )
    return (
        "let it be the same in every process: no order of a set, no clock, no random number, no host name; "
        "see two of them: PYTHONHASHSEED=1 and PYTHONHASHSEED=2 with makemigrations --dry-run -v 3"
    )
