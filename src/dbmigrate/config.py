"""Find, read, merge and validate the configuration, and remember where each value came from.

Standard library only: it is read before the host starts, and the host starts before pydantic is loaded.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dbmigrate.errors import UsageError
from dbmigrate.models.settings import LINTER, THIRD_PARTY, UNMARKED, DatabaseSettings, Settings
from dbmigrate.nearest import nearest
from dbmigrate.system import looking, shortened

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "pyproject.toml"
TABLE = "[tool.dbmigrate]"
PREFIX = "DBMIGRATE_"

FORMATS = ("auto", "rich", "plain", "json", "jsonl", "github")
LAUNCHERS = ("auto", "fork", "spawn")
SCOPES = ("app", "database")
UNCLAIMED_POLICIES = ("skip", "migrate")
RECEIVER_POLICIES = ("always", "pending")
PHASES = ("pre", "post")

MOST_SECONDS = 2_000_000
"""23 days. The servers and the system count time-outs in milliseconds, most of them in 31 bits."""

MOST_NUMBER = 10_000
"""Of databases at the same time, or of tries."""

# Kubernetes puts these into every container of a namespace that has a service named "dbmigrate".
_SERVICE_LINK = re.compile(r"DBMIGRATE_(SERVICE_(HOST|PORT)|PORT)(_.*)?")


@dataclass(frozen=True)
class Form:
    """What a value may be; the JSON Schema of the table has a part for each name."""

    name: Literal["text", "number", "seconds", "truth", "names", "urls", "phases", "choice"]
    read: Callable[[object, str], Any]
    """(value, where it stands) -> value, or a UsageError."""
    choices: tuple[str, ...] = ()
    """Of a choice: its values."""


@dataclass(frozen=True)
class Key:
    """One configuration key; its words stand in the documents."""

    form: Form
    default: str
    meaning: str


@dataclass(frozen=True)
class ConfigFile:
    """The `[tool.dbmigrate]` table and the file it is in."""

    path: Path
    table: object
    """A dictionary, if the file is right."""


@dataclass(frozen=True)
class Flag:
    """A value given on the command line, and the flag's name."""

    name: str
    value: Any


def flags_of(options: Mapping[str, Any]) -> dict[str, Flag]:
    """Return those of a command's options that were given and are configuration keys."""
    given = {key: options[key] for key in KEYS if options.get(key) is not None}
    return {key: Flag(f"--{key.replace('_', '-')}", value) for key, value in given.items()}


def find_config_file(folder: Path) -> ConfigFile | None:
    """Return the nearest pyproject.toml, from this folder upwards, that has a `[tool.dbmigrate]` table.

    Raises:
        UsageError: a pyproject.toml on the way cannot be read.
        ProjectError: the system lets nobody look whether there is one.
    """
    for above in (folder, *folder.parents):
        path = above / FILE_NAME
        with looking():
            if not path.is_file():
                continue
        tool = _read_toml(path).get("tool", {})
        if not isinstance(tool, dict):
            raise UsageError(f"{path}: tool is not a table", hint="write [tool.NAME] above the keys of each tool")
        if "dbmigrate" in tool:
            return ConfigFile(path=path, table=tool["dbmigrate"])
    return None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "make it readable for this user, or move it away"
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=hint) from error
    except ValueError as error:
        raise UsageError(f"{path} cannot be read: {shortened(str(error))}", hint="fix the file") from error
    except RecursionError as error:
        raise UsageError(f"{path} cannot be read: it is nested too deeply", hint="fix the file") from error


