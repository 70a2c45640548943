"""The image of docs/examples, without an engine: its lines run in a scratch root, with no right to write there."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from pathlib import Path

from claims import BIN, ROOT, SAMPLE, Claim, ReleaseFolder, require, run

EXAMPLES = ROOT / "docs" / "examples"
OWN_PATHS = re.compile(r"(?<![\w./])/(?=opt/|app\b|usr/local/bin/|entrypoint\.sh)")
"""The paths of the image that it makes itself; what it only reads (/bin, /usr, /tmp) is this machine's."""


def hadolint_finds_nothing(_: ReleaseFolder) -> None:
    run([str(BIN / "hadolint"), str(EXAMPLES / "Dockerfile")], cwd=ROOT)


def it_migrates_in_a_root_that_is_only_read(release: ReleaseFolder) -> None:
    root = release.folder / "image"
    state = release.folder / "state"
    for folder in (root / "opt", root / "usr" / "local" / "bin", root / "app", state):
        folder.mkdir(parents=True)
    environ = _build(root, release.wheel, state)
    _make_read_only(root)

    server = [str(root / "entrypoint.sh"), "gunicorn", "--check-config", "myproj.wsgi"]
    shown = run([*_without_capabilities(), *server], cwd=root / "app", environ=environ, clean_environment=True)
    require("All migrations completed successfully" in shown, shown)
    require(sorted(path.suffix for path in state.iterdir()).count(".sqlite3") == 3, str([*state.iterdir()]))
    touch = [*server[:1], "touch", str(root / "app" / "written")]
    again = run([*_without_capabilities(), *touch], cwd=root / "app", environ=environ, clean_environment=True, exits=1)
    require("Nothing pending" in again and "Permission denied" in again, again)
    require(
        _instructions("USER") == ["10001:10001"],
        "the image runs as root, or as a user whose name a cluster cannot check",
    )
    require(json.loads(_instructions("CMD")[0])[0] == "gunicorn", "another CMD than what was run")
    require(_instructions("ENTRYPOINT") == ['["/entrypoint.sh"]'], "another ENTRYPOINT than what was run")


def _build(root: Path, wheel: Path, state: Path) -> dict[str, str]:
    """Do what the lines say, in their order, below a root; return the environment that they set."""
    shutil.copytree(SAMPLE, root / "app", dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sqlite3"))
    shutil.copy(EXAMPLES / "entrypoint.sh", root / "entrypoint.sh")
    (root / "entrypoint.sh").chmod(0o755)
    for line in _instructions("RUN"):
        own = OWN_PATHS.sub(f"{root}/", re.sub(r"\bdbmigrate==[\d.]+", str(wheel), line))
        run(["sh", "-e", "-c", own], cwd=root / "app", clean_environment=True)
    path = f"{root}/usr/local/bin:{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": "/nonexistent", "SAMPLE_DATABASE_DIR": str(state)}
    for line in _instructions("ENV"):
        for name, value in (word.split("=", 1) for word in line.split()):
            environ[name] = OWN_PATHS.sub(f"{root}/", value).replace("$PATH", environ["PATH"])
    return environ


def _instructions(name: str) -> list[str]:
    text = (EXAMPLES / "Dockerfile").read_text().replace("\\\n", "")
    return re.findall(rf"^{name} (.*)$", text, re.M)


def _without_capabilities() -> list[str]:
    """Return what takes from root the right to write everywhere; another user than this one may not see this Python."""
    if os.getuid() != 0:
        return []
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"]


def _make_read_only(root: Path) -> None:
    """Take the right to write from every file and folder: a root file system that is only read."""
    for folder, _, names in os.walk(root):
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            if not path.is_symlink():
                path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)


IMAGE = [
    Claim("image", "hadolint finds nothing in the Dockerfile", hadolint_finds_nothing),
    Claim(
        "image",
        "its RUN and ENTRYPOINT lines run in a root that nothing is written to",
        it_migrates_in_a_root_that_is_only_read,
    ),
]
