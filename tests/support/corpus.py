"""Small projects with a fault, or with what only looks like one; each says in its own text what has to be found."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import dedent
from typing import Any

from support.projects import Project, write_project

MARK = re.compile(r"# <- (.*)$")
CLAIM = re.compile(r"(DBM\d+)(?: ([\w, ]+?))??(?: on ([\w, ]+?))?(?: \(([\w, ]+)\))?")

LEVELS = {
    "DBM104": "warning",
    "DBM105": "warning",
    "DBM203": "warning",
    "DBM204": "warning",
    "DBM206": "warning",
    "DBM208": "warning",
    "DBM303": "note",
    "DBM304": "note",
}
"""Where it is not "error"; a claim in brackets is another one."""

STOPPING = {"DBM102", "DBM103", "DBM201", "DBM202", "DBM204", "DBM205", "DBM207", "DBM211", "DBM212"}
"""What stops a run, unless the claim says "(goes on)"."""

MODELS_HEAD = "from django.db import models\nfrom django.db.models import CASCADE\n\n\n"

MIGRATION_HEAD = """\
from django.db import migrations, models
from django.db.models import CASCADE

ID = ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))


"""

Found = tuple[str, tuple[str, ...], tuple[str, ...], str | None, str, bool]
"""Id, apps, aliases, file:line, level, whether it stops."""


@dataclass(frozen=True)
class Case:
    """A project, and what `check` finds in it: no more and no less."""

    name: str
    files: str
    """Each file under a line `== path`. models.py and migrations begin with the imports they all need. A line that is
    found ends with `# <- DBM201 blog, accounts on blog_db`: id, apps, databases; in brackets what is not as usual."""
    finds: tuple[str, ...] = ()
    """The same for what is found in no file."""
    aliases: tuple[str, ...] | Mapping[str, Mapping[str, Any]] = ("default", "blog_db")
    rules: Mapping[str, str] | None = None
    """App label -> alias: a router that answers everything. A routers.py among the files is used as it is."""
    settings: str = ""
    contrib: tuple[str, ...] = ()
    recorded: Mapping[str, str] = field(default_factory=dict)
    """By alias: the rows of django_migrations, with spaces between."""
    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By alias: names of tables, or statements."""
    options: tuple[str, ...] = ()
    """Of `dbmigrate check`."""

    @property
    def is_faulty(self) -> bool:
        """Whether anything has to be found."""
        return bool(self.finds) or "# <- " in self.files + self.settings

    def twin(self, name: str, changed: Mapping[str, str] | None = None, **more: Any) -> Case:
        """Return the same project with some text changed, in which nothing is found but what `more` says."""
        texts = {"files": self.files, "settings": self.settings}
        for old, new in (changed or {}).items():
            assert any(old in text for text in texts.values()), f"{self.name}: there is no {old!r}"
            texts = {key: text.replace(old, new) for key, text in texts.items()}
        texts = {key: re.sub(r" *# <- .*$", "", text, flags=re.M) for key, text in texts.items()}
        return replace(self, **{"name": name, **texts, "finds": (), **more})

    def renamed(self, suffix: str) -> Case:
        """Return the same case with another name for each of its packages."""
        words = {path.split("/")[0] for path in _split(self.files) if "/" in path}
        pattern = re.compile(rf"(?<!\w)({'|'.join(words)})(?!_db)(?=\b|_)", re.IGNORECASE)

        def rename(text: str) -> str:
            return pattern.sub(rf"\g<1>{suffix}", text)

        return replace(
            self,
            files=rename(self.files),
            rules=None if self.rules is None else {rename(label): alias for label, alias in self.rules.items()},
            recorded={alias: rename(rows) for alias, rows in self.recorded.items()},
            tables={alias: tuple(rename(name) for name in names) for alias, names in self.tables.items()},
        )

    def write(self, root: Path) -> tuple[Project, list[Found]]:
        """Write the project with its databases; return it with what has to be found, sorted."""
        texts = _split(self.files)
        project = write_project(root, {}, aliases=self.aliases, rules=self.rules, settings=self._settings(texts))
        expected = [_read_claim(claim, None) for claim in self.finds]
        for path, text in texts.items():
            written = _head(path) + text
            project.write(path, written)
            for number, line in enumerate(written.splitlines(), start=1):
                if mark := MARK.search(line):
                    expected += [_read_claim(claim, f"{path}:{number}") for claim in mark.group(1).split(" and ")]
            packages = [folder for folder in Path(path).parents if folder != Path() and path.endswith(".py")]
            for package in packages:
                file = f"{package}/__init__.py"
                if file not in texts and package.name != "site-packages" and not (root / file).exists():
                    project.write(file, "")
        for path in [path for path in texts if path.endswith("/__init__.py") and texts[path].startswith("absent")]:
            (root / path).unlink()
        for number, line in enumerate((root / "site_settings.py").read_text().splitlines(), start=1):
            if mark := MARK.search(line):
                expected += [_read_claim(claim, f"site_settings.py:{number}") for claim in mark.group(1).split(" and ")]
        for alias in {*self.recorded, *self.tables}:
            _make_database(project.database(alias), self.recorded.get(alias, ""), self.tables.get(alias, ()))
        return project, sorted(expected, key=repr)

    def _settings(self, texts: Mapping[str, str]) -> str:
        apps = dict.fromkeys(path.split("/")[0] for path in texts if re.search(r"/(models\.py|migrations/)", path))
        lines = [f"INSTALLED_APPS = {[*self.contrib, *apps]!r}"]
        classes = re.findall(r"^class (\w*Router)\b", texts.get("routers.py", ""), re.M)
        if classes:
            lines.append(f"DATABASE_ROUTERS = {[f'routers.{name}' for name in classes]!r}")
        return "\n".join([*lines, dedent(self.settings)]) + "\n"