def merge_settings(file: ConfigFile | None, environ: Mapping[str, str], flags: Mapping[str, Flag]) -> Settings:
    """Merge the file, `DBMIGRATE_*` and the flags; the later wins.

    Raises:
        UsageError: a key that does not exist or a value that does not fit, with the place it stands in.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys((*KEYS, "databases"), "default")
    for key, (value, origin) in (_read_file(file) | _read_environ(environ)).items():
        values[key], origins[key] = value, origin
    for key, flag in flags.items():
        values[key], origins[key] = KEYS[key].form.read(flag.value, flag.name), flag.name
    return Settings(**values, origins=origins)


def _read_file(file: ConfigFile | None) -> dict[str, tuple[Any, str]]:
    if file is None:
        return {}
    origin = f"{file.path} {TABLE}"
    if not isinstance(file.table, dict):
        raise UsageError(f"{origin}: is not a table", hint="write the keys below a line that says [tool.dbmigrate]")
    found: dict[str, tuple[Any, str]] = {}
    for key, value in file.table.items():
        if key == "databases":
            found[key] = (_read_databases(value, origin), str(file.path))
        elif key in KEYS:
            found[key] = (KEYS[key].form.read(value, f"{origin} {key}"), str(file.path))
        else:
            raise UsageError(
                f"{origin}: there is no key {shortened(key)}", hint=nearest(key, (*KEYS, "databases"), what="keys")
            )
    return found


def _read_databases(value: object, origin: str) -> dict[str, DatabaseSettings]:
    if not isinstance(value, dict) or not all(isinstance(table, dict) for table in value.values()):
        raise UsageError(f"{origin} databases: is not a table", hint="write [tool.dbmigrate.databases.ALIAS]")
    read = {}
    for alias, table in value.items():
        for key in table:
            if key not in DATABASE_KEYS:
                raise UsageError(
                    f"{origin} databases.{alias}: there is no key {shortened(key)}",
                    hint=nearest(key, DATABASE_KEYS, what="keys"),
                )
        read[alias] = DatabaseSettings(
            **{key: DATABASE_KEYS[key].form.read(table[key], f"{origin} databases.{alias}.{key}") for key in table}
        )
    return read


def _read_environ(environ: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    found: dict[str, tuple[Any, str]] = {}
    for name in sorted(environ):
        if not name.startswith(PREFIX) or _SERVICE_LINK.fullmatch(name):
            continue
        key = name.removeprefix(PREFIX).lower()
        if key not in KEYS:
            names = [PREFIX + known.upper() for known in KEYS]
            raise UsageError(f"unknown variable {name} in the environment", hint=nearest(name, names, what="variables"))
        if environ[name]:  # an empty variable is how a shell or a compose file says "not set"
            found[key] = (KEYS[key].form.read(environ[name], name), name)
    return found


def _text(value: object, origin: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{origin}: {_shown(value)} is not a string", hint='write it in quotes, for example "value"')
    if not value.strip():
        raise UsageError(f"{origin}: {_shown(value)} is empty", hint="write a value, or leave it out")
    if not _is_passed_on(value):
        raise UsageError(f"{origin}: {_shown(value)} contains a NUL character", hint="remove the NUL character")
    return value


def _is_passed_on(text: str) -> bool:
    """Return whether a text can be a path, an argument and a variable of the environment."""
    return "\0" not in text


def _shown(value: object) -> str:
    try:
        return shortened(repr(value))
    except ValueError:  # Python writes down no more than 4300 digits
        return "a number of more than 4300 digits"


def _number(value: object, origin: str) -> int:
    number = value
    if isinstance(value, str):
        try:
            number = int(value)
        except ValueError:
            number = None
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MOST_NUMBER:
        raise UsageError(
            f"{origin}: {_shown(value)} is not a whole number between 1 and {MOST_NUMBER}", hint="write for example 4"
        )
    return number


def _truth(value: object, origin: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    if not isinstance(value, bool):
        raise UsageError(f"{origin}: {_shown(value)} is neither true nor false", hint="write true or false")
    return value


def _names(value: object, origin: str) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",") if name.strip()]
    if not isinstance(value, Sequence) or not all(isinstance(name, str) and _is_passed_on(name) for name in value):
        raise UsageError(f"{origin}: {_shown(value)} is not a list of names", hint='write for example ["archive"]')
    return tuple(value)


def _ids(value: object, origin: str) -> tuple[str, ...]:
    return tuple(read_check_id(name) for name in _names(value, origin))


def read_check_id(name: str) -> str:
    """Return the id of a check as it is written: "DBM101", or "squawk:ban-drop-column" for a rule of the linter."""
    return name.lower() if name.lower().startswith(LINTER) else name.upper()


def _seconds(value: object, origin: str) -> float:
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        seconds = -1.0
    if isinstance(value, bool) or not 0 <= seconds <= MOST_SECONDS:
        raise UsageError(
            f"{origin}: {_shown(value)} is not a number of seconds between 0 and {MOST_SECONDS}",
            hint="write for example 30",
        )
    return seconds


def _urls(value: object, origin: str) -> dict[str, str]:
    if isinstance(value, str):
        value = _entries(value, origin, "ALIAS=URL")
    if not isinstance(value, dict) or not all(_is_url(url) for url in value.values()):
        raise UsageError(
            f"{origin}: is not a URL for each database", hint='write for example { default = "postgresql://host/name" }'
        )
    return value


def _entries(value: str, origin: str, form: str) -> dict[str, str]:
    entries = [entry.strip() for entry in value.split(",") if entry.strip()]
    wrong = next((entry for entry in entries if "=" not in entry), None)
    if wrong is not None:
        raise UsageError(
            f"{origin}: {_shown(wrong)} is not of the form {form}", hint=f"write {form}, with commas between"
        )
    return dict(entry.split("=", 1) for entry in entries)


def _phases(value: object, origin: str) -> dict[str, str]:
    if isinstance(value, str):
        value = _entries(value, origin, "PATTERN=pre or PATTERN=post")
    if not isinstance(value, dict):
        raise UsageError(f"{origin}: {_shown(value)} is not a table", hint=f"{_FOR_EXAMPLE} below it")
    read = {}
    for key, phase in value.items():
        if isinstance(phase, dict):  # blog.0007 = "post": TOML takes what stands before the dot for a table
            hint = f'write it in quotes, for example "{key}.{next(iter(phase), "*")}" = "post"'
            raise UsageError(f"{origin}: {key} is a table and not the name of migrations", hint=hint)
        choices = (*PHASES, "ask") if key in (THIRD_PARTY, UNMARKED) else PHASES
        read[key] = _one_of(choices)(phase, f"{origin} {key}")
    return read


_FOR_EXAMPLE = 'write [tool.dbmigrate.phases], and lines such as "blog.0007*" = "post"'


def _is_url(value: object) -> bool:
    return isinstance(value, str) and "://" in value and _is_passed_on(value)


def _one_of(choices: Sequence[str]) -> Callable[[object, str], str]:
    def read(value: object, origin: str) -> str:
        if value not in choices:
            hint = nearest(value if isinstance(value, str) else _shown(value), choices, what="choices")
            raise UsageError(f"{origin}: {_shown(value)} is not one of {', '.join(choices)}", hint=hint)
        return str(value)

    return read


def _choice(choices: tuple[str, ...]) -> Form:
    return Form("choice", _one_of(choices), choices)


TEXT = Form("text", _text)
NUMBER = Form("number", _number)
SECONDS = Form("seconds", _seconds)
TRUTH = Form("truth", _truth)
NAMES = Form("names", _names)
IDS = Form("names", _ids)
URLS = Form("urls", _urls)
PHASE_OF = Form("phases", _phases)

KEYS: Mapping[str, Key] = {
    "settings": Key(TEXT, "see below", 'settings module, for example `"myproj.settings"`'),
    "manage": Key(TEXT, "`manage.py`", 'command to run instead of manage.py, for example `"kiosk manage"`'),
    "python": Key(TEXT, "see below", "the project's interpreter, or the folder of its environment"),
    "jobs": Key(
        NUMBER,
        "the number of CPUs; if a database is on a server, four times that, but at most 16",
        "databases to migrate in parallel; 1 means one at a time",
    ),
    "launcher": Key(
        _choice(LAUNCHERS), '`"auto"`', "`fork`, `spawn` or `auto`: how migrate processes are started; see below"
    ),
    "scope": Key(_choice(SCOPES), '`"app"`', "`app` or `database`: what is migrated on a database; see below"),
    "open": Key(
        _choice(UNCLAIMED_POLICIES),
        '`"skip"`',
        'a database on which nothing belongs is skipped; `"migrate"` creates everything there that no router refuses',
    ),
    "receivers": Key(
        _choice(RECEIVER_POLICIES),
        '`"always"`',
        'receivers of migrate signals: `"pending"` calls them only where something is pending',
    ),
    "exclude": Key(NAMES, "`[]`", "databases to skip"),
    "order": Key(NAMES, "`[]`", "databases to migrate in this order; without `default` in it, after `default`"),
    "ignore": Key(
        IDS,
        "`[]`",
        'checks not to report, for example `["DBM206"]`; one that stops a run cannot be ignored, except DBM209, '
        "DBM210, DBM211, DBM212, DBM305 and DBM307, which become warnings",
    ),
    "skip_makemigrations": Key(TRUTH, "`false`", "do not create migrations"),
    "keep_going": Key(
        TRUTH, "`false`", "after a failure, continue with databases that do not depend on the failed one"
    ),
    "wait": Key(SECONDS, "`0`", "seconds to wait for unreachable databases"),
    "lock_wait": Key(SECONDS, "`60`", "seconds to wait for another run on the same database"),
    "grace": Key(SECONDS, "no limit", "seconds that running migrations may take after SIGTERM or SIGHUP"),
    "step_timeout": Key(SECONDS, "no limit", "seconds after which a migrate process is interrupted"),
    "ddl_lock_timeout": Key(
        SECONDS, "the server's setting", "PostgreSQL: seconds that a migration waits for a table lock"
    ),
    "ddl_retries": Key(NUMBER, "`5`", "retries after that, with increasing delays"),
    "lock_url": Key(URLS, "`{}`", "per alias: the URL that the lock's connection uses, to bypass a pooler; see below"),
    "phases": Key(
        PHASE_OF,
        "`{}`",
        'what runs before and after a deploy (`--phase`), by pattern: `"blog.0007*" = "post"`; `third_party` for '
        "third-party apps, `unmarked` for what is otherwise undecided",
    ),
    "format": Key(
        _choice(FORMATS),
        '`"auto"`',
        "`rich`, `plain`, `json`, `jsonl` or `github`; `auto`: `rich` on a terminal, `github` in GitHub Actions",
    ),
}
"""Every key."""

DATABASE_KEYS: Mapping[str, Key] = {name: KEYS[name] for name in ("scope", "open")}
"""What `[tool.dbmigrate.databases.<alias>]` may hold."""
