"""LMDB files of pictures and texts: read, written, and the pickled tuples of other programs."""
