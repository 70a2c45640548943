"""Which apps are the project's own: what lies where no packages are installed."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest
from support.cli import dbmigrate
from support.combinations import combinations
from support.projects import MANAGE, Project, applied, create, migration, model, simple_app, write_project

APPS_OUTSIDE = """\
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "apps"))
"""


def write_app(folder: Path, label: str, *, migrated: bool = True) -> None:
    """Write an app with one model somewhere; `migrated`: with the migration that makes it, else with none yet."""
    files = {"__init__.py": "", "models.py": model(), "migrations/__init__.py": ""}
    if migrated:
        files["migrations/0001_initial.py"] = migration(create())
    for path, text in files.items():
        Project(folder / label).write(path, text)


def install(app: Path, label: str) -> None:
    """Write down that a distribution has an app, as pip does."""
    names = [str(file.relative_to(app.parent)) for file in app.rglob("*.py")]
    Project(app.parent).write(f"{label}-1.0.dist-info/RECORD", "".join(f"{name},sha256=x,1\n" for name in names))
    Project(app.parent).write(
        f"{label}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {label}\nVersion: 1.0\n"
    )


def write_outside(root: Path, *labels: str, settings: str = "") -> Project:
    """Write a project in `project/` whose apps are in `../apps`, with no repository around them."""
    project = write_project(root / "project", {}, settings=f"INSTALLED_APPS = {[*labels]!r}\n{settings}")
    project.write("manage.py", APPS_OUTSIDE + MANAGE)
    return project


def owners(project: Project, environment: dict[str, str] | None = None) -> dict[str, tuple[bool, str]]:
    """Return for each app whether it is own and why, as `info` says."""
    answer = dbmigrate("info", "--format", "json", cwd=project.root, environment=environment).expect(0).json
    return {route["label"]: (route["is_own"], route["why"]) for route in answer["result"]["routes"]}


@pytest.mark.parametrize("launcher", combinations(["fork", "spawn"], quick=[("fork",)]))
def test_an_app_beside_the_folder_of_manage_py_is_migrated(tmp_path: Path, launcher: str) -> None:
    write_app(tmp_path / "apps", "shop", migrated=False)
    project = write_outside(tmp_path, "shop")

    dbmigrate("all", "--launcher", launcher, cwd=project.root).expect(0)

    assert (tmp_path / "apps/shop/migrations/0001_initial.py").exists()
    assert applied(project.database("default")) == ["shop.0001_initial"]
    assert "shop_item" in project.tables()["default"]
    assert owners(project) == {"shop": (True, f"in {tmp_path}/apps/shop, where no packages are installed")}


def test_where_an_app_lies_says_whose_it_is(tmp_path: Path) -> None:
    outside = {name: tmp_path / name for name in ("apps", "path", "deps", "sources/editable", "sources/whole")}
    write_app(outside["apps"], "beside")
    write_app(outside["path"], "onpath")
    write_app(outside["deps"], "target")
    install(outside["deps"] / "target", "target")
    write_app(outside["sources/editable"], "linked")
    Project(outside["deps"]).write(
        "linked-1.0.dist-info/direct_url.json",
        json.dumps({"url": outside["sources/editable"].as_uri(), "dir_info": {"editable": True}}),
    )
    write_app(tmp_path / "project/src", "inner")
    write_app(tmp_path / "project/.venv-old/lib/python3.9/site-packages", "old")
    write_app(tmp_path / "real/site-packages", "behind")
    (tmp_path / "project/behind").symlink_to(tmp_path / "real/site-packages/behind")
    write_app(tmp_path / "apps", "before")
    (tmp_path / "real/site-packages/before").symlink_to(tmp_path / "apps/before")
    with zipfile.ZipFile(tmp_path / "zipped.egg", "w") as egg:
        write_app(tmp_path / "packed", "zipped")
        for file in sorted((tmp_path / "packed").rglob("*.py")):
            egg.write(file, file.relative_to(tmp_path / "packed"))
    labels = ["beside", "onpath", "target", "linked", "inner", "old", "behind", "zipped"]
    project = write_outside(
        tmp_path,
        "django.contrib.contenttypes",
        *labels,
        settings=f"import sys\nsys.path += [str(BASE / 'src'), str(BASE / '.venv-old/lib/python3.9/site-packages')]\n"
        f"sys.path += [{os.fspath(outside['sources/editable'])!r}, {os.fspath(tmp_path / 'zipped.egg')!r}]\n",
    )

    found = owners(project, {"PYTHONPATH": f"{outside['path']}:{outside['deps']}"})

    assert found == {
        "contenttypes": (False, "part of Django"),
        "beside": (True, f"in {tmp_path}/apps/beside, where no packages are installed"),
        "onpath": (True, f"in {tmp_path}/path/onpath, where no packages are installed"),
        "target": (False, f"installed in {tmp_path}/deps"),
        "linked": (
            False,
            f"an editable install from {tmp_path}/sources/editable, which is outside of the project's root "
            f"{tmp_path}/project",
        ),
        "inner": (True, "below the project's root"),
        "old": (False, f"installed in {tmp_path}/project/.venv-old/lib/python3.9/site-packages"),
        "behind": (False, f"installed in {tmp_path}/real/site-packages"),
        "zipped": (False, f"in the archive {tmp_path}/zipped.egg"),
    }


def test_an_editable_install_of_what_holds_the_project_is_own(tmp_path: Path) -> None:
    write_app(tmp_path / "apps", "shop")
    Project(tmp_path / "deps").write(
        "site-1.0.dist-info/direct_url.json", json.dumps({"url": tmp_path.as_uri(), "dir_info": {"editable": True}})
    )
    project = write_outside(tmp_path, "shop")

    assert owners(project, {"PYTHONPATH": str(tmp_path / "deps")})["shop"][0]


def test_an_editable_install_within_the_repository_is_own(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    write_app(tmp_path / "apps", "shop")
    Project(tmp_path / "deps").write(
        "shop-1.0.dist-info/direct_url.json",
        json.dumps({"url": (tmp_path / "apps").as_uri(), "dir_info": {"editable": True}}),
    )
    project = write_outside(tmp_path, "shop")

    assert owners(project, {"PYTHONPATH": str(tmp_path / "deps")}) == {"shop": (True, "below the project's root")}


def test_what_pip_installed_into_the_project_s_own_folder_is_third_party(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"core": simple_app(), "vendor": simple_app()})
    install(project.root / "vendor", "vendor")
    project.write("vendor/models.py", model("Item", "name = models.CharField(max_length=30)"))

    outcome = dbmigrate("all", cwd=project.root).expect(0)

    assert owners(project) == {
        "core": (True, "below the project's root"),
        "vendor": (False, f"installed in {tmp_path}"),
    }
    assert "the models of vendor changed, but no migration covers this" in outcome.stderr
    assert [file.name for file in (tmp_path / "vendor/migrations").glob("0*.py")] == ["0001_initial.py"]


def test_the_egg_info_of_the_project_itself_installs_nothing(tmp_path: Path) -> None:
    project = write_project(tmp_path, {"core": simple_app()})
    project.write("site.egg-info/SOURCES.txt", "core/__init__.py\ncore/models.py\n")
    project.write("site.egg-info/PKG-INFO", "Metadata-Version: 2.1\nName: site\nVersion: 1.0\n")

    assert owners(project) == {"core": (True, "below the project's root")}


def test_migrations_that_the_project_keeps_for_a_package_are_its_own(tmp_path: Path) -> None:
    project = write_project(
        tmp_path,
        {},
        settings="import sys\nsys.path.append(str(BASE / 'lib/site-packages'))\nINSTALLED_APPS = ['vendor']\n"
        "MIGRATION_MODULES = {'vendor': 'kept.vendor'}\n",
    )
    write_app(tmp_path / "lib/site-packages", "vendor")
    project.write("kept/__init__.py", "")
    project.write("kept/vendor/__init__.py", "")

    dbmigrate("all", cwd=project.root).expect(0)

    assert (tmp_path / "kept/vendor/0001_initial.py").exists()
    assert owners(project) == {"vendor": (True, "below the project's root")}


def test_info_says_it_to_people_too(tmp_path: Path) -> None:
    write_app(tmp_path / "apps", "shop")
    project = write_outside(tmp_path, "django.contrib.contenttypes", "shop")

    said = dbmigrate("info", cwd=project.root).expect(0).stdout.splitlines()

    at = said.index("Who owns the apps")
    assert said[at + 1 : at + 3] == [
        f"  own, in {tmp_path}/apps/shop, where no packages are installed: shop",
        "  third-party, part of Django: contenttypes",
    ]
