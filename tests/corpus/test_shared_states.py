"""What forked steps take from the process they are copied from is what Django makes, on projects that others wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.cli import dbmigrate
from support.corpus import Batch, make_batches
from support.environments import environment
from support.projects import Project, write_project
from support.witness import CONTRIB, add_witness, read_notes

from corpus import CASES

EVERYWHERE = "class Router:\n    def allow_migrate(self, db, app_label, **_):\n        return True\n"
SETTINGS = """\
DATABASE_ROUTERS = ["everything.Router"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
CONSTANCE_BACKEND = "constance.backends.database.DatabaseBackend"
"""


def see(project: Project, launcher: str, notes: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Migrate what can be migrated; return the exit code and what receivers have seen, by alias and moment."""
    notes.mkdir()
    words = ("all", "--skip-makemigrations", "--keep-going", "--launcher", launcher, *options)
    outcome = dbmigrate(*words, cwd=project.root, environment={"NOTES": str(notes)})
    return outcome.code, {name: _in_order(each["saw"]) for name, each in read_notes(notes).items()}


def _in_order(saw: dict[str, Any]) -> dict[str, Any]:
    """Return what was seen with the models sorted: Django renders related ones in the order of a set, by their hash."""
    labels, *models = saw["apps"]
    return {**saw, "apps": [labels, *sorted(models, key=lambda model: model["label"])]}


@pytest.mark.soak
@pytest.mark.parametrize("batch", make_batches(CASES), ids=lambda batch: batch.name)
def test_every_project_of_the_corpus_shows_receivers_the_same_states(batch: Batch, tmp_path: Path) -> None:
    seen = []
    for launcher in ("fork", "spawn"):
        project, _ = batch.write(tmp_path / launcher)
        add_witness(project)
        seen.append(see(project, launcher, tmp_path / f"{launcher}-notes", *batch.cases[0].options))

    assert seen[0] == seen[1]


@pytest.mark.soak
@pytest.mark.parametrize(
    ("name", "apps"),
    [
        ("axes-and-silk-old", ("axes", "silk")),
        ("axes-and-silk-new", ("axes", "silk")),
        ("django42", ("constance",)),
        ("django52", ("constance",)),
    ],
)
def test_applications_from_pypi_show_receivers_the_same_states(
    name: str, apps: tuple[str, ...], tmp_path: Path
) -> None:
    seen = []
    for launcher in ("fork", "spawn"):
        project = write_project(
            tmp_path / launcher,
            {},
            aliases=("default", "first", "second"),
            contrib=(*CONTRIB, *apps),
            settings=SETTINGS,
        )
        project.write("everything.py", EVERYWHERE)
        add_witness(project)
        seen.append(see(project, launcher, tmp_path / f"{launcher}-notes", "--python", environment(name)))

    assert seen[0] == seen[1]
    assert seen[0][0] == 0, json.dumps(seen[0])[:2000]
    assert len(seen[0][1]) == 6
