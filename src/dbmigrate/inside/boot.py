"""Boot the project exactly as its manage.py does, and take over where Django would run the command.

Every way into Django's commands ends in `ManagementUtility.execute`, also for a manage.py that never names
`execute_from_command_line`. It is replaced when `django.core.management` is imported, which may happen only after
manage.py has changed sys.path: so nothing of Django is imported before.
"""

import importlib.abc
import importlib.util
import os
import runpy
import sys
import traceback

OLDEST_DJANGO = (3, 2)
MANAGEMENT = "django.core.management"


_taken = {}
"""What boot_project replaced in Django, and what was so before and after the settings were imported."""


class BootError(Exception):
    """The project did not come up; `fields` go into the reply."""

    def __init__(self, kind, message, **fields):
        """Keep the kind (a key of the protocol), the message, and what else the reply carries."""
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.fields = fields


class _PatchOnImport(importlib.abc.MetaPathFinder):
    """Call `patch(module)` right after `name` was imported, whoever imports it."""

    def __init__(self, name, patch):
        self.name = name
        self.patch = patch

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        run_module = spec.loader.exec_module

        def exec_module(module):
            run_module(module)
            self.patch(module)

        spec.loader.exec_module = exec_module
        return spec


def patch_management(patch):
    """Arrange that `patch` is called with django.core.management, now or when it is imported."""
    if MANAGEMENT in sys.modules:
        patch(sys.modules[MANAGEMENT])
    else:
        sys.meta_path.insert(0, _PatchOnImport(MANAGEMENT, patch))


def run_manage(manage, words):
    """Run manage.py (or `-m django`) as `__main__`, as a fresh interpreter would, with these words after it."""
    if manage[0] == "-m":
        _set_first_path(os.getcwd())
        sys.argv = [manage[1], *manage[2:], *words]
        runpy.run_module(manage[1], run_name="__main__", alter_sys=True)
    else:
        # A script's own folder comes first, links resolved (Python's docs on sys.path); PYTHONSAFEPATH turns that off.
        _set_first_path(os.path.dirname(os.path.realpath(manage[0])))
        sys.argv = [manage[0], *manage[1:], *words]
        runpy.run_path(manage[0], run_name="__main__")


def _set_first_path(folder):
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, folder)


def boot_project(manage, words, *, take_over, give_up):
    """Boot the project and call `take_over()` in the place of the command, inside the call that manage.py made.

    `give_up(BootError)` is called if the project raised, exited, or never came to run a command, or if Django is
    missing or too old. Both end the process: a manage.py that catches exceptions must not catch ours.
    """
    _forbid_exec()

    def execute(utility):
        try:
            _taken["before"] = _surroundings()
            _setup_django(utility.argv)
            _taken["after"] = _surroundings()
        except BootError as error:
            give_up(error)
        except BaseException as error:
            give_up(describe(error))
        take_over()

    def patch(management):
        _taken["execute"] = management.ManagementUtility.execute
        management.ManagementUtility.execute = execute

    patch_management(patch)
    try:
        run_manage(manage, words)
    except BootError as error:
        give_up(error)
    except BaseException as error:
        give_up(describe(error))
    give_up(BootError("no-command", "it ended without running a Django command"))


def begin_again(variables):
    """Let manage.py run a command from its first line, in a copy of the booted process with more variables.

    Settings and apps are not imported again. What they did to the surroundings of the process, beyond what manage.py
    does by itself, is done for them where they were imported before: when Django runs its command.
    """
    utility = sys.modules[MANAGEMENT].ManagementUtility
    execute = utility.execute = _taken["execute"]
    changed = {key: after for key, after in _taken["after"].items() if after != _taken["before"][key]}

    def execute_after_settings(self):
        if "cwd" in changed:
            os.chdir(changed["cwd"])
        if "environ" in changed:
            before = _taken["before"]["environ"]
            os.environ.update({k: v for k, v in changed["environ"].items() if before.get(k) != v})
        for name in ("stdout", "stderr"):
            setattr(sys, name, changed.get(name, getattr(sys, name)))
        os.environ.update(variables)
        execute(self)

    if changed:
        utility.execute = execute_after_settings
    _taken["kept"] = sys.stdout, sys.stderr  # a wrapper that nobody holds closes what it wraps
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    os.environ.update(variables)


def _surroundings():
    return {"cwd": os.getcwd(), "environ": dict(os.environ), "stdout": sys.stdout, "stderr": sys.stderr}


def _forbid_exec():
    """Refuse os.exec*: a manage.py that becomes another process would run a real `migrate` there."""
    own = os.getpid()

    def audit(event, arguments):
        if event == "os.exec" and os.getpid() == own:
            raise BootError("exec", "it replaces its process by {}".format(arguments[0]))

    sys.addaudithook(audit)


def _setup_django(argv):
    """Do what ManagementUtility.execute does before it looks for the command (django/core/management/__init__.py)."""
    import django

    if django.VERSION[:2] < OLDEST_DJANGO:
        raise BootError("django-too-old", "Django {}".format(django.get_version()))
    from django.conf import settings
    from django.core.management.base import CommandError, CommandParser, handle_default_options

    parser = CommandParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--settings")
    parser.add_argument("--pythonpath")
    parser.add_argument("args", nargs="*")
    try:
        handle_default_options(parser.parse_known_args(argv[2:])[0])
    except CommandError:
        pass
    getattr(settings, "INSTALLED_APPS")  # noqa: B009 - loads the settings module, as Django does at this point
    django.setup()


def describe(error):
    """Return a BootError for what the project's own code raised, with the place in its files."""
    if isinstance(error, SystemExit):
        return BootError("exit", "SystemExit: {}".format(error.code), **_place(error))
    from .wrong import find_wrong_entry  # only what went wrong needs it

    wrong = find_wrong_entry(error)
    if wrong is not None:
        return BootError(wrong[0], _sentence(error), **wrong[1], **_place(error))
    missing_django = isinstance(error, ImportError) and not _can_import_django()
    kind = "no-django" if missing_django else "project"
    is_hidden = isinstance(error, ImportError) and getattr(sys.flags, "safe_path", False)
    more = {}
    if missing_django:
        from .consoles import find_consoles

        more["consoles"] = find_consoles()
    return BootError(kind, _sentence(error), safe_path=bool(is_hidden), **more, **_place(error))


def _can_import_django():
    try:
        return importlib.util.find_spec("django") is not None
    except (ImportError, ValueError):
        return False


def _sentence(error):
    lines = [line.strip() for line in traceback.format_exception_only(type(error), error)]
    # The lines of a SyntaxError are its place and its source; those of another are one text.
    return lines[-1] if isinstance(error, SyntaxError) else " ".join(" ".join(lines).split())


def _place(error):
    """Return file and line of the innermost frame that is the project's, and the whole traceback."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_of_project(frame.filename)]
    if isinstance(error, SyntaxError) and error.filename:
        file, line = error.filename, error.lineno
    elif frames:
        file, line = frames[-1].filename, frames[-1].lineno
    else:
        file, line = None, None
    whole = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {"file": file, "line": line, "traceback": whole}


def _is_of_project(filename):
    standard_library = os.path.dirname(os.__file__)
    foreign = (os.path.dirname(os.path.abspath(__file__)), standard_library)
    return (
        not filename.startswith("<")
        and "site-packages" not in filename
        and "dist-packages" not in filename
        and not os.path.abspath(filename).startswith(foreign)
    )
