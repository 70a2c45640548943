"""What the user of a MySQL or MariaDB session may do, as SHOW GRANTS says."""

import re

from .privileges import Lack, split_table

RIGHTS = {
    "make": ("CREATE",),
    "drop": ("DROP",),
    "alter": ("ALTER",),
    "index": ("INDEX",),
    "unindex": ("INDEX",),
    "unique": ("ALTER",),
    "rename": ("ALTER", "DROP"),
    "reference": ("REFERENCES",),
}
"""By what is done (table_acts.Need) to a table."""

ALL = ("CREATE", "ALTER", "DROP", "INDEX", "REFERENCES", "SELECT", "INSERT", "DELETE")

_NAME = r"(\*|[`\"](?:[^`\"]|``|\"\")*[`\"])"
_GRANT = re.compile(r"(GRANT|REVOKE) (.+) ON (?:TABLE )?{0}\.{0} (?:TO|FROM) ".format(_NAME), re.IGNORECASE)
_OTHER = re.compile(
    r"GRANT [`'\"].* TO |SET DEFAULT ROLE |GRANT PROXY ON "
    r"|GRANT .* ON (FUNCTION|PROCEDURE|PACKAGE|PACKAGE BODY|LIBRARY) ",
    re.IGNORECASE,
)
"""Roles, whose rights stand in lines of their own, and what has nothing to do with tables."""

_NO_ROLES_BEFORE = (8, 0)


class UnknownGrantsError(Exception):
    """The server says of a user's rights what nobody here understands."""


class MysqlRights:
    """What the user of one open connection may not do."""

    def __init__(self, connection, cursor):
        """Ask the server.

        Raises:
            UnknownGrantsError: its answer is not understood.
        """
        self._connection = connection
        cursor.execute("SELECT CURRENT_USER(), DATABASE()")
        self.role, self._database = cursor.fetchone()
        self._grants, self._revoked = _parse(_ask(connection, cursor))

    @property
    def is_limited(self):
        """Whether there is anything in its database that the user may not do, or models have tables in other ones."""
        return not all(self._may(right, self._database, "*") for right in ALL)

    def lacks_for_record(self, table, *, is_there, directions):
        """Return what is lacking to record what goes in these directions: "forwards", "backwards", or both."""
        rights = [] if is_there else ["CREATE", "SELECT"]
        rights += ["INSERT"] if "forwards" in directions else []
        rights += ["DELETE"] if "backwards" in directions else []
        return [self._lack(right, self._database) for right in rights if not self._may(right, self._database, table)]

    def lacks(self, need, *, is_made):
        """Return what is lacking for a need (table_acts.Need); who makes a table (`is_made`) has no more on it."""
        database, table = split_table(self._connection, need.name)
        database = database or self._database
        return [
            self._lack(right, database)
            for right in RIGHTS.get(need.act, ())
            if not any(self._may(one, database, table) for one in self._enough_for(right))
        ]

    def _enough_for(self, right):
        """Return the rights of which one is enough: MariaDB takes any right on rows for REFERENCES."""
        if right == "REFERENCES" and self._connection.mysql_is_mariadb:
            return ("REFERENCES", "SELECT", "INSERT", "UPDATE", "DELETE")
        return (right,)

    def _may(self, right, database, table):
        return any(
            bool({right, "ALL PRIVILEGES", "ALL"} & rights)
            and _is_in(database, pattern, is_pattern=named == "*")
            and named.casefold() in ("*", table.casefold())
            and not (pattern == "*" and self._is_revoked(right, database))
            for rights, pattern, named in self._grants
        )

    def _is_revoked(self, right, database):
        """Whether a right on all databases was taken back for one (partial_revokes, since MySQL 8.0.16)."""
        return any(right in rights and named.casefold() == database.casefold() for rights, named, _ in self._revoked)

    def _lack(self, right, database):
        user, _, host = self.role.rpartition("@")
        grant = "GRANT {} ON `{}`.* TO '{}'@'{}';".format(right, database.replace("`", "``"), user, host)
        return Lack(right, "database {}".format(database), None, grant, self._shows_all(host, database))

    def _shows_all(self, host, database):
        """Whether SHOW GRANTS shows all that counts in a database.

        The server looks a database up by the address of the session: what is given there to the same name at another
        host ('app'@'%') counts too, unless an entry of this account comes first. Of '%' none is at a wider one.
        """
        return host == "%" or any(
            pattern != "*" and named == "*" and _is_in(database, pattern, is_pattern=True)
            for _, pattern, named in self._grants
        )


def _ask(connection, cursor):
    """Return the lines of SHOW GRANTS, what active roles give included: MariaDB says it of itself, MySQL if asked."""
    roles = None
    if not connection.mysql_is_mariadb and connection.mysql_version >= _NO_ROLES_BEFORE:
        cursor.execute("SELECT CURRENT_ROLE()")
        roles = cursor.fetchone()[0]
    has_roles = roles is not None and roles.upper() != "NONE"
    cursor.execute("SHOW GRANTS" + (" FOR CURRENT_USER() USING {}".format(roles) if has_roles else ""))
    return [line for (line, *_) in cursor.fetchall()]


def _parse(lines):
    """Return [(rights, database, table)] that are given, and the same of those taken back; "*" is any."""
    given: list[tuple[set[str], str, str]] = []
    revoked: list[tuple[set[str], str, str]] = []
    for line in lines:
        found = _GRANT.match(line)
        if found is not None:
            verb, rights, database, table = found.groups()
            # A right on some columns is one that may be enough.
            words = {word.strip().upper() for word in re.sub(r"\([^)]*\)", "", rights).split(",")}
            (given if verb.upper() == "GRANT" else revoked).append((words, _plain(database), _plain(table)))
        elif _OTHER.match(line) is None:
            raise UnknownGrantsError("SHOW GRANTS says: {}".format(line.partition(" IDENTIFIED BY ")[0]))
    return given, revoked


def _plain(name):
    return name if name == "*" else name[1:-1].replace(name[0] * 2, name[0])


def _is_in(database, pattern, *, is_pattern):
    """Whether a database is one of a pattern, in which a percent sign or an underscore without a backslash is any."""
    if pattern == "*" or not is_pattern:
        return pattern == "*" or pattern.casefold() == database.casefold()
    parts = {"%": ".*", "_": "."}
    tokens = re.findall(r"\\.|.", pattern, re.DOTALL)
    expression = "".join(parts.get(token) or re.escape(token[-1]) for token in tokens)
    return re.fullmatch(expression, database, re.IGNORECASE | re.DOTALL) is not None
