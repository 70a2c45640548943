"""Turn events and answers into text; nothing is decided here."""