def read_findings(document: Any) -> list[Found]:
    """Return the findings of `check --format json`, sorted."""
    found = [
        (
            finding["id"],
            tuple(finding["apps"]),
            tuple(finding["aliases"]),
            None if finding["file"] is None else f"{finding['file']}:{finding['line']}",
            finding["level"],
            finding["stops"],
        )
        for finding in document["result"]["findings"]
    ]
    return sorted(found, key=repr)


def _split(files: str) -> dict[str, str]:
    parts = re.split(r"^== (.*)\n", dedent(files), flags=re.M)
    assert not parts[0].strip(), parts[0]
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _head(path: str) -> str:
    if path.endswith("/models.py"):
        return MODELS_HEAD
    return MIGRATION_HEAD if re.search(r"migrations/\w+\.py$", path) and "__init__" not in path else ""


def _read_claim(text: str, place: str | None) -> Found:
    match = CLAIM.fullmatch(text.strip())
    assert match is not None, text
    identifier, apps, aliases, unusual = match.groups()
    words = unusual.split(", ") if unusual else []
    level = next((word for word in words if word in ("note", "warning", "error")), LEVELS.get(identifier, "error"))
    stops = identifier in STOPPING and level == "error" and "goes on" not in words
    return identifier, _names(apps), _names(aliases), place, level, stops


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(", ")) if text else ()


def _make_database(file: Path, recorded: str, tables: tuple[str, ...]) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(
            "CREATE TABLE django_migrations (id integer PRIMARY KEY AUTOINCREMENT, app text, name text, applied text)"
        )
        for identifier in recorded.split():
            connection.execute(
                "INSERT INTO django_migrations (app, name, applied) VALUES (?, ?, '2026-01-01 00:00:00')",
                identifier.split(".", 1),
            )
        for table in tables:
            connection.execute(table if " " in table else f'CREATE TABLE "{table}" (id integer PRIMARY KEY)')
        connection.commit()


ALONE = re.compile(r"== (routers\.py|pyproject\.toml|databases\.py)|# <- .*DBM(103|20[267])")
"""What is about the project as a whole, so that no other case can share it."""


@dataclass(frozen=True)
class Batch:
    """Cases that are written into one project, each with apps of its own; most of a check's time is the project's."""

    cases: tuple[Case, ...]

    @property
    def name(self) -> str:
        """Name of the first, and how many there are."""
        more = len(self.cases) - 1
        return self.cases[0].name + (f" (and {more} more)" if more else "")

    def write(self, root: Path) -> tuple[Project, list[Found]]:
        """Write the one project; return it with what has to be found, sorted."""
        if len(self.cases) == 1:
            return self.cases[0].write(root)
        renamed = [case.renamed(str(number)) for number, case in enumerate(self.cases)]
        together = replace(
            self.cases[0],
            files="".join(dedent(case.files) for case in renamed),
            rules=None
            if self.cases[0].rules is None
            else {k: v for case in renamed for k, v in (case.rules or {}).items()},
            recorded=_joined(" ".join, [case.recorded for case in renamed]),
            tables=_joined(
                lambda parts: tuple(name for part in parts for name in part), [case.tables for case in renamed]
            ),
        )
        return together.write(root)

    def name_of(self, found: Found) -> str:
        """Return the name of the case that a finding is about."""
        number = re.search(r"\d+$", found[1][0]) if found[1] else None
        return self.cases[int(number.group())].name if number and len(self.cases) > 1 else self.cases[0].name


def make_batches(cases: Sequence[Case]) -> list[Batch]:
    """Put cases together that are about their apps alone."""
    batches: dict[object, list[Case]] = {}
    for number, case in enumerate(cases):
        is_alone = ALONE.search(case.files) or case.settings or case.contrib or case.finds or case.options
        key = number if is_alone else (tuple(case.aliases), case.rules is None)
        batches.setdefault(key, []).append(case)
    return [Batch(tuple(together)) for together in batches.values()]


def _joined(join: Callable[[list[Any]], Any], by_alias: list[Mapping[str, Any]]) -> dict[str, Any]:
    aliases = dict.fromkeys(alias for mapping in by_alias for alias in mapping)
    return {alias: join([mapping[alias] for mapping in by_alias if alias in mapping]) for alias in aliases}
