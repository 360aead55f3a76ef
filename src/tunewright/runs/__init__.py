"""The files of run folders, and the values read from them; no torch."""
