"""Have both ends of a connection notice within a minute that the other one is gone without a word.

A machine that died and a network that drops send nothing, and the system would look for them after two hours.
"""

import os
import socket

from .sockets import find_descriptor

IDLE_SECONDS, INTERVAL_SECONDS, COUNT = 15, 10, 3

SECONDS = IDLE_SECONDS + INTERVAL_SECONDS * COUNT
"""After so many seconds of silence the other end counts as gone."""

_POSTGRESQL = {
    "tcp_keepalives_idle": IDLE_SECONDS,
    "tcp_keepalives_interval": INTERVAL_SECONDS,
    "tcp_keepalives_count": COUNT,
    "tcp_user_timeout": SECONDS * 1000,
}
"""What the server does for a session; tcp_user_timeout (since version 12) is for what it has sent already."""

_OURS = {"TCP_KEEPIDLE": IDLE_SECONDS, "TCP_KEEPINTVL": INTERVAL_SECONDS, "TCP_KEEPCNT": COUNT}


def postgresql_settings(*, is_local, turned_off=()):
    """Return the statement that has a PostgreSQL server look for its client; `is_local`: until the transaction ends.

    `turned_off`: names of settings that become 0 as well. What the server does not know is left out. A session over a
    UNIX socket takes the settings, and they do nothing.
    """
    wanted = {**_POSTGRESQL, **dict.fromkeys(turned_off, 0)}
    # Not from pg_settings, which makes a row of every setting: a tenth of what a session costs the server.
    return (
        "SELECT set_config(name, value, {}) FROM (VALUES {}) AS wanted (name, value)"
        " WHERE current_setting(name, true) IS NOT NULL"
    ).format("true" if is_local else "false", ", ".join("('{}', '{}')".format(*each) for each in wanted.items()))


def keep_alive(connection):
    """Have this system look for the server of one of Django's connections that is open."""
    number = find_descriptor(connection)
    if number is None:
        return
    with socket.socket(fileno=os.dup(number)) as copy:
        if copy.family not in (socket.AF_INET, socket.AF_INET6):
            return
        copy.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _OURS.items():
            if hasattr(socket, name):  # not every system has each
                copy.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
