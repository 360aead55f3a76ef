"""Makes `eye_files` of this folder importable to the tests below it."""
