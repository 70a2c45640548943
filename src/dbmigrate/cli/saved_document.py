"""Read the document of a saved plan: whatever is in the file, the answer is a plan or one sentence."""

from __future__ import annotations

import json
import re
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from dbmigrate import __version__
from dbmigrate.errors import UsageError
from dbmigrate.models.check_ids import DANGERS
from dbmigrate.system import shortened

if TYPE_CHECKING:
    from dbmigrate.models.basis import SavedPlan
    from dbmigrate.models.migrations import MigrationId
    from dbmigrate.models.selection import Selection

MOST_BYTES = 64 << 20
"""Of a document; that of a thousand migrations on a hundred databases is a tenth of it."""

SAVE = "save a plan with: dbmigrate plan -o FILE"


@dataclass(frozen=True)
class Document:
    """A saved plan."""

    plan: SavedPlan
    statements: dict[tuple[str, MigrationId], tuple[str, ...]]
    """By (alias, migration): its SQL, where the plan was saved with `--sql`."""
    phases: dict[tuple[str, MigrationId], str]
    """By (alias, migration): the phase of a deploy in which it runs, as it is shown."""
    warnings: tuple[str, ...]
    """What the plan said of its dangers, and warned of."""


def read_document(cwd: Path, name: str) -> Document:
    """Return the plan that a file holds.

    Raises:
        UsageError: it holds none, or none that this version can apply.
    """
    if name == "-":
        raise UsageError("apply requires a file name, and - is not one (nothing was changed)", hint=SAVE)
    envelope = _parse(name, _read(cwd / name, name))
    result = _check_envelope(name, envelope)
    plan = _build_plan(name, result["plan"])
    return Document(plan, _read_statements(name, result), _read_phases(result["plan"]), _read_warnings(result["plan"]))


def _refuse(name: str, why: str, hint: str = SAVE) -> NoReturn:
    raise UsageError(f"{shortened(name)} {why} (nothing was changed)", hint=hint)


def _read(path: Path, name: str) -> bytes:
    try:
        # A pipe that nobody writes to would be waited for.
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            _refuse(name, "is a folder, not a saved plan")
        if not stat.S_ISREG(status.st_mode):
            _refuse(name, "is not a regular file")
        if status.st_size > MOST_BYTES:
            _refuse(name, f"is too large for a saved plan: {status.st_size >> 20} MB, at most {MOST_BYTES >> 20}")
        return path.read_bytes()
    except OSError as error:
        _refuse(name, f"cannot be read: {error.strerror or error}")
    except ValueError:
        _refuse(name, "cannot be read: its name contains a NUL character")


def _parse(name: str, content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_without_doubles)
    except _DoubleKeyError as error:
        _refuse(name, f"is not a document of dbmigrate: it has the key {shortened(str(error))} twice")
    except RecursionError:
        _refuse(name, "is not a document of dbmigrate: it is nested too deeply")
    except json.JSONDecodeError as error:
        cut = ", as if it were cut off" if error.pos >= len(error.doc.rstrip()) and error.doc.strip() else ""
        _refuse(name, f"is not JSON: {error.msg} in line {error.lineno}{cut}")
    except ValueError:
        _refuse(name, "is not JSON: it is not UTF-8, or has a number that is too long")


class _DoubleKeyError(ValueError):
    """A key stands twice in one object, so that readers disagree about which one counts."""


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _DoubleKeyError(json.dumps(key))
        found[key] = value
    return found


def _check_envelope(name: str, envelope: Any) -> dict[str, Any]:
    """Return the answer of a document of `plan`."""
    if not isinstance(envelope, dict) or not {"version", "command", "exit"} <= envelope.keys():
        _refuse(name, "is JSON, but not a document of dbmigrate")
    if envelope["version"] != 1:
        _refuse(name, "was written by a later dbmigrate", hint=f"upgrade dbmigrate (this is {__version__})")
    result, command = envelope.get("result"), envelope["command"]
    kind = result.get("type") if isinstance(result, dict) else None
    if not isinstance(result, dict) or kind != "plan":
        of = f"is the document of dbmigrate {shortened(str(command))}" if command else "is the document of an error"
        if command in ("plan", "all", "run") and kind is None:
            _refuse(name, f"{of}, which ended with an error and has no plan")
        _refuse(name, f"{of}, not a saved plan")
    plan = result.get("plan")
    if not isinstance(plan, dict):
        _refuse(name, "has no plan")
    if plan.get("make") is not None:
        _refuse(
            name,
            "has a plan that writes migrations first, which cannot be applied later",
            hint="write them first: dbmigrate make; or save a plan without them: dbmigrate plan --skip-makemigrations "
            "-o FILE",
        )
    basis = plan.get("basis")
    if not isinstance(basis, dict) or plan.get("digest") is None:
        _refuse(name, "has a plan without its basis: nothing says what it was made from")
    if basis.get("version") != 1 or _major(basis) > int(__version__.split(".")[0]):
        _refuse(name, "was written by a later dbmigrate", hint=f"upgrade dbmigrate (this is {__version__})")
    if basis.get("statements") is None:
        _refuse(name, "was printed, not saved: the hashes of its statements are missing")
    return result


