"""What is asked at a terminal before a plan runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmigrate.errors import DeclinedError

if TYPE_CHECKING:
    from dbmigrate.cli.context import Session
    from dbmigrate.models.plan import MigrationPlan


class Consent:
    """Asks whether migrations may be undone: once for each set of them."""

    def __init__(self, session: Session) -> None:
        """Ask at the terminal of this session, if there is one."""
        self._session = session
        self._agreed: frozenset[tuple[str, str]] = frozenset()

    def ask(self, plan: MigrationPlan) -> None:
        """Do nothing if a person agrees, or nobody can be asked, or the plan undoes nothing; the menu has asked.

        Raises:
            DeclinedError: the answer is no.
        """
        undone = {
            (step.alias, migration.id) for step in plan.steps for migration in step.migrations if migration.backwards
        }
        session = self._session
        if undone <= self._agreed or plan.selection.fake or not session.has_menu or session.is_menu:
            return
        from dbmigrate.listing import listed
        from dbmigrate.renderers.words import plural

        for alias in dict.fromkeys(alias for alias, _ in undone):
            own = [migration for migration in plan.pending_on(alias) if (alias, migration) in undone]
            session.err.write(f"{alias}: {plural(len(own), 'migration')} to undo: {listed(own)}\n")
        session.err.write("undoing takes away the tables and columns they made, with what is in them\n")
        session.err.flush()
        if not session.prompter().confirm("Undo them?", is_yes=False):
            raise DeclinedError("declined; nothing was changed", hint="answer y, or pass --no-input")
        self._agreed = frozenset(undone)
