"""The search: stages, loop, study."""
