"""What goes wrong with the project, its databases or its locks, as it goes into the reply."""

from __future__ import annotations

TYPE_CHECKING = False  # not typing's: a step imports this before it becomes manage.py
if TYPE_CHECKING:
    from .protocol import FailureKind


class HostError(Exception):
    """The failure of a question, or of the boot."""

    def __init__(self, kind: FailureKind, message: str, **fields: object) -> None:
        """Keep the kind, the message, and what else the reply carries: the keys of a failure of this kind."""
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.fields = fields
