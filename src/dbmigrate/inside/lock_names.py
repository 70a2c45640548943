"""What the locks are called, and the run that holds them."""

import os
import socket

NAME = "dbmigrate"


def own_name():
    """Return what names the run to others: dbmigrate's process (the parent of this one) and its machine."""
    machine = "".join(letter for letter in socket.gethostname() if letter.isalnum() or letter in "-._")
    return "{} {}@{}".format(NAME, os.getppid(), machine[:40])
