"""The action: its steps, run as the runner runs them, and its installation."""

from __future__ import annotations

import sys

import yaml
from claims import ROOT, Claim, ReleaseFolder, require, run

from dbmigrate import __version__


def steps_do_what_the_inputs_say(_: ReleaseFolder) -> None:
    run([sys.executable, "-m", "pytest", "-n", "0", "-q", "tests/package/test_action.py"], cwd=ROOT)


def it_installs_itself(release: ReleaseFolder) -> None:
    """Its copy has a version that no index has."""
    action, folder = release.unpacked("action"), release.folder / "runner"
    folder.mkdir()
    own = f"{__version__}+of.this.action"
    (action / "src" / "dbmigrate" / "__init__.py").write_text(f'"""dbmigrate."""\n\n__version__ = "{own}"\n')
    step = yaml.safe_load((action / "action.yml").read_text())["runs"]["steps"][0]
    environ = {"RUNNER_TEMP": str(folder), "GITHUB_ACTION_PATH": str(action), **dict.fromkeys(step["env"], "")}
    run(["bash", "-e", "-c", step["run"]], cwd=ROOT, environ=environ)
    executable = str(folder / "dbmigrate-action" / "environment" / "bin" / "dbmigrate")
    shown = run([executable, "--version"], cwd=ROOT)
    require(shown == f"dbmigrate {own}\n", shown)


ACTION = [
    Claim("action", "its steps run, comment once, and run nothing that an input says", steps_do_what_the_inputs_say),
    Claim("action", "it installs the version that it came with", it_installs_itself),
]
