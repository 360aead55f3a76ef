"""Open picture files, HEIC among them where its Pillow plug-in is installed."""

import io

from PIL import Image, UnidentifiedImageError

from tunewright.errors import ConfigError

BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
"""Major brands of HEIF files (ISO/IEC 23008-12) that Pillow itself cannot decode."""


def open_picture(content: bytes, name: object) -> Image.Image:
    """Open the bytes of a picture file, as `PIL.Image.open` does, without decoding its pixels.

    The plug-in for HEIC is loaded when the first such file comes. Raises ConfigError if it is
    absent: that is no fault of the file, which must not be skipped or remembered as broken.
    """
    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        if not is_heic(content):
            raise
    try:
        import pillow_heif
    except ImportError:
        raise ConfigError(
            f"{name} is a HEIC picture, and pillow-heif is not installed",
            expected="the extra `heic`",
            remedy="pip install 'tunewright[heic]', or convert such files to JPEG or PNG.",
        ) from None
    pillow_heif.register_heif_opener()
    return Image.open(io.BytesIO(content))


def is_heic(content: bytes) -> bool:
    """Return whether the first bytes are those of a HEIC or HEIF file."""
    return content[4:8] == b"ftyp" and content[8:12] in BRANDS
