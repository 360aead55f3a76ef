"""Makes `drawn_pictures` importable from the folders below."""
