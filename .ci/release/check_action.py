"""The action: its steps, run as the runner runs them, and its installation."""

from __future__ import annotations

import sys

from claims import ROOT, Line, Workshop, claim, run


def steps_do_what_the_inputs_say(_: Workshop) -> None:
    run([sys.executable, "-m", "pytest", "-n", "0", "-q", "tests/package/test_action.py"], cwd=ROOT)


def it_installs_itself(workshop: Workshop) -> None:
    folder = workshop.folder / "runner"
    folder.mkdir()
    environ = {"RUNNER_TEMP": str(folder), "GITHUB_ACTION_PATH": str(workshop.unpacked("action"))}
    run(
        ["bash", "-e", "-c", 'python3 "$GITHUB_ACTION_PATH/.ci/action/action_steps.py" install'],
        cwd=ROOT,
        environ=environ,
    )
    executable = str(folder / "dbmigrate-action" / "environment" / "bin" / "dbmigrate")
    claim("dbmigrate " in run([executable, "--version"], cwd=ROOT), "no version")


ACTION = [
    Line("action", "its steps run, comment once, and run nothing that an input says", steps_do_what_the_inputs_say),
    Line("action", "it installs the version that it came with", it_installs_itself),
]
