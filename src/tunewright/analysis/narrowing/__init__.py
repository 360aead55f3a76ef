"""The second stage's space, from the trials of the first; no torch."""
