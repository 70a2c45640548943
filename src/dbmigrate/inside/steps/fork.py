"""The questions `why_not_fork` and `fork`: a step in a copy of this process, which has booted the project already.

As gunicorn's --preload and multiprocessing's forkserver do. The copy continues from where this process stands: it
returns from the loop of questions into Django's `execute`, in the call that manage.py made (boot.boot_project). It says
itself with which exit code it ends. One that is killed, or ends by os._exit or as another program, does not: so none is
reaped before dbmigrate has asked how it ended, or need not ask. The death of this process is that of its copies.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import os
import random
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connections
from django.db.utils import ConnectionHandler

from ..connections.opened import find_descriptors
from ..ending import OpenFiles, find_held
from ..locks.locks import let_go
from ..locks.session_marks import read_marks, write_marks
from ..servers.connecting import find_silent
from ..servers.identity import sqlite_file
from .sharing import Sharing, alias_of
from .step import arrange_in_copy, end_with, runs

if TYPE_CHECKING:
    from ..protocol import ForkedStep, ForkReply, HowEndedReply, WhyNotForkReply

SQLITE_ENGINES = ("sqlite3", "spatialite")

YOUNG_OBJECTS = 100_000
"""New objects of a copy after which they are looked through for garbage.

The usual 700 suit a process whose old objects count too. With those frozen, all that a step makes (the states of all
models, three times) would be looked through again and again, for a sixth of its time.
"""


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What dbmigrate may send to a step from its first moment on."""

ENDING_SECONDS = 0.1
"""How long a thread that has ended may be seen by the system, on a machine with much to do."""


