"""The end of the host and of its copies: what the interpreter does at the end of a process started on its own."""

import atexit
import fcntl
import gc
import io
import os
import runpy
import signal
import stat
import sys
import threading
import weakref

OURS = (os.path.dirname(os.path.abspath(__file__)) + os.sep, runpy.__file__, "<frozen runpy>")
"""Whose frames stand between manage.py and what it raised, or before manage.py, only because it was copied."""

THREAD_SECONDS = 0.5
"""How long the end of the host waits for threads of the project's."""


def tell_end(raised):
    """Say, as the interpreter does, what came out of manage.py (None is nothing); return what `finalize` takes."""
    if raised is None:
        return 0, None
    if isinstance(raised, SystemExit):
        return _exit_code(raised), None
    print_without_ours(type(raised), raised, raised.__traceback__, print_raised=sys.excepthook)
    return 1, signal.SIGINT if isinstance(raised, KeyboardInterrupt) else None


def print_without_ours(kind, raised, trace, print_raised=sys.__excepthook__):
    """Print what came out of manage.py, without the frames that a fresh process would not have."""
    raised.__traceback__ = _without_ours(trace)
    print_raised(kind, raised, raised.__traceback__)


def _exit_code(error):
    """Return what the interpreter makes of SystemExit (Python/pythonrun.c, handle_system_exit)."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    sys.stderr.write("{}\n".format(error.code))
    return 1


def _without_ours(entry):
    """Return a traceback without the frames that a fresh process would not have."""
    while entry is not None and entry.tb_frame.f_code.co_filename.startswith(OURS):
        entry = entry.tb_next
    if entry is not None:
        entry.tb_next = _without_ours(entry.tb_next)
    return entry


def finalize(code, ended_by, *, waits, copy=None):
    """Do what the interpreter does at its end (Py_FinalizeEx): join threads, call exit handlers, flush.

    `ended_by`: the signal that an uncaught KeyboardInterrupt makes the interpreter end by. `waits`: for as long as
    threads run; else for THREAD_SECONDS. `copy`: in a copy of the host, the fork.Copy.
    """
    try:
        _join_threads(waits)
        try:
            atexit._run_exitfuncs()
        except BaseException:
            pass  # it was printed; the interpreter continues too
        if copy is None:
            _flush(OpenFiles().find() if find_held() else [])
        elif find_held(copy.own):
            _flush([*copy.files, *_files_among(gc.get_objects())])
        sys.stdout.flush()
        sys.stderr.flush()
        if ended_by is not None:
            signal.signal(ended_by, signal.SIG_DFL)
            os.kill(os.getpid(), ended_by)
        if copy is not None:
            copy.report(code)
    finally:
        os._exit(code)


def _join_threads(waits):
    if waits or threading.active_count() == 1:
        threading._shutdown()  # type: ignore[attr-defined]
        return
    # Joined by another thread, because this one cannot be called back: _shutdown knows no timeout.
    joining = threading.Thread(target=threading._shutdown, daemon=True)  # type: ignore[attr-defined]
    joining.start()
    joining.join(THREAD_SECONDS)


def find_held(known=frozenset()):
    """Return the descriptors of files that are open for writing, so that something may still be in a buffer.

    `known`: descriptors that are not looked at.

    Where the system does not list them, as if there were one.
    """
    if not os.path.isdir("/proc/self/fd"):
        return [-1]
    held = []
    for name in os.listdir("/proc/self/fd"):
        if int(name) in known:
            continue
        try:
            is_file = stat.S_ISREG(os.fstat(int(name)).st_mode)
            if is_file and fcntl.fcntl(int(name), fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
                held.append(int(name))
        except OSError:
            pass  # the one that listed them
    return held


class OpenFiles:
    """Finds the file objects of this process, before each copy too, and looks through all of its objects only once.

    To look at an object counts it; a copy that looked at all that it was made with would copy all of it. What was found
    is known by weak references. Of all other objects only those are looked through that were made since `freeze`, which
    every copy is made after.
    """

    def __init__(self):
        """Know of none yet."""
        self._known = []
        self._has_seen_all = False

    def find(self):
        """Return every file object of this process that can be written to."""
        if not self._has_seen_all:
            gc.unfreeze()
        known = [file for file in (reference() for reference in self._known) if file is not None]
        seen = set(map(id, known))
        files = [*known, *(file for file in _files_among(gc.get_objects()) if id(file) not in seen)]
        self._known = [weakref.ref(file) for file in files]
        self._has_seen_all = True
        return files

    def freeze(self, *, were_found):
        """Keep all objects that there are from being counted in copies; `were_found`: whether `find` has seen them."""
        self._has_seen_all = self._has_seen_all and were_found
        gc.freeze()


def _files_among(values):
    # Not isinstance: it would wake what is lazy.
    kinds = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
    return [value for value in values if issubclass(type(value), kinds)]


def _flush(files):
    for file in files:
        try:
            file.flush()
        except (OSError, ValueError):
            pass  # closed, or there is no room for it
