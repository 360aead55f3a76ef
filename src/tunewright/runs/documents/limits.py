"""The limits that YAML and JSON share."""

MAX_DEPTH = 32
"""Levels of lists and mappings in each other."""
MAX_DIGITS = 300
"""Characters of one number; a float holds no more than 309 digits before its point."""
