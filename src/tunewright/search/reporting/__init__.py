"""The report of a study as a file: gathered, written, and kept fresh while the study runs."""
