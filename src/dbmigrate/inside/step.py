"""One step under one more router: run manage.py as it is, with a last router that knows what belongs here.

The first line of stdin is {"scope": models.plan.Scope, "manage": script, "words": what follows it}; afterwards stdin
is empty, as for every step.
"""

import json
import os
import sys

from . import boot


def main():
    """Add the router once Django is set up, and let manage.py run its command."""
    request = json.loads(sys.stdin.readline())
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)

    def patch(management):
        fetch_command = management.ManagementUtility.fetch_command

        def fetch_with_router(utility, subcommand):
            from .scope import add_router

            add_router(request["scope"])
            return fetch_command(utility, subcommand)

        management.ManagementUtility.fetch_command = fetch_with_router

    boot.patch_management(patch)
    boot.run_manage(request["manage"], request["words"])