class Copy:
    """What `fork` returns in the copy that runs the step."""

    def __init__(self, words, files, own, status, signals, kept):
        """Keep the words of the command, without what stands before them (manage.py).

        `files`: the file objects that were there before the copy (ending.OpenFiles). `own`: descriptors of files that
        are ours. `status`: the descriptor that gets the exit code. `signals`: what was blocked before the copy was
        made. `kept`: what the process that was copied needed; to release it here would copy all of its memory first.
        """
        self.words = words
        self.files = files
        self.own = own
        self._status = status
        self._pipe = _identify(status)
        self._signals = signals
        self._pid = os.getpid()
        self._kept = kept

    def hear_signals(self):
        """Hear from now on what was blocked since before the copy was made, that too which came meanwhile."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._signals)

    def report(self, code):
        """Say with which exit code this process ends now; a child of its own that ends in the same way says nothing.

        Nor is anything said where the project has closed all descriptors: the number may be another file's.
        """
        if os.getpid() == self._pid and _identify(self._status) == self._pipe:
            os.write(self._status, b"%d\n" % code)


class Forker:
    """Forks steps; `channel` and `locks` are what a copy must let go, `opened` what it must not have."""

    def __init__(self, channel, locks, opened, watch, handover):
        """Receive descriptors on `handover`, the number of a socket that dbmigrate shares; None if there is none."""
        self._sharing: Sharing | None = None
        self._channel = channel
        self._locks = locks
        self._opened = opened
        self._watch_of_servers = watch
        self._copies: dict[int, int] = {}
        """By process id: the signal that a copy gets when this process ends. It runs, or was not reaped yet."""
        self._handler: Any = signal.SIG_DFL
        """What the project does about SIGCHLD: its copies do it, this process no more once it has made one."""
        self._handover = None if handover is None else socket.socket(fileno=handover)
        self._files = OpenFiles()
        self._is_warm = False
        self._has_failed = False
        """Whether a step cannot import what it needs."""
        self._links = set(find_descriptors().values())
        self._known_to_project = _list_connections()
        self._connections: Any = None
        self._helpers = (
            _find_children()
        )  # a manage.py may end them behind its command: that of the first step for all others

    def why_not_fork(self, warm_up: bool) -> WhyNotForkReply:
        """Return why a copy of this process would not do, or None; `warm_up`: once it is ready for the first one."""
        self._opened.close(self._locks.connections())
        reason = self._reason(self._own())
        if reason is None and warm_up and not self._is_warm:
            self._warm_up()
            reason = self._reason(self._own())
        return reason

    def _reason(self, own):
        if not sys.platform.startswith("linux"):
            return "only Linux signals a child when its parent dies"
        # What the project has opened while it was imported too; Django opens it again.
        self._opened.close_noticed(self._locks.connections())
        threads = count_threads()
        if threads > 1 and find_silent():
            return "the server of database {} has not answered yet".format(", ".join(find_silent()))
        if threads > 1:
            return "the project runs {} threads, of which a copy would have only one".format(threads)
        children = _find_children() if self._helpers else {}
        helpers = sorted(name for pid, name in self._helpers.items() if children.get(pid) == name)
        if helpers:
            return "the project has started a process of its own ({}), which a copy might end".format(
                ", ".join(helpers)
            )
        return _find_shared(own, self._links)

    def fork(self, step: ForkedStep, variables: dict[str, str], ended: list[int]) -> ForkReply | Copy:
        """Start a step whose descriptors come over the socket; return its process id, or why it cannot be forked.

        They are stdout, stderr, what `retelling` writes to, and what gets its exit code.
        It returns a second time, in the copy that is to run the step, and there a `Copy`.

        variables: what its environment has next to this process's own, and next to its run's marks; ended: process ids
        of copies about which nothing more is asked.
        """
        self._copies = {pid: death for pid, death in self._copies.items() if pid not in ended or runs(pid)}
        received = _receive(self._handover, 4)
        try:
            if len(received) < 4:
                return "it has too many files open"
            reason = None if self._is_warm else self.why_not_fork(warm_up=True)
            if reason is not None:
                return reason
            arrange = self._share(step)
            reason = self._reason(self._own())
            return reason if reason is not None else self._fork(step, variables, arrange, *received)
        finally:
            for descriptor in received:
                os.close(descriptor)

    def share(self, inspector):
        """Have steps take from this process what is the same for all of them, as far as this inspector knows it."""
        self._sharing = Sharing(inspector)

    def _share(self, step):
        """Return what has the copy for a step take what is known already."""
        if self._sharing is None or self._has_failed:
            return lambda: None
        return self._sharing.prepare(step["words"], step["scope"])

    def _fork(self, step, variables, arrange, out, err, told, status):
        sys.stdout.flush()
        sys.stderr.flush()
        sockets, own = self._locks.descriptors(), self._locks.files()
        has_held = bool(find_held(own))
        files = self._files.find() if has_held else []
        self._watch_of_servers.leave_closed()
        # A copy that counted references for its garbage collection would copy every object.
        self._files.freeze(were_found=has_held)
        used = {*self._known_to_project, *_list_connections(is_of_interest=lambda wrapper: wrapper.execute_wrappers)}
        parent = os.getpid()
        # Where the project ignores it, or reaps whatever ends, the end of a copy would be lost.
        handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._handler = self._handler if handler in (None, signal.SIG_DFL) else handler
        # Python forgets in a copy what has come to it before it runs; what is blocked waits in the system.
        signals = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        pid = None
        try:
            pid = os.fork()
        except OSError as error:
            return "the system refused a fork: {}".format(error.strerror)
        finally:
            if pid != 0:
                signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        if pid:
            self._copies[pid] = step["death"]
            return pid
        try:
            signal.signal(signal.SIGCHLD, self._handler)
            self._let_go(sockets)
            self._forget_connections({*used, alias_of(step["words"])})
            if step["is_marked"]:
                variables.update(write_marks(self._locks.run))
            run = self._locks.run if step["is_marked"] else read_marks()
            _become(step, variables, run, arrange, out, err, told, parent)
            return Copy(step["words"], files, own, os.dup(status), signals, self)
        except BaseException:  # whatever it is: nothing of ours is to come up in manage.py
            os._exit(1)

    def how_ended(self, pid: int) -> HowEndedReply:
        """Return the exit code of a copy that has ended, negative: by that signal; None if nobody knows it any more."""
        try:
            found, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return None
        if found != pid:
            return None
        del self._copies[pid]
        return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    def end_copies(self):
        """Do now what the end of this process would do: end every copy."""
        for pid, death in self._copies.items():
            if runs(pid):
                with contextlib.suppress(OSError):  # it has become another user's
                    os.kill(pid, death)

    def reap_copies(self):
        """Leave no copy that has ended to whoever reaps orphans, which in a container may be nobody."""
        for pid in self._copies:
            runs(pid)

    def _own(self):
        """Return the descriptors that are ours, which a copy lets go."""
        own = {self._handover.fileno()} if self._handover is not None else set()
        return own | self._locks.descriptors() | self._locks.files()

    def _warm_up(self):
        """Import before the first fork what the system checks of every step would import in each copy."""
        self._is_warm = True
        try:
            importlib.import_module("django.core.management.commands.migrate")
            if getattr(settings, "ROOT_URLCONF", None):
                importlib.import_module(settings.ROOT_URLCONF)
        except (Exception, SystemExit):
            self._has_failed = True  # the step that needs it says so, in its own words

    def _forget_connections(self, kept):
        """In a copy: have Django know no connections but these, and so none that only we have asked for.

        `kept`: also those to which a receiver has added what each of their statements goes through, perhaps only once.
        At the end of a command it closes each that it knows: with many databases that took as long as a migration.
        """
        self._connections = connections._connections
        connections._connections = ConnectionHandler()._connections
        for alias in kept.intersection(connections):
            if hasattr(self._connections, alias):
                setattr(connections._connections, alias, getattr(self._connections, alias))

    def _let_go(self, sockets):
        """In a copy: let go what belongs to the process that was copied; `sockets`: those of its locks."""
        self._channel.close()
        assert self._handover is not None
        self._handover.close()
        let_go(sockets)


def _find_shared(own, known):
    """Return which open connection, not one of Django's, this process would share with its copies, or None.

    `own`: descriptors that are ours. `known`: the links (find_descriptors) that were there before we did anything.
    """
    databases = None
    for number, target in find_descriptors(own).items():
        peer = _find_peer(number) if target.startswith("socket:") else None
        if peer is not None and target in known:
            return "the project has opened a connection to {}, which every copy would use".format(peer)
        if peer is not None:
            return "reading the databases leaves a connection to {} open, which every copy would use".format(peer)
        if databases is None and target.startswith("/") and target != os.devnull:
            databases = _find_sqlite_files()
        if databases is not None and target in databases:
            return "the project has opened the file of database {}, which SQLite forbids a copy to use".format(
                databases[target]
            )
    return None


def _list_connections(is_of_interest=lambda wrapper: True):
    """Return the aliases for which Django has made a connection already, open or not, and one that is of interest."""
    made = {alias: getattr(connections._connections, alias, None) for alias in connections}
    return {alias for alias, wrapper in made.items() if wrapper is not None and is_of_interest(wrapper)}


def _find_sqlite_files():
    """Return {path, links resolved: alias} of the databases that are files."""
    files = {}
    for alias in connections:
        # Only these: the driver of another engine may be missing, which its own database tells.
        if connections.databases[alias]["ENGINE"].endswith(SQLITE_ENGINES):
            file = sqlite_file(connections[alias])
            files.update({} if file is None else {os.path.realpath(file): alias})
    return files


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


def _find_children():
    """Return {process id: name} of the children of this process that run."""
    children: dict[int, str] = {}
    try:
        with open("/proc/self/task/{}/children".format(os.getpid()), encoding="ascii") as file:
            found = file.read().split()
    except OSError:  # this kernel does not list them
        return children
    for pid in found:
        try:
            with open("/proc/{}/stat".format(pid), encoding="utf-8", errors="replace") as stat_file:
                name, _, rest = stat_file.read().partition("(")[2].rpartition(")")
        except OSError:  # it has ended meanwhile
            continue
        if rest.split()[0] != "Z":
            children[int(pid)] = name
    return children


def _identify(descriptor):
    """Return what file a descriptor is, whatever its number; None if it is none."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _receive(handover, count):
    descriptors = array.array("i")
    _, ancillary, _, _ = handover.recvmsg(1, socket.CMSG_SPACE(count * descriptors.itemsize))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return list(descriptors)


def _find_peer(descriptor):
    """Return what a stream is connected to; None for a datagram, which is whole on its own whoever sends it."""
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


def _become(step, variables, run, arrange, out, err, told, parent):
    """In a copy: be a process of its own, in the surroundings of its step; `run`: as of `arrange_in_copy`."""
    os.setsid()
    end_with(parent, step["death"])
    os.dup2(out, 1)
    os.dup2(err, 2)
    gc.enable()
    gc.set_threshold(max(YOUNG_OBJECTS, gc.get_threshold()[0]))
    random.seed()
    os.environ.update(variables)
    _forget_types()
    arrange_in_copy(step["scope"], os.dup(told) if step["is_watched"] else None, step["is_forward"], run)
    arrange()


def _forget_types():
    """Have PostgreSQL's types asked for again: we have looked before a migration of this run may have made one.

    Receivers of django.contrib.postgres remember for each alias whether they were there (signals.py, lru_cache).
    """
    for function in vars(sys.modules.get("django.contrib.postgres.signals", object)).values():
        if hasattr(function, "cache_clear"):
            function.cache_clear()
