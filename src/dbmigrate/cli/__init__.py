"""The command line: parse, call a use case, choose a renderer, return an exit code."""
