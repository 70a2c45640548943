"""One step: become manage.py, or run it with the guard router or marked sessions; never outlive dbmigrate.

The first line of stdin is {"parent": process id of dbmigrate, "death": the signal for when it dies, "scope":
models.plan.GuardScope or null, "is_watched": whether to say why a migration failed, "is_forward": whether it may undo
nothing, "twin": models.target.Twin or null, "manage": script, "words": what follows it}; afterwards stdin is empty.
"""

import functools
import json
import os
import signal
import sys

from .. import boot, ending
from ..locks import session_marks
from ..trial import twin
from . import forward, retelling


def main():
    """Become manage.py; or run it here, where it needs something of ours."""
    request = json.loads(sys.stdin.readline())
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    end_with(request["parent"], request["death"])
    descriptor = retelling.take_descriptor()
    run = session_marks.read_marks()
    if request["twin"] is not None:
        twin.arrange(request["twin"])
    elif not (request["scope"] or run or request["is_watched"] or request["is_forward"]):
        try:
            os.execv(sys.executable, [sys.executable, *request["manage"], *request["words"]])
        except UnicodeEncodeError:
            pass  # the locale has no bytes for a name among the words; within this process they need none
    if request["is_watched"] and descriptor is not None:
        retelling.arrange(descriptor)
    if request["is_forward"]:
        forward.arrange()
    _run(request["manage"], request["words"], request["scope"], run)


def _run(manage, words, scope, run):
    """Run manage.py in this process; `scope` (models.plan.GuardScope) adds the router once Django is set up.

    `run`: as of `arrange_in_copy`.
    """
    from ..migrations.guard_router import add_router

    def arrange(management):
        if run is not None:
            session_marks.mark_sessions(run)
        if scope is None:
            return
        execute_as_django = management.ManagementUtility.execute

        def set_up(setup):
            setup()
            add_router(scope)

        def execute(utility):
            management.ManagementUtility.execute = execute_as_django
            boot.replace_next_setup(set_up)
            execute_as_django(utility)

        management.ManagementUtility.execute = execute

    boot.patch_management(arrange)
    # Of what manage.py raises, the interpreter prints no frames but those that a fresh process would have.
    sys.excepthook = ending.print_without_ours
    boot.run_manage(manage, words)


def arrange_in_copy(scope, descriptor, is_forward, run):
    """Do for a step, in a copy of the process that has booted, what `main` does for one in a process of its own.

    `descriptor`: where to say why a migration failed (`retelling`), None if that is not wanted. `is_forward`: whether
    it may undo nothing. `run`: what it is to know of its run (session_marks), None if its sessions are not marked.
    """
    from ..migrations.guard_router import add_router

    if descriptor is not None:
        retelling.arrange(descriptor)
    if is_forward:
        forward.arrange()
    if run is not None:
        session_marks.mark_sessions(run)
    if scope is not None:
        add_router(scope)


def runs(pid):
    """Whether a child of this process runs; one that has ended is reaped."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    except ChildProcessError:  # a project that ignores SIGCHLD has its children reaped by the system
        return False


def end(pid):
    """End a child of this process, if it runs, and reap it."""
    if not runs(pid):
        return
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass  # it has ended meanwhile


@functools.lru_cache(maxsize=None)
def _find_prctl():
    import ctypes

    return ctypes.CDLL(None, use_errno=True).prctl


def end_with(parent, number):
    """Ask for a signal when the parent dies.

    It survives exec. Only Linux has it (prctl(2), PR_SET_PDEATHSIG).
    """
    if not sys.platform.startswith("linux"):
        return
    set_parent_death_signal = 1
    _find_prctl()(set_parent_death_signal, int(number), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("dbmigrate has ended")
