"""Boot the project exactly as its manage.py does, and take over where Django would run the command.

Every way into Django's commands ends in `ManagementUtility.execute`, also for a manage.py that never names
`execute_from_command_line`. It is replaced when `django.core.management` is imported, which may happen only after
manage.py has changed sys.path: so nothing of Django is imported before.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import signal
import sys
import traceback

from .host_error import HostError
from .sentences import one_line

TYPE_CHECKING = False  # not typing's: a step imports this before it becomes manage.py
if TYPE_CHECKING:
    from typing import Any

    from .protocol import FailureKind

OLDEST_DJANGO = (3, 2)
MANAGEMENT = "django.core.management"

SILENCE_SECONDS = 15.0
"""How long a database's server may say nothing that the project asks while its apps are loaded (AppConfig.ready)."""

END_SECONDS = 2
"""How long what manage.py does behind the host, and its exit handlers, may take."""


class HostEnds(SystemExit):
    """The host has answered its last question: manage.py comes to its end, as after any command."""


# No importlib.abc.MetaPathFinder: from 3.9 on it imports typing, milliseconds of each step that is spawned.
class _PatchOnImport:
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
        loader: Any = spec.loader
        run_module = loader.exec_module
        own = vars(loader).get("exec_module")

        def exec_module(module):
            if module.__name__ != self.name:  # one zipimporter loads all modules of its archive
                run_module(module)
                return
            if own is None:
                del loader.exec_module
            else:
                loader.exec_module = own
            run_module(module)
            self.patch(module)

        loader.exec_module = exec_module
        return spec


def patch_on_import(name, patch):
    """Arrange that `patch` is called with a module, now or when it is imported."""
    if name in sys.modules:
        patch(sys.modules[name])
    else:
        sys.meta_path.insert(0, _PatchOnImport(name, patch))


def patch_management(patch):
    """Arrange that `patch` is called with django.core.management, now or when it is imported."""
    patch_on_import(MANAGEMENT, patch)


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
    """Boot the project and call `take_over(Opened, Watch)` in the command's place, inside the call that manage.py made.

    `take_over` returns only in a copy of this process, with a fork.Copy. Django's own `execute` continues with its
    words, then manage.py behind it, and then the copy ends as a process of its own.
    `give_up(HostError)` is called if the project raised, exited, or never came to run a command, or if Django is
    missing or too old. It raises HostEnds, as `take_over` does in the end: manage.py cleans up behind it (a pid file,
    a log), without running another command, and then the process ends.
    """
    _forbid_exec()
    calls = None
    copy: Any = None
    execute_as_django: Any = None
    has_ended = False

    def begin(utility):
        nonlocal has_ended
        try:
            try:
                found = _setup_django(utility.argv)
            except HostError as error:
                give_up(error)
            except BaseException as error:
                give_up(_describe_silence(error) or describe(error))
            return take_over(*found)
        except HostEnds:
            has_ended = True
            _begin_end()
            raise

    def execute(utility):
        nonlocal calls, copy
        if calls is None:
            copy = begin(utility)
            calls = _Calls(words, copy.words)
            copy.hear_signals()
            # A second one would configure the logging again, which turns off the loggers that were made meanwhile.
            replace_next_setup(lambda setup: None)
        calls.put_words(utility)
        execute_as_django(utility)

    def patch(management):
        nonlocal execute_as_django
        execute_as_django = management.ManagementUtility.execute
        management.ManagementUtility.execute = execute

    patch_management(patch)
    own = os.getpid()
    raised = None
    try:
        run_manage(manage, words)
    except BaseException as error:
        raised = error
    from .ending import finalize, tell_end  # not every system that steps are spawned on has what it needs

    # A copy, and a child that manage.py has forked before its command, end as they would without us, and say nothing.
    is_copied = calls is not None or os.getpid() != own
    if is_copied or has_ended:
        ended = tell_end(raised)
        raised = None  # what its frames hold, as an open file, goes before exit handlers are called
        finalize(*ended, waits=is_copied, copy=copy)
    if raised is None:
        raised = HostError("no-command", "it exited without running a Django command")
    try:
        give_up(raised if isinstance(raised, HostError) else describe(raised))
    except HostEnds:
        raised = None
        _begin_end()
    finalize(0, None, waits=False)


