"""Pictures in files."""

import numpy as np
import pytest
from PIL import Image

from tunewright.errors import DataError, UsageError
from tunewright.recipes.compression.codec.picture_files import (
    LOSSLESS,
    read_picture,
    write_picture,
)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (7, 11, 3), dtype=np.uint8)


def saved(place, picture, name="a.png", **options):
    picture.save(place / name, **options)
    return place / name


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("grey", [False, True])
def test_what_is_written_is_read(tmp_path, pixels, suffix, grey):
    if grey:
        pixels = pixels[:, :, :1].repeat(3, 2)
    write_picture(tmp_path / f"a{suffix}", pixels, grey=grey)
    found = read_picture(tmp_path / f"a{suffix}")
    assert np.array_equal(found.pixels, pixels)
    assert found.grey == (grey and suffix != ".webp")  # which has no grey
    assert found.notices == ()


def test_formats_that_lose_something_are_refused(tmp_path, pixels):
    with pytest.raises(UsageError, match=r"keeps every pixel: \.png"):
        write_picture(tmp_path / "a.jpg", pixels, grey=False)


def test_transparency_lies_over_white_with_a_notice(tmp_path):
    clear = Image.new("RGBA", (4, 3), (10, 20, 30, 0))
    found = read_picture(saved(tmp_path, clear))
    assert (found.pixels == 255).all()
    assert "transparency is not kept" in found.notices[0]


def test_pictures_are_upright(tmp_path, pixels):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned to the right to be looked at
    file = saved(tmp_path, Image.fromarray(pixels), exif=exif)
    assert np.array_equal(read_picture(file).pixels, np.rot90(pixels, -1))


def deep_grey(place, name):
    return saved(place, Image.fromarray(np.full((3, 4), 40_000, np.uint16)), name)


def deep_colour(place, name):
    """Pillow reads such a file, and drops the lower half of each value."""
    import struct
    import zlib

    rows = b"".join(b"\0" + np.full((4, 3), 40_000, ">u2").tobytes() for _ in range(3))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 4, 3, 16, 2, 0, 0, 0))]
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        content += struct.pack(">I", len(data)) + kind + data + checksum
    (place / name).write_bytes(content)
    return place / name


def deep_values(place, name):
    (place / name).write_bytes(b"P6\n4 3\n65535\n" + np.full(36, 40_000, ">u2").tobytes())
    return place / name


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (deep_grey, "a.png"),
        (deep_grey, "a.tif"),
        (deep_colour, "a.png"),
        (deep_values, "a.ppm"),
    ],
)
def test_sixteen_bits_are_refused(tmp_path, make, name):
    with pytest.raises(DataError, match=f"{name}.*expected 8") as caught:
        read_picture(make(tmp_path, name))
    assert "choosing which values become black and white" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_what_is_no_picture_is_refused_by_name(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png is") as caught:
        read_picture(tmp_path / "a.png")
    assert "skip" not in str(caught.value)
    with pytest.raises(DataError, match=r"b\.png cannot be read"):
        read_picture(tmp_path / "b.png")


def test_of_several_frames_the_first_is_kept(tmp_path):
    frames = [Image.new("L", (4, 4), shade) for shade in (0, 255)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    found = read_picture(tmp_path / "a.gif")
    assert (found.pixels == 0).all()
    assert "only the first of 2 frames" in found.notices[0]
