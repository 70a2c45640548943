"""The questions `why_not_fork` and `fork`: a step in a copy of this process, which has booted the project already.

As gunicorn's --preload and multiprocessing's forkserver do. Two forks: the first copy does nothing but wait for the
second, in which manage.py runs again from its first line, and tell dbmigrate how that one ended. So this process stays
free for questions, and its death is the death of both.
"""

import array
import atexit
import gc
import importlib
import os
import random
import signal
import socket
import stat
import sys
import threading
import time

from django.conf import settings
from django.db import connections

from . import boot
from .servers import sqlite_file
from .step import end, end_with, run, runs

SQLITE_ENGINES = ("sqlite3", "spatialite")

YOUNG_OBJECTS = 100_000
"""New objects of a copy after which they are looked through for garbage.

The usual 700 suit a process whose old objects count too. With those frozen, all that a step makes (the states of all
models, three times) would be looked through again and again, for a sixth of its time.
"""


ENDING_SECONDS = 0.1
"""How long a thread that has ended may be seen by the system, on a machine with much to do."""


class Forker:
    """Forks steps; `channel` and `locks` are what a copy must let go."""

    def __init__(self, channel, locks, handover):
        """Receive descriptors on `handover`, the number of a socket that dbmigrate shares; None if there is none."""
        self._channel = channel
        self._locks = locks
        self._copies = []
        self._handover = None if handover is None else socket.socket(fileno=handover)
        self._is_warm = False

    def why_not_fork(self, warm_up):
        """Return why a copy of this process would not do, or None; `warm_up`: once it is ready for the first one."""
        reason = self._reason()
        if reason is None and warm_up and not self._is_warm:
            self._warm_up()
            reason = self._reason()
        return reason

    def _reason(self):
        if not sys.platform.startswith("linux"):
            return "only Linux tells a child that its parent has died"
        threads = count_threads()
        if threads > 1:
            return "the project runs {} threads, of which a copy would have only one".format(threads)
        connections.close_all()  # what the project has opened while it was imported; Django opens it again
        return self._shared_connection()

    def fork(self, step, variables, cwd):
        """Start a step whose stdout, stderr and status come over the socket; return why not, or None.

        step: {"death", "scope", "manage", "words"}; variables: what its environment has beside this process's own.
        """
        self._copies = [pid for pid in self._copies if runs(pid)]
        received = _receive(self._handover, 3)
        try:
            if len(received) < 3:
                return "it has too many files open"
            out, err, status = received
            reason = self.why_not_fork(warm_up=True)
            if reason is None:
                sys.stdout.flush()
                sys.stderr.flush()
                gc.freeze()  # a copy that counted references for its garbage collection would copy every object
                try:
                    own = os.getpid()
                    pid = os.fork()
                except OSError as error:
                    return "the system refuses a fork: {}".format(error.strerror)
                if pid == 0:
                    self._watch(own, step, variables, cwd, out, err, status)
                self._copies.append(pid)
            return reason
        finally:
            for descriptor in received:
                os.close(descriptor)

    def end_copies(self):
        """Do now what the end of this process would do: end every copy."""
        for pid in self._copies:
            end(pid)

    def _shared_connection(self):
        """Return which open connection, not one of Django's, this process would share with its copies, or None."""
        own = {self._handover.fileno()} if self._handover is not None else set()
        own.update(descriptor for lock in self._locks.all() for descriptor in lock.descriptors)
        databases = {}
        for alias in connections:
            # Only these: the driver of another engine may be missing, which its own database tells.
            if connections.databases[alias]["ENGINE"].endswith(SQLITE_ENGINES):
                file = sqlite_file(connections[alias])
                databases.update({} if file is None else {os.path.realpath(file): alias})
        for name in os.listdir("/proc/self/fd"):
            try:
                status, target = os.fstat(int(name)), os.readlink("/proc/self/fd/" + name)
            except OSError:
                continue  # the one that listed them
            peer = _find_peer(int(name)) if stat.S_ISSOCK(status.st_mode) and int(name) not in own else None
            if peer is not None:
                return "the project has opened a connection to {}, which every copy would use".format(peer)
            if target in databases:
                return "the project has opened the file of database {}, which SQLite forbids a copy to use".format(
                    databases[target]
                )
        return None

    def _warm_up(self):
        """Import before the first fork what the system checks of every step would import in each copy."""
        self._is_warm = True
        try:
            importlib.import_module("django.core.management.commands.migrate")
            importlib.import_module(settings.ROOT_URLCONF)
        except (Exception, SystemExit):
            pass  # the step that needs it says so, in its own words

    def _watch(self, parent, request, variables, cwd, out, err, status):
        """Be the first copy: fork the second, and report its process id (0: there is none) and its end."""
        try:
            end_with(parent, signal.SIGKILL)
            self._channel.close()
            self._handover.close()
            self._locks.let_go()
            own = os.getpid()
            try:
                pid = os.fork()
            except OSError:
                os.write(status, b"0\n")
                return
            if pid == 0:
                os.close(status)
                _become(request, variables, cwd, out, err, own)
            os.close(out)
            os.close(err)
            os.write(status, b"%d\n" % pid)
            _, ended = os.waitpid(pid, 0)
            code = -os.WTERMSIG(ended) if os.WIFSIGNALED(ended) else os.WEXITSTATUS(ended)
            os.write(status, b"%d\n" % code)
        finally:
            os._exit(1)