def _begin_end():
    """From here to the end of the process nothing of the project's takes long, or touches a database.

    What manage.py would do behind the command, as to load data after `migrate`, was not asked for.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(END_SECONDS)  # dbmigrate may be gone: nobody else ends what hangs

    def end(*_, **__):
        raise SystemExit(0)

    def forbid_commands(management):
        management.ManagementUtility.execute = end
        management.BaseCommand.create_parser = end  # in call_command too, whose caller has it already
        management.BaseCommand.execute = end

    def forbid_connections(module):
        module.BaseDatabaseWrapper.connect = end

    patch_management(forbid_commands)
    patch_on_import("django.db.backends.base.base", forbid_connections)


class _Calls:
    """The calls of `execute` that manage.py makes in a copy: one of them is for the command that is wanted."""

    def __init__(self, before, words):
        """Put `words` into sys.argv, where the process that was copied had the words `before`."""
        self._before = before
        self._words = words
        self._is_made = False
        sys.argv[:] = self._replaced(sys.argv)

    def put_words(self, utility):
        """Put the words into the argv of a utility, if this is the call.

        Another command that manage.py runs before it (`check`) is its own affair, and so is what it runs afterwards.
        """
        if self._is_made or self._before[0] not in utility.argv[1:]:
            return
        self._is_made = True
        if utility.argv is not sys.argv and not set(self._words) <= set(utility.argv):
            utility.argv = self._replaced(utility.argv)

    def _replaced(self, argv):
        """Return argv with the words in the place of those before; what manage.py added or took away stays so."""
        if self._before[0] not in argv[1:]:
            return argv
        at = argv.index(self._before[0], 1)
        taken = [word for word in self._before if word not in argv]
        added = [word for word in argv[at:] if word not in self._before]
        return [*argv[:at], *(word for word in self._words if word not in taken), *added]


def replace_next_setup(act):
    """Have `act(django.setup)` in the place of the next django.setup(): the one in ManagementUtility.execute."""
    import django

    setup = django.setup

    def set_up(*_, **__):
        django.setup = setup
        act(setup)

    django.setup = set_up


def _forbid_exec():
    """Refuse os.exec*: a manage.py that becomes another process would run a real `migrate` there."""
    own = os.getpid()

    def audit(event, arguments):
        if event == "os.exec" and os.getpid() == own:
            raise HostError("exec", "it replaces its process by {}".format(arguments[0]))

    sys.addaudithook(audit)


def _setup_django(argv):
    """Do what ManagementUtility.execute does before it looks for the command (django/core/management/__init__.py).

    Returns what knows the connections that were opened meanwhile, and what knows which of them is waited for.
    """
    import django

    if django.VERSION[:2] < OLDEST_DJANGO:
        raise HostError("django-too-old", "Django {}".format(django.get_version()))
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
    from .connections.opened import Opened
    from .connections.silence import Watch

    opened, watch = Opened(), Watch()
    with watch.limit(SILENCE_SECONDS):
        django.setup()
    return opened, watch


def describe(error: BaseException) -> HostError:
    """Return a HostError for what the project's own code raised, with the place in its files."""
    described = _describe(error)
    described.__cause__ = error
    return described


def _describe(error: BaseException) -> HostError:
    if isinstance(error, SystemExit):
        return HostError("exit", "SystemExit: {}".format(error.code), **_place(error))
    from .source.wrong_setting import find_wrong_entry  # only what went wrong needs it

    wrong = find_wrong_entry(error)
    if wrong is not None:
        return HostError(wrong[0], _sentence(error), **wrong[1], **_place(error))
    missing_django = isinstance(error, ImportError) and not _can_import_django()
    kind: FailureKind = "no-django" if missing_django else "project"
    is_hidden = isinstance(error, ImportError) and getattr(sys.flags, "safe_path", False)
    more = {}
    if missing_django:
        from .consoles import find_consoles

        more["consoles"] = find_consoles()
    return HostError(kind, _sentence(error), safe_path=bool(is_hidden), **more, **_place(error))


def _describe_silence(error: BaseException) -> HostError | None:
    """Return a HostError for what came of a silent server while the apps were loaded; None if none was."""
    module = sys.modules.get("{}.connections.silence".format(__package__))  # not before Django is there
    cause: Any = error if module is not None else None
    while module is not None and cause is not None and not isinstance(cause, module.SilenceError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    described = HostError("database", str(cause), alias=cause.alias, trouble="silent")
    described.__cause__ = error
    return described


def _can_import_django():
    try:
        return importlib.util.find_spec("django") is not None
    except (ImportError, ValueError):
        return False


def _sentence(error):
    lines = traceback.format_exception_only(type(error), error)
    # The lines of a SyntaxError are its place and its source; those of another are one text.
    return lines[-1].strip() if isinstance(error, SyntaxError) else one_line("".join(lines))


def _place(error: BaseException) -> dict[str, Any]:
    """Return file and line of the innermost frame that is the project's, and the whole traceback."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_of_project(frame.filename)]
    if isinstance(error, SyntaxError) and error.filename:
        file, line = error.filename, error.lineno
    elif frames:
        file, line = frames[-1].filename, frames[-1].lineno
    else:
        file, line = None, None
    whole = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {"file": file, "line": line, "traceback": whole}


def is_of_project(filename: str) -> bool:
    """Whether a file is neither the standard library's nor that of an installed package, nor ours."""
    standard_library = os.path.dirname(os.__file__)
    foreign = (os.path.dirname(os.path.abspath(__file__)), standard_library)
    return (
        not filename.startswith("<")
        and "site-packages" not in filename
        and "dist-packages" not in filename
        and not os.path.abspath(filename).startswith(foreign)
    )