def _major(basis: dict[str, Any]) -> int:
    versions = basis.get("versions")
    version = versions.get("dbmigrate") if isinstance(versions, dict) else None
    found = re.match(r"\d{1,9}", version) if isinstance(version, str) else None
    return int(found[0]) if found else 0


def _build_plan(name: str, plan: dict[str, Any]) -> SavedPlan:
    from pydantic import ValidationError

    from dbmigrate.models.basis import SavedPlan
    from dbmigrate.models.known_keys import known_part
    from dbmigrate.planning.basis import digest_of

    try:
        saved = SavedPlan.model_validate(known_part(plan, SavedPlan))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(str(part) for part in ("plan", *first["loc"]))
        _refuse(name, f"has no plan that can be read: {shortened(at)}: {shortened(first['msg'])}")
    if digest_of(saved.selection, saved.steps, saved.basis) != saved.digest:
        _refuse(name, "was changed after it was written: its digest is another one")
    hashed = {(one.alias, one.migration) for one in saved.basis.statements or ()}
    wanted = [(step.alias, one.id) for step in saved.steps for one in step.migrations if one.does]
    missing = next((identifier for alias, identifier in wanted if (alias, identifier) not in hashed), None)
    if missing is not None:
        _refuse(name, f"was changed after it was written: the hash of what {shortened(missing)} runs is missing")
    return saved


def _read_statements(name: str, result: dict[str, Any]) -> dict[tuple[str, MigrationId], tuple[str, ...]]:
    """Return the SQL of a document."""
    found = {}
    try:
        for step in result.get("sql") or []:
            for migration in step["migrations"]:
                statements = migration["statements"]
                if not isinstance(statements, list) or not all(isinstance(one, str) for one in statements):
                    raise TypeError
                found[str(step["alias"]), str(migration["id"])] = tuple(statements)
    except (TypeError, KeyError):
        _refuse(name, "has SQL that cannot be read")
    return found


def _read_phases(plan: dict[str, Any]) -> dict[tuple[str, MigrationId], str]:
    """Return the phases of a plan that can be read; its steps have their form."""
    return {
        (step["alias"], one["id"]): one["phase"]
        for step in plan["steps"]
        for one in step["migrations"]
        if isinstance(one.get("phase"), str)
    }


def _read_warnings(plan: dict[str, Any]) -> tuple[str, ...]:
    """Return warnings and dangers of a plan; what has another form is left out, for nothing is decided by it."""
    findings = plan.get("findings")
    return tuple(
        f"{one['id']}: {one['message']}"
        for one in (findings if isinstance(findings, list) else [])
        if isinstance(one, dict)
        and isinstance(one.get("id"), str)
        and isinstance(one.get("message"), str)
        and (one.get("level") != "note" or one["id"] == DANGERS)
    )


def save_again(name: str, selection: Selection) -> str:
    """Return what to type for a plan that no longer holds: the same selection again."""
    words = [word for alias in selection.databases for word in ("--database", alias)]
    words += [word for label in selection.apps for word in ("--app", label)]
    words += ["--to", selection.to] if selection.to is not None else []
    words += ["--phase", selection.phase] if selection.phase is not None else []
    flags = {
        "--fake": selection.fake,
        "--fake-initial": selection.fake_initial,
        "--run-syncdb": selection.run_syncdb,
        "--always": selection.always,
    }
    words += [flag for flag, is_given in flags.items() if is_given]
    return shlex.join(["dbmigrate", "plan", "--skip-makemigrations", *words, "-o", shortened(name)])
