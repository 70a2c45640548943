"""What goes wrong with the project, its databases or its locks, as it goes into the reply."""


class HostError(Exception):
    """The failure of a question, or of the boot."""

    def __init__(self, kind, message, **fields):
        """Keep the kind (a key of the protocol), the message, and what else the reply carries."""
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.fields = fields
