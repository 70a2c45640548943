"""Which apps are the project's own, so that makemigrations may write for them; and why."""

import glob
import json
import os
import site
import sys
import sysconfig
import urllib.parse
import urllib.request

import django

PACKAGES = ("site-packages", "dist-packages")
"""Names of folders that an interpreter installs into, whichever interpreter that is."""


class Ownership:
    """Judges folders of migrations in one look at the project."""

    def __init__(self, root):
        """`root`: the project's, as models.target.Target has it."""
        self._root = os.path.realpath(root)
        self._django = os.path.dirname(os.path.realpath(django.__file__))
        self._installed = _package_folders()
        self._sources = None
        self._recorded = {}

    def judge(self, folder):
        """Return (whether it is the project's own, why) for a folder that migrations are in, or would be."""
        real = os.path.realpath(folder)
        foreign = self._find_foreign(real)
        if foreign is not None:
            return False, foreign
        if _is_below(real, self._root):
            return True, "below the project's root"
        source = next((source for source in self._editable_sources() if _is_below(real, source)), None)
        if source is not None and not _is_below(self._root, source):
            return False, "an editable install from {}, which is outside of the project's root {}".format(
                source, self._root
            )
        return True, "in {}, where no packages are installed".format(os.path.dirname(real))

    def _find_foreign(self, real):
        """Return why a folder is a package's that somebody installed, or None."""
        archive = _find_archive(real)
        if archive is not None:
            return "in the archive {}".format(archive)
        if _is_below(real, self._django):
            return "part of Django"
        place = _find_part(real, lambda part: part in PACKAGES or part.endswith(".egg"))
        place = place or next((place for place in self._installed if _is_below(real, place)), None)
        if place is not None:
            return "installed in {}".format(place)
        # What `pip install --target` fills has any name, and may be the project's own folder.
        app = os.path.dirname(real)
        for entry in {os.path.realpath(entry or os.curdir) for entry in sys.path}:
            if app != entry and _is_below(app, entry) and self._is_recorded(os.path.relpath(app, entry), entry):
                return "installed in {}".format(entry)
        return None

    def _is_recorded(self, app, entry):
        """Whether a distribution that is installed in a folder says that it has files of this app."""
        if entry not in self._recorded:
            self._recorded[entry] = _read_records(entry)
        prefix = app.replace(os.sep, "/") + "/"
        return any(name.startswith(prefix) for name in self._recorded[entry])

    def _editable_sources(self):
        """Return the folders that are installed as they are (PEP 660, and `setup.py develop` before it)."""
        if self._sources is None:
            self._sources = [
                source for entry in dict.fromkeys([*sys.path, *self._installed]) for source in _find_editable(entry)
            ]
        return self._sources


def _package_folders():
    """Return the folders that this interpreter and its user install into, the standard library's among them."""
    found = [sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")]
    if hasattr(site, "getsitepackages"):  # virtualenv before version 20 had none
        found += [*site.getsitepackages(), site.getusersitepackages()]
    return list(dict.fromkeys(os.path.realpath(folder) for folder in found if folder))


def _find_archive(path):
    """Return the file that a path leads into, as that of a zipped egg does, or None."""
    while path != os.path.dirname(path):
        if os.path.exists(path):
            return path if os.path.isfile(path) else None
        path = os.path.dirname(path)
    return None


def _find_part(path, is_wanted):
    """Return the beginning of a path up to the first part that is wanted, or None."""
    parts = path.split(os.sep)
    return next((os.sep.join(parts[: index + 1]) for index, part in enumerate(parts) if is_wanted(part)), None)


def _read_records(entry):
    """Return the names in the RECORD of every distribution that is installed in a folder.

    Not importlib.metadata: it takes an egg-info's SOURCES.txt for a record, which lies next to the project's source.
    """
    names = []
    for record in glob.glob(os.path.join(glob.escape(entry), "*.dist-info", "RECORD")):
        try:
            with open(record, encoding="utf-8", errors="replace") as file:
                names += [line.split(",", 1)[0] for line in file]
        except OSError:
            continue
    return names


def _find_editable(entry):
    found = []
    for file in glob.glob(os.path.join(glob.escape(entry), "*.dist-info", "direct_url.json")):
        try:
            with open(file, encoding="utf-8") as opened:
                described = json.load(opened)
            if (described.get("dir_info") or {}).get("editable"):
                path = urllib.parse.urlsplit(described["url"]).path
                found.append(os.path.realpath(urllib.request.url2pathname(path)))
        except (OSError, ValueError, KeyError, AttributeError):
            continue
    for file in glob.glob(os.path.join(glob.escape(entry), "*.egg-link")):
        try:
            with open(file, encoding="utf-8") as opened:
                found.append(os.path.realpath(os.path.join(entry, opened.readline().strip())))
        except (OSError, ValueError):
            continue
    return found


def _is_below(folder, place):
    return folder == place or folder.startswith(place.rstrip(os.sep) + os.sep)
