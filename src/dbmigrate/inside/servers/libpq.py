"""The SQLSTATE with which a PostgreSQL server refuses a connection: its sentence may be in any language.

psycopg and psycopg2 hand on the sentence alone (psycopg 3.3, generators.py; psycopg2 2.9, connection_int.c). libpq
knows the code, and says it where it is asked to before the server answers. So the driver's own libpq connects once
more, with the settings that Django has for the driver, and says more.
"""

import ctypes
import re
import select
import sys
import time

LOGIN_SECONDS = 5.0
"""For a server that has just refused the same connection."""

MODULES = ("psycopg_binary.pq", "psycopg_c.pq", "psycopg2._psycopg")
"""Modules that are linked with libpq: what they have loaded is found through them, also in a wheel of its own."""

_READING, _WRITING = 1, 2  # PostgresPollingStatusType in libpq-fe.h: what PQconnectPoll waits for
_VERBOSE = 2  # PQERRORS_VERBOSE: "FATAL:  28P01: the sentence", and below it "LOCATION:  auth_failed, auth.c:334"

# The words before the two spaces are translated, by the server and by libpq (fe-protocol3.c, pqBuildErrorMessage3).
_CODE = re.compile(rb":  ([0-9A-Z]{5}): ")
_ROUTINE = re.compile(rb":  (\w+), \w+\.c:\d+$", re.MULTILINE)


class _Option(ctypes.Structure):
    """PQconninfoOption in libpq-fe.h."""

    _fields_ = (
        *((name, ctypes.c_char_p) for name in ("keyword", "envvar", "compiled", "val", "label", "dispchar")),
        ("dispsize", ctypes.c_int),
    )


def find_refusal(connection):
    """Return (SQLSTATE, function of the server) with which a connection is refused; None where nothing says so.

    The function is None where a pooler has answered. `connection`: Django's, of PostgreSQL.
    """
    try:
        libpq = _load()
        said = _connect(libpq, _find_settings(libpq, connection.get_connection_params()))
    except Exception:  # no libpq that can be called, or a backend with connections of another kind
        return None
    code, routine = _CODE.search(said), _ROUTINE.search(said)
    return None if code is None else (code[1].decode(), None if routine is None else routine[1].decode())


def _load():
    """Return the libpq that the driver has loaded.

    Raises:
        LookupError, OSError, AttributeError: it cannot be called from here.
    """
    linked = next((sys.modules[name].__file__ for name in MODULES if name in sys.modules), None)
    # psycopg without a compiled part has libpq itself; with types of its own for the functions.
    libpq = ctypes.CDLL(linked or sys.modules["psycopg.pq._pq_ctypes"].pq._name)
    text = ctypes.c_char_p
    for name, result, arguments in (
        ("PQconndefaults", ctypes.POINTER(_Option), ()),
        ("PQconninfoFree", None, (ctypes.POINTER(_Option),)),
        ("PQconnectStartParams", ctypes.c_void_p, (ctypes.POINTER(text), ctypes.POINTER(text), ctypes.c_int)),
        ("PQsetErrorVerbosity", ctypes.c_int, (ctypes.c_void_p, ctypes.c_int)),
        ("PQconnectPoll", ctypes.c_int, (ctypes.c_void_p,)),
        ("PQsocket", ctypes.c_int, (ctypes.c_void_p,)),
        ("PQerrorMessage", text, (ctypes.c_void_p,)),
        ("PQfinish", None, (ctypes.c_void_p,)),
    ):
        function = getattr(libpq, name)
        function.restype, function.argtypes = result, arguments
    return libpq


def _find_settings(libpq, parameters):
    """Return {keyword: value} in bytes of those of a driver's parameters that are libpq's."""
    options = libpq.PQconndefaults()
    known = set()
    for option in options:
        if option.keyword is None:
            break
        known.add(option.keyword.decode())
    libpq.PQconninfoFree(options)
    return {
        name.encode(): str(value).encode() for name, value in parameters.items() if name in known and value is not None
    }


def _connect(libpq, settings):
    """Connect, close, and return what libpq says of a failure, b"" where there was none in time."""
    size = len(settings) + 1
    names, values = (ctypes.c_char_p * size)(*settings, None), (ctypes.c_char_p * size)(*settings.values(), None)
    deadline = time.monotonic() + LOGIN_SECONDS
    handle = libpq.PQconnectStartParams(names, values, 0)
    try:
        libpq.PQsetErrorVerbosity(handle, _VERBOSE)
        waits_for = _WRITING
        while waits_for in (_READING, _WRITING):
            number, left = libpq.PQsocket(handle), deadline - time.monotonic()
            if number < 0 or left <= 0:
                break
            poll = select.poll()
            poll.register(number, select.POLLIN if waits_for == _READING else select.POLLOUT)
            if not poll.poll(left * 1000):
                break
            waits_for = libpq.PQconnectPoll(handle)
        return libpq.PQerrorMessage(handle) or b""
    finally:
        libpq.PQfinish(handle)
