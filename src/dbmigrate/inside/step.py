"""One step: become manage.py, or run it with a last router that knows what belongs here; never outlive dbmigrate.

The first line of stdin is {"parent": process id of dbmigrate, "scope": models.plan.Scope or null, "manage": script,
"words": what follows it}; afterwards stdin is empty.
"""

import json
import os
import signal
import sys

from . import boot


def main():
    """Become manage.py; or add the router once Django is set up, and let manage.py run its command."""
    request = json.loads(sys.stdin.readline())
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    _end_with(request["parent"])
    if request["scope"] is None:
        os.execv(sys.executable, [sys.executable, *request["manage"], *request["words"]])

    def patch(management):
        fetch_command = management.ManagementUtility.fetch_command

        def fetch_with_router(utility, subcommand):
            from .scope import add_router

            add_router(request["scope"])
            return fetch_command(utility, subcommand)

        management.ManagementUtility.fetch_command = fetch_with_router

    boot.patch_management(patch)
    boot.run_manage(request["manage"], request["words"])


def _end_with(parent):
    """Ask for SIGINT when dbmigrate dies: its lock is free then, and psycopg cancels the statement on the server.

    It survives exec. Only Linux has it (prctl(2), PR_SET_PDEATHSIG).
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None, use_errno=True).prctl(set_parent_death_signal, int(signal.SIGINT), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("dbmigrate has ended")
