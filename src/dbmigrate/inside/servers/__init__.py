"""What servers say of themselves: identity, catalogue, rights, room, troubles."""
