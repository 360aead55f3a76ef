"""Configurations: schema, composition, checks, and where values come from; no torch."""
