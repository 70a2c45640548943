"""A twin of the project: its own code, on scratch databases and with copies of its migrations folders.

`reset` does in it first what it is going to do. Which paths below its root the project's code changes meanwhile goes
into a journal, by which afterwards what is new is taken away and what is gone brought back. Nothing of Django is
imported before manage.py has changed sys.path.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import sys
import threading

from .. import boot

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

JOURNAL = "journal"
"""Name of the journal in the twin's folder: a line of JSON for each path before it is changed for the first time."""


def arrange(twin):
    """Make this process one of the twin, before manage.py runs in it (models.target.Twin)."""
    sys.dont_write_bytecode = True
    sys.addaudithook(_Journal(twin["root"], twin["folder"]))
    sys.meta_path.insert(0, _Packages(twin["packages"]))
    boot.patch_on_import("django.db.utils", lambda module: _redirect(module, twin["databases"]))


class _Packages:
    """Imports migrations packages from other folders."""

    def __init__(self, folders):
        self._folders = folders

    def find_spec(self, fullname, path=None, target=None):
        folder = self._folders.get(fullname)
        if folder is None:
            return None
        return importlib.util.spec_from_file_location(
            fullname, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
        )


def _redirect(utils, databases):
    """Let every connection lead to a scratch database, and that of an alias without one nowhere."""
    configure = utils.ConnectionHandler.configure_settings
    create = utils.ConnectionHandler.create_connection

    def configure_settings(handler, configured):
        configured = configure(handler, configured)
        for alias, name in databases.items():
            if alias in configured:
                # In place: code that reads DATABASES on its own is to find the scratch database there, too.
                configured[alias]["NAME"] = name
        return configured

    def create_connection(handler, alias):
        connection = create(handler, alias)
        if alias in databases:
            lead_to(connection, databases[alias])
        else:

            def refuse(*arguments, **options):
                raise utils.OperationalError("it has no scratch database and is not used in the trial")

            connection.get_new_connection = refuse
        return connection

    utils.ConnectionHandler.configure_settings = configure_settings
    utils.ConnectionHandler.create_connection = create_connection


def lead_to(connection, name):
    """Let a connection of Django's lead to another database of its server, whatever its options say."""
    connection.settings_dict["NAME"] = name
    find_parameters = connection.get_connection_params

    def get_connection_params():
        parameters = find_parameters()
        for key in ("dbname", "database", "db"):
            if key in parameters:
                parameters[key] = name
        return parameters

    connection.get_connection_params = get_connection_params


class _Journal:
    """Writes down what is about to be changed below the project's root, outside of the twin's own folder."""

    def __init__(self, root, folder):
        self._root = root + os.sep
        self._folder = folder
        self._known = set()
        self._busy = threading.local()
        self._descriptor = os.open(os.path.join(folder, JOURNAL), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def __call__(self, event, arguments):
        if event == "open":
            if isinstance(arguments[2], int) and arguments[2] & WRITING:
                self._note(arguments[0])
        elif event in ("os.mkdir", "os.truncate", "sqlite3.connect"):
            self._note(arguments[0])
        elif event in ("os.remove", "os.rmdir"):
            self._note(arguments[0], is_going=True)
        elif event in ("os.rename", "os.link", "os.symlink"):
            self._note(arguments[0], is_going=event == "os.rename")
            self._note(arguments[1])

    def _note(self, path, is_going=False):
        if isinstance(path, int) or getattr(self._busy, "is_so", False):
            return
        self._busy.is_so = True
        try:
            folder, name = os.path.split(os.path.abspath(os.fsdecode(path)))
            path = os.path.join(os.path.realpath(folder), name)
            is_known = (path, is_going) in self._known
            if path.startswith(self._root) and not path.startswith(self._folder) and not is_known:
                self._known.add((path, is_going))
                os.write(self._descriptor, json.dumps(self._describe(path, is_going)).encode() + b"\n")
        except (OSError, TypeError, ValueError):
            pass  # what cannot be looked at cannot be changed either
        finally:
            self._busy.is_so = False

    def _describe(self, path, is_going):
        """Return what is there now: nothing, or a file with this content, and a copy of it if it is about to go."""
        if not os.path.lexists(path):
            return {"path": path, "was": "nothing"}
        if not os.path.isfile(path) or os.path.islink(path):
            return {"path": path, "was": "other"}
        copy = os.path.join(self._folder, "copy-{}-{}".format(os.getpid(), len(self._known))) if is_going else None
        if copy is not None:
            shutil.copy2(path, copy)
        return {"path": path, "was": "file", "digest": _digest(path), "copy": copy}


def _digest(path):
    """Return what is the same only for the same content (as in commands/reset_trial.py)."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            block = file.read(1 << 20)
            if not block:
                return digest.hexdigest()
            digest.update(block)