def count_threads():
    """Return how many threads this process has, those that only its libraries know included.

    One that has ended for Python, as those do which connect to databases, may be on its way out for the system.
    """
    deadline = time.monotonic() + ENDING_SECONDS
    while True:
        count = len(os.listdir("/proc/self/task"))
        if count == 1 or threading.active_count() > 1 or time.monotonic() >= deadline:
            return count
        time.sleep(0.001)


def _receive(handover, count):
    descriptors = array.array("i")
    _, ancillary, _, _ = handover.recvmsg(1, socket.CMSG_SPACE(count * descriptors.itemsize))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return list(descriptors)


def _find_peer(descriptor):
    """Return what a stream is connected to; None for a datagram, which is whole by itself whoever sends it."""
    connection = socket.socket(fileno=os.dup(descriptor))
    try:
        is_stream = connection.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        peer = connection.getpeername() if is_stream else None
    except OSError:
        return None  # not connected
    finally:
        connection.close()
    if not peer:
        return None  # a pair of sockets within this process
    return "{}:{}".format(*peer[:2]) if isinstance(peer, tuple) else os.fsdecode(peer)


def _become(request, variables, cwd, out, err, parent):
    """Be the second copy: run manage.py, and end as a process of its own would."""
    os.setsid()
    end_with(parent, request["death"])
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    gc.enable()
    gc.set_threshold(max(YOUNG_OBJECTS, gc.get_threshold()[0]))
    os.chdir(cwd)
    random.seed()
    ended_by = None
    try:
        boot.begin_again(variables)
        run(request["manage"], request["words"], request["scope"])
        code = 0
    except SystemExit as error:
        code = _exit_code(error)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
        ended_by = signal.SIGINT if isinstance(error, KeyboardInterrupt) else None
    _finish(code, ended_by)


def _exit_code(error):
    """Return what the interpreter makes of SystemExit (Python/pythonrun.c, handle_system_exit)."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    sys.stderr.write("{}\n".format(error.code))
    return 1


def _finish(code, ended_by):
    """Do what the interpreter does at its end (Py_FinalizeEx): join threads, call exit handlers, flush.

    `ended_by`: the signal that an uncaught KeyboardInterrupt makes the interpreter end by.
    """
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        if ended_by is not None:
            signal.signal(ended_by, signal.SIG_DFL)
            os.kill(os.getpid(), ended_by)
    finally:
        os._exit(code)
