"""Charts as plain values, drawn interactively or as pictures."""
