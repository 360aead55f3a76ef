"""Pictures of 16 bits a channel: what is read of them, and that it is said once for a set."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from tunewright.images.dataset.channel_bits import HEAD, channel_bits, deep_colour_notices
from tunewright.images.dataset.config import ImagesConfig
from tunewright.images.dataset.datasets import open_sets
from tunewright.images.sources.decode import rgb
from tunewright.images.sources.open_source import open_table
from tunewright.recipes.compression.config import PhotosConfig
from tunewright.recipes.compression.data.photos import open_photos

VALUES = np.random.default_rng(3).integers(0, 65536, (6, 5, 3)).astype(np.uint16)


def png(values):
    height, width, channels = values.shape
    kind = {3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(values):
    height, width, channels = values.shape
    data = values.astype("<u2").tobytes()
    at = 8 + len(data)  # of the three depths, before the directory
    fields = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, at), (259, 4, 1, 1)]
    fields += [(262, 4, 1, 2), (273, 4, 1, 8), (277, 4, 1, channels), (278, 4, 1, height)]
    fields += [(279, 4, 1, len(data))]
    entries = b"".join(struct.pack("<HHII", *field) for field in fields)
    directory = struct.pack("<H", len(fields)) + entries + bytes(4)
    depths = struct.pack("<HHH", 16, 16, 16)
    return b"II*\0" + struct.pack("<I", at + len(depths)) + data + depths + directory


def ppm(values):
    height, width, _ = values.shape
    return f"P6\n{width} {height}\n65535\n".encode() + values.astype(">u2").tobytes()


DEEP = {"png": png(VALUES), "tif": tiff(VALUES), "ppm": ppm(VALUES)}


def encode(pixels, kind, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def bits(content):
    with Image.open(io.BytesIO(content)) as picture:
        return channel_bits(picture, content[:HEAD])


@pytest.mark.parametrize("kind", DEEP)
def test_colour_of_16_bits_is_read_at_the_nearest_8_bits(kind):
    read = np.asarray(rgb(DEEP[kind], "a")).astype(float)
    exact = VALUES / 257  # 65535 is white, as 255 is
    assert read.shape == (6, 5, 3)
    assert np.abs(read - exact).max() < 1.0
    assert bits(DEEP[kind]) == 16


def test_transparency_of_16_bits_is_laid_over_white():
    clear = np.dstack([VALUES, np.zeros((6, 5), np.uint16)])
    assert (np.asarray(rgb(png(clear), "a")) == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "JPEG2000", "JPEG", "BMP", "WEBP"])
def test_usual_pictures_have_8_bits(kind):
    assert bits(encode((VALUES >> 8).astype(np.uint8), kind)) == 8


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG2000"])
def test_the_depth_of_grey_pictures(kind):
    assert bits(encode(VALUES[:, :, 0], kind)) == 16


def test_two_colours_take_no_depth():
    assert bits(encode(VALUES[:, :, 0] > 9, "PNG")) == 8


def folder_of(tmp_path, contents):
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def classes(kind, content, count):
    return {f"{label}/{n}.{kind}": content for label in "ab" for n in range(count)}


@pytest.mark.parametrize("packed", [False, True])
def test_a_set_of_deep_colour_is_said_once(packed, tmp_path):
    contents = classes("png", DEEP["png"], 3) | {"b/8.tif": DEEP["tif"], "b/9.jpg": b"broken"}
    place = folder_of(tmp_path / "set", contents)
    if packed:
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        place = tmp_path / "set.zip"
    [notice] = deep_colour_notices(open_table(place), place)
    assert notice.startswith(f"pictures of {place} have 16 bits a channel (")
    assert notice.endswith("colour is read at 8 bits")
    assert "b/9" not in notice


def test_a_set_of_8_bits_or_of_deep_grey_has_no_notice(tmp_path):
    grey = encode(VALUES[:, :, 0], "PNG")  # refused without data.window, which says what is read
    usual = encode((VALUES >> 8).astype(np.uint8), "PNG")
    for name, content in {"grey": grey, "usual": usual}.items():
        place = folder_of(tmp_path / name, classes("png", content, 2))
        assert deep_colour_notices(open_table(place), place) == []


def test_each_kind_of_data_says_it(tmp_path):
    rng = np.random.default_rng(0)
    contents = {
        f"{label}/{n}.png": png(rng.integers(0, 65536, (6, 5, 3)).astype(np.uint16))
        for label in "ab"
        for n in range(4)
    }
    place = folder_of(tmp_path / "set", contents)
    labelled = open_sets(ImagesConfig(dir=str(place)))
    photos = open_photos(PhotosConfig(dir=str(place)))
    for notices in (labelled.notices, photos.notices):
        assert len([text for text in notices if text.endswith("is read at 8 bits")]) == 1
