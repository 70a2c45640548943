"""The package: what is built, what is in it, and that it can be installed and run."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tarfile
import zipfile
from email import message_from_string

from claims import BIN, ROOT, SAMPLE, Claim, ReleaseFolder, SkippedError, require, run, tracked
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.environments import find_python

from dbmigrate import __version__

PYTHONS = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
TESTS = os.environ.get("RELEASE_TESTS", "tests/unit tests/package/test_release_files.py")
SHARED = (
    "share/man/man1/dbmigrate.1",
    "share/bash-completion/completions/dbmigrate",
    "share/zsh/site-functions/_dbmigrate",
    "share/fish/vendor_completions.d/dbmigrate.fish",
)


def two_builds_are_equal(release: ReleaseFolder) -> None:
    first, second = release.builds
    names = sorted(path.name for path in first.iterdir())
    require(names == sorted(path.name for path in second.iterdir()), "the names differ")
    for name in names:
        require((first / name).read_bytes() == (second / name).read_bytes(), f"{name} differs")


def twine_has_nothing_to_say(release: ReleaseFolder) -> None:
    run([str(BIN / "twine"), "check", "--strict", str(release.wheel), str(release.sdist)], cwd=ROOT)


def wheel_has_the_usual_shape(release: ReleaseFolder) -> None:
    run([str(BIN / "check-wheel-contents"), str(release.wheel)], cwd=release.folder)


def wheel_holds_the_tracked_files(release: ReleaseFolder) -> None:
    with zipfile.ZipFile(release.wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    data = f"{release.wheel.name.rsplit('-', 3)[0]}.data/data/"
    expected = {name.removeprefix("src/") for name in tracked() if name.startswith("src/")}
    differ = names ^ (expected | {data + name for name in SHARED})
    require(not differ, f"only in the wheel or only in git: {sorted(differ)}")
    require("dbmigrate/py.typed" in names, "there is no py.typed")


def sdist_holds_the_tracked_files(release: ReleaseFolder) -> None:
    with tarfile.open(release.sdist) as archive:
        names = {member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()}
    differ = names ^ {*tracked(), "PKG-INFO"}
    require(not differ, f"only in the sdist or only in git: {sorted(differ)}")


def sdist_builds_the_same_wheel(release: ReleaseFolder) -> None:
    folder = release.unpacked("unpacked")
    run([sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", "again"], cwd=folder)
    again = folder / "again" / release.wheel.name
    require(again.read_bytes() == release.wheel.read_bytes(), "the wheel made from the sdist differs")


def sdist_passes_its_tests(release: ReleaseFolder) -> None:
    """Make everything from python3 and make; the other Djangos are those of this folder, if it has them already."""
    folder = release.unpacked("tested")
    if (ROOT / ".cache").is_dir():
        (folder / ".cache").symlink_to(ROOT / ".cache")
    run(["make", "test", f"ARGS={TESTS}"], cwd=folder)


def generated_files_are_current(_: ReleaseFolder) -> None:
    run([sys.executable, ".ci/release/write_generated.py", "--check"], cwd=ROOT)


def manual_page_is_readable(release: ReleaseFolder) -> None:
    if shutil.which("man") is None:
        raise SkippedError("no man here")
    page = ROOT / "dist-man" / "dbmigrate.1"
    page.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(release.wheel) as archive:
        page.write_bytes(next(archive.read(name) for name in archive.namelist() if name.endswith("man1/dbmigrate.1")))
    shown = run(["man", "--warnings", "-E", "ascii", "-l", str(page)], cwd=ROOT, environ={"MANWIDTH": "80"})
    require(not re.search(r"warning(: | \[)", shown) and "dbmigrate - migrate every database" in shown, shown[:2000])


def bill_of_materials_is_valid(release: ReleaseFolder) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    with zipfile.ZipFile(release.wheel) as archive:
        bill = next(archive.read(name).decode() for name in archive.namelist() if "/sboms/" in name)
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill)
    require(wrong is None, str(wrong))
    with zipfile.ZipFile(release.wheel) as archive:
        metadata = next(archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
    requirements = [Requirement(one) for one in message_from_string(metadata).get_all("Requires-Dist", [])]
    needed = {canonicalize_name(one.name) for one in requirements if "extra" not in str(one.marker)}
    named = {canonicalize_name(component["name"]) for component in json.loads(bill)["components"]}
    require(named == needed, f"only in METADATA or only in the bill: {sorted(named ^ needed)}")


def pipx_installs_it(release: ReleaseFolder) -> None:
    home = {"PIPX_HOME": str(release.folder / "pipx"), "PIPX_BIN_DIR": str(release.folder / "bin")}
    home["PIPX_MAN_DIR"] = str(release.folder / "man")
    run([str(BIN / "pipx"), "install", "--python", sys.executable, str(release.wheel)], cwd=ROOT, environ=home)
    executable = [str(release.folder / "bin" / "dbmigrate")]
    _shows_version(executable, release)
    _shows_status(executable, release)


def uvx_runs_it_on_every_python(release: ReleaseFolder) -> None:
    lacking = []
    for version in PYTHONS:
        python = find_python(version)
        if python is None:
            lacking.append(version)
            continue
        uvx = [str(BIN / "uvx"), "--python", python, "--from", str(release.wheel), "dbmigrate"]
        _shows_version(uvx, release)
        _shows_status(uvx, release)
    if lacking:
        raise SkippedError(f"no Python {', '.join(lacking)} here; run on the others")


def _shows_version(command: list[str], release: ReleaseFolder) -> None:
    """What uvx says of its installation stands before the answer."""
    shown = run([*command, "--version"], cwd=release.folder)
    require(shown.splitlines()[-1:] == [f"dbmigrate {__version__}"], shown)


def _shows_status(command: list[str], release: ReleaseFolder, **environ: str) -> None:
    words = ["status", "--project", str(SAMPLE), "--python", sys.executable]
    shown = run([*command, *words], cwd=release.folder, environ=environ)
    require("shop_db" in shown, shown)


def python_3_9_is_refused(release: ReleaseFolder) -> None:
    words = ["install", "--dry-run", "--no-deps", "--no-index", "--target", str(release.folder / "nowhere")]
    shown = run([str(BIN / "uv"), "pip", *words, "--python-version", "3.9", str(release.wheel)], cwd=ROOT, exits=1)
    require("depends on Python>=3.10" in shown, shown)
    python = find_python("3.9")
    if python is None:
        raise SkippedError("no Python 3.9 here: uv refused it, pip was not run")
    shown = run([python, "-m", "pip", *words, str(release.wheel)], cwd=ROOT, exits=1)
    require("requires a different Python" in shown and ">=3.10" in shown, shown)


def without_network_the_wheel_installs(release: ReleaseFolder) -> None:
    folder = release.folder / "without-network"
    run([sys.executable, "-m", "venv", str(folder)], cwd=ROOT)
    python = str(folder / "bin" / "python")
    run([python, "-m", "pip", "install", "--no-index", "--no-deps", str(release.wheel)], cwd=ROOT)
    executable = str(folder / "bin" / "dbmigrate")
    _shows_version([executable], release)
    shown = run([executable, "status"], cwd=ROOT, exits=3)
    require("No module named 'click'" in shown and "Traceback" not in shown, shown)


def a_home_that_takes_no_files_is_enough(release: ReleaseFolder) -> None:
    """No folder can be made in a home that is a file, not even by root."""
    home = release.folder / "home"
    home.touch()
    places = {name: str(home / name) for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    _shows_status([str(BIN / "dbmigrate")], release, HOME=str(home), **places)


PACKAGE = [
    Claim("package", claimed, check)
    for claimed, check in (
        ("two builds give the same bytes", two_builds_are_equal),
        ("twine check --strict finds nothing", twine_has_nothing_to_say),
        ("check-wheel-contents finds nothing", wheel_has_the_usual_shape),
        ("the wheel holds what is in git, manual page, completions and py.typed", wheel_holds_the_tracked_files),
        ("the sdist holds what is in git, and nothing else", sdist_holds_the_tracked_files),
        ("the sdist, without .git, builds the same wheel", sdist_builds_the_same_wheel),
        (f'the sdist passes make test ARGS="{TESTS}"', sdist_passes_its_tests),
        ("manual page, completions, bill and schema are what the program says", generated_files_are_current),
        ("man shows the manual page without a warning", manual_page_is_readable),
        ("the bill of materials is valid CycloneDX and names every requirement", bill_of_materials_is_valid),
        ("pipx install dist/*.whl gives a dbmigrate that runs", pipx_installs_it),
        ("uvx --from dist/*.whl dbmigrate runs on every Python claimed", uvx_runs_it_on_every_python),
        ("uv and pip refuse Python 3.9, with the version that is needed", python_3_9_is_refused),
        ("pip without network installs the wheel, which says what it lacks", without_network_the_wheel_installs),
        ("a home that takes no files is enough", a_home_that_takes_no_files_is_enough),
    )
]
