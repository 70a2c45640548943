"""What is asked at a terminal before a plan runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmigrate.errors import DeclinedError

if TYPE_CHECKING:
    from dbmigrate.cli.session import Session
    from dbmigrate.models.plan import ShownPlan


class Consent:
    """Asks whether migrations may be undone, and whether data may be lost: once for each set of them."""

    def __init__(self, session: Session, *, may_ask: bool) -> None:
        """Ask at the terminal of this session, if there is one; `may_ask`: whether the command asks at all."""
        self._session = session
        self._may_ask = may_ask
        self._undone: frozenset[tuple[str, str]] = frozenset()
        self._lost: frozenset[tuple[str, ...]] = frozenset()

    @property
    def can_ask(self) -> bool:
        """Whether there is somebody who can be asked."""
        return self._may_ask and self._session.has_menu

    def ask(self, plan: ShownPlan) -> None:
        """Do nothing if a person agrees, or there is nothing to agree to.

        Raises:
            DeclinedError: the answer is no.
            ModelChangesError: data would be lost, and nobody can be asked.
        """
        self._ask_to_undo(plan)
        self._ask_to_lose(plan)

    def _ask_to_undo(self, plan: ShownPlan) -> None:
        """Ask where there is a terminal; the menu has asked."""
        undone = {
            (step.alias, migration.id) for step in plan.steps for migration in step.migrations if migration.backwards
        }
        session = self._session
        if undone <= self._undone or plan.selection.fake or not self.can_ask or session.is_menu:
            return
        from dbmigrate.listing import listed
        from dbmigrate.renderers.words import plural

        lines = []
        for alias in dict.fromkeys(alias for alias, _ in undone):
            own = [migration for migration in plan.pending_on(alias) if (alias, migration) in undone]
            lines.append(f"{alias}: {plural(len(own), 'migration')} to undo: {listed(own)}\n")
        lines.append("undoing drops the tables and columns they created, with all data in them\n")
        self._show("".join(lines))
        if not session.prompter().confirm("Undo them?", is_yes=False):
            raise DeclinedError("declined", hint="answer y, or pass --no-input", changed=False)
        self._undone = frozenset(undone)

    def _show(self, text: str) -> None:
        """Print what is asked about; a question that nobody can read is declined."""
        try:
            self._session.err.write(text)
            self._session.err.flush()
        except BrokenPipeError as error:
            raise DeclinedError(
                "what reads stderr has ended, so nobody can be asked",
                hint="leave stderr on the terminal, or pass --no-input",
                changed=False,
            ) from error

    def _ask_to_lose(self, plan: ShownPlan) -> None:
        """Ask, also from the menu: what it shows before is a plan like any other."""
        losses = [loss for loss in plan.losses if (*loss.aliases, *loss.subject) not in self._lost]
        if not losses or plan.selection.allow_data_loss:
            return
        from dbmigrate.planning.preflight import describe_losses, losses_declined, losses_refused
        from dbmigrate.renderers.words import printable_lines

        if not self.can_ask:
            raise losses_refused(losses, plan.make_first)
        session = self._session
        described = session.redactor.scrub(describe_losses(losses, " (nothing was changed yet)"), is_own=True)
        self._show(f"{printable_lines(described)}\n")
        if not session.prompter().confirm("Write and apply it?", is_yes=False):
            raise losses_declined(plan.make_first)
        self._lost |= {(*loss.aliases, *loss.subject) for loss in losses}
