"""Copies of a run for the tools that people look at; the run folder stays the truth."""
