"""Trials of other studies, tables and earlier spaces."""
