"""A recipe that takes as much memory as it is told to."""
