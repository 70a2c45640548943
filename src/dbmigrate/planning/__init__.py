"""Decide: from what was found to what will happen. Pure: no input, no output, no clock."""
