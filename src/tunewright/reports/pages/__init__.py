"""Reports as HTML pages: one file each, which needs no other file and no network."""
