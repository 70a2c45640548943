"""The sockets of this process: which are there, which one a connection has, and how to end one from outside."""

import os
import socket
import stat

from .opened import list_descriptors


def find_sockets():
    """Return {(descriptor, what it is)} of the sockets of this process, as `find_descriptors` has them."""
    found = set()
    for number in list_descriptors():
        try:
            status = os.fstat(number)
        except OSError:
            continue  # that of the list
        if stat.S_ISSOCK(status.st_mode):
            found.add((number, "socket:[{}]".format(status.st_ino)))
    return found


def find_descriptor(connection):
    """Return the number of a connection's socket; None where it has none, or its driver does not tell.

    psycopg 2 and 3 and mysqlclient have a `fileno`, PyMySQL a socket that has one.
    """
    driver = connection.connection
    for teller in (driver, getattr(driver, "_sock", None)):
        try:
            number = teller.fileno()  # type: ignore[union-attr]
        except Exception:  # it has none, it is closed, or a driver that nobody knows raises something of its own
            continue
        if isinstance(number, int) and number >= 0:
            return number
    return None


def shut(descriptor):
    """End a connection in both directions for whoever reads from it; the descriptor stays the driver's to close."""
    try:
        duplicate = socket.socket(fileno=os.dup(descriptor))
    except OSError:
        return
    with duplicate:
        try:
            duplicate.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is over already


def may_lead_to(connection, descriptor):
    """Whether a socket may be one on its way to this database, as far as ports tell."""
    port = str(connection.settings_dict.get("PORT") or "")
    try:
        with socket.socket(fileno=os.dup(descriptor)) as duplicate:
            peer = duplicate.getpeername()
    except OSError:
        return True  # it has not got there yet
    return not port or not isinstance(peer, tuple) or str(peer[1]) == port
