"""Folders, archives, tables and manifests, read into one table of pictures."""
