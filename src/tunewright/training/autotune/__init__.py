"""Precision, memory format and compilation, chosen from timed steps."""
