"""One component of each kind, as packages outside Tunewright offer theirs."""
