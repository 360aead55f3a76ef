"""What reading a member of a damaged zip raises: `zipfile` lets its decompressors speak."""

import lzma
import zipfile
import zlib

UNPACKABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)
"""Besides OSError, which a file that cannot be read raises too."""
