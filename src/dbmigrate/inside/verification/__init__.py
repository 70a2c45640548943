"""The question `verify`: records, tables and repairs."""
