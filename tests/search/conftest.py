"""Makes `shell_study` importable from the folders below."""
