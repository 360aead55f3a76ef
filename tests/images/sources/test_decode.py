"""Every way in which a picture file can be odd: put right, or refused with name and remedy."""

import contextlib
import io
import struct
import sys
import zlib
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA

import numpy as np
import pytest
from drawn_pictures import draw, encoded, picture, write_zip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from tunewright.errors import ConfigError, DataError
from tunewright.images.image_table import PicturePlace
from tunewright.images.loading.square import as_uint8
from tunewright.images.sources.decode import PictureSource, rgb
from tunewright.images.sources.reader import PictureReader


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


class TestModes:
    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
    def test_png(self, mode):
        assert rgb(saved(picture(1).convert(mode)), "x").mode == "RGB"

    def test_grey_stays_grey(self):
        grey = picture(2, mode="L")
        found = np.asarray(rgb(saved(grey), "x"))
        assert (found == np.asarray(grey)[:, :, None]).all()

    def test_cmyk_jpeg(self):
        found = np.asarray(rgb(saved(picture(3).convert("CMYK"), "JPEG", quality=98), "x"), int)
        assert np.abs(found - np.asarray(picture(3), int)).mean() < 12

    def test_transparency_is_white(self):
        clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
        half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
        assert rgb(saved(clear), "x").getpixel((0, 0)) == (255, 255, 255)
        assert rgb(saved(half), "x").getpixel((0, 0))[0] == pytest.approx(127, abs=1)

    @pytest.mark.parametrize("transparency", [0, b"\x00\xff"])
    def test_palette_with_transparency(self, transparency):
        image = Image.new("P", (4, 4), 0)
        image.putpalette([255, 0, 0, 0, 0, 255])
        image.putpixel((1, 1), 1)
        found = rgb(saved(image, transparency=transparency), "x")
        assert found.getpixel((0, 0)) == (255, 255, 255)
        assert found.getpixel((1, 1)) == (0, 0, 255)

    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            ("PNG", {}),
            ("JPEG", {"quality": 100, "subsampling": 0}),
            ("WEBP", {"lossless": True}),
            ("TIFF", {}),
            ("TIFF", {"compression": "tiff_lzw"}),
        ],
    )
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_rotation(self, orientation, kind, options):
        """Stored as a camera does for each way of holding it, the picture comes out upright."""
        upright = picture(4, size=(48, 32))
        turn = {
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90,
            7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270,
        }.get(orientation)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        stored = upright if turn is None else upright.transpose(turn)
        found = rgb(saved(stored, kind, exif=exif, **options), "x")
        assert found.size == (48, 32)
        off = np.abs(np.asarray(found, int) - np.asarray(upright, int))
        assert off.max() <= (8 if kind == "JPEG" else 0)

    def test_broken_exif_turns_nothing(self):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 77
        assert rgb(saved(picture(5), exif=exif), "x").size == (12, 10)

    @pytest.mark.filterwarnings("ignore")
    def test_exif_of_rubbish(self):
        assert rgb(saved(picture(5), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff"), "x").size == (
            12,
            10,
        )

    def test_sixteen_bits_of_grey_are_refused(self):
        deep = Image.fromarray(np.full((9, 9), 40_000, dtype=np.uint16))
        with pytest.raises(DataError, match=r"a/b\.png has I;16 pixels: expected 8 bits.*Convert"):
            rgb(saved(deep), "a/b.png")

    def test_a_window_says_what_is_black_and_white(self):
        deep = np.array([[0, 100, 2148, 4195, 65_535]], dtype=np.uint16)
        found = np.asarray(rgb(saved(Image.fromarray(deep)), "x", (100, 4195)))
        assert found[0].tolist() == [[0] * 3, [0] * 3, [128] * 3, [255] * 3, [255] * 3]

    @pytest.mark.parametrize("kind", [np.int32, np.float32])
    def test_a_window_of_32_bits(self, kind):
        values = np.array([[-1000, 0, 1000]]).astype(kind)
        found = np.asarray(rgb(saved(Image.fromarray(values), "TIFF"), "x", (-1000.0, 1000.0)))
        assert found[0, :, 0].tolist() == [0, 128, 255]

    def test_what_is_not_a_number_becomes_black(self):
        values = np.array([[np.nan, -np.inf, np.inf]], dtype=np.float32)
        found = np.asarray(rgb(saved(Image.fromarray(values), "TIFF"), "x", (0.0, 1.0)))
        assert found[0, :, 0].tolist() == [0, 0, 255]

    def test_a_window_of_bytes_holds_for_single_channels_only(self):
        grey = Image.fromarray(np.array([[50, 100, 150]], dtype=np.uint8))
        narrow = np.asarray(rgb(saved(grey), "x", (50, 150)))
        assert narrow[0, :, 0].tolist() == [0, 128, 255]
        wide = np.asarray(rgb(saved(grey), "x", (0, 4095)))  # a byte cannot hold such values
        assert wide[0, :, 0].tolist() == [50, 100, 150]
        colour = picture(3)
        assert np.array_equal(np.asarray(rgb(saved(colour), "x", (50, 150))), np.asarray(colour))

    def test_an_animation_shows_its_first_frame(self):
        frames = [picture(6), picture(7)]
        content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
        assert rgb(content, "x").size == (12, 10)


class TestHeic:
    def test_without_its_plug_in_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "pillow_heif", None)
        with pytest.raises(ConfigError, match=r"a\.heic is a HEIC.*pip install .*\[heic\]"):
            rgb(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a.heic")

    def test_other_files_ask_for_no_plug_in(self):
        with pytest.raises(DataError, match=r"not a readable picture"):
            rgb(b"\0\0\0\x18ftypisom\0\0\0\0mp42isom", "a.mp4")

    def test_with_the_plug_in_it_is_read_upright(self):
        heif = pytest.importorskip("pillow_heif")
        content = io.BytesIO()
        grey = np.add.outer(np.arange(0, 200, 5), np.arange(0, 48)).astype(np.uint8)  # 40 x 48
        heif.from_pillow(Image.fromarray(grey).convert("RGB")).save(content, quality=95)
        found = np.asarray(rgb(content.getvalue(), "a.heic"), int)
        assert np.abs(found - grey[..., None]).max() <= 6

    def test_half_a_file_is_named(self):
        heif = pytest.importorskip("pillow_heif")
        content = io.BytesIO()
        heif.from_pillow(picture(4, size=(100, 80))).save(content)
        for share in (3, 5, 9):
            with pytest.raises(DataError, match=r"a\.heic is not a readable picture"):
                rgb(content.getvalue()[: len(content.getvalue()) * share // 10], "a.heic")


class TestRefused:
    def test_zero_bytes(self):
        with pytest.raises(DataError, match=r"rose\.jpg is empty.*skip_bad=true"):
            rgb(b"", "rose.jpg")

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
    def test_truncated(self, kind):
        content = saved(picture(1, size=(300, 200)), kind)
        with pytest.raises(DataError, match=r"rose\.jpg is not a readable picture.*skip_bad=true"):
            rgb(content[: len(content) * 2 // 3], "rose.jpg")

    @pytest.mark.parametrize("content", [b"<html>not found</html>", b"\x89PNG\r\n\x1a\n broken"])
    def test_no_picture(self, content):
        with pytest.raises(DataError, match=r"rose\.jpg is not a readable picture"):
            rgb(content, "rose.jpg")

    def test_bomb(self):
        """A picture that says it has 40,000 pixels on a side, in a few bytes."""

        def chunk(kind, data):
            check = zlib.crc32(kind + data)
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0))
        body = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
        with pytest.raises(
            DataError, match=r"rose\.png is too large.*expected at most 178,956,970"
        ):
            rgb(b"\x89PNG\r\n\x1a\n" + header + body, "rose.png")

    @pytest.mark.filterwarnings("ignore")
    @given(data=st.data())
    @settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
    def test_any_damage_ends_in_a_picture_or_a_data_error(self, data):
        kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"]))
        content = bytearray(encoded(1, kind, size=(20, 20)))
        for _ in range(data.draw(st.integers(1, 6))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        end = data.draw(st.integers(1, len(content)))
        with contextlib.suppress(DataError):
            assert rgb(bytes(content[:end]), "x").mode == "RGB"


class TestReader:
    def test_files_and_zips(self, tmp_path):
        draw(tmp_path / "1.png", 1)
        write_zip(tmp_path / "p.zip", {"a/2.png": 2})
        reader = PictureReader()
        first = reader.picture(PicturePlace(tmp_path / "1.png"))
        second = reader.picture(PicturePlace(tmp_path / "p.zip", "a/2.png"))
        assert np.array_equal(np.asarray(first), np.asarray(picture(1)))
        assert np.array_equal(np.asarray(second), np.asarray(picture(2)))
        reader.close()

    def test_missing_and_broken(self, tmp_path):
        write_zip(tmp_path / "p.zip", {"a/2.png": 2})
        reader = PictureReader()
        with pytest.raises(DataError, match=r"1\.png cannot be read \(No such file"):
            reader.content(PicturePlace(tmp_path / "1.png"))
        with pytest.raises(DataError, match=r"p\.zip/b\.png cannot be read"):
            reader.content(PicturePlace(tmp_path / "p.zip", "b.png"))
        reader.close()
        broken = bytearray((tmp_path / "p.zip").read_bytes())
        broken[60] ^= 255
        (tmp_path / "q.zip").write_bytes(broken)
        with pytest.raises(DataError, match=r"q\.zip/a/2\.png cannot be unpacked.*CRC"):
            reader.content(PicturePlace(tmp_path / "q.zip", "a/2.png"))
        reader.close()

    @pytest.mark.parametrize("kind", [ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA])
    def test_a_damaged_member_of_a_compressed_zip(self, tmp_path, kind):
        """What the decompressor meets first is its own error, not a wrong checksum."""
        file = write_zip(tmp_path / "p.zip", {"a/2.png": bytes(range(256)) * 4}, kind)
        content = bytearray(file.read_bytes())
        content[45:60] = b"\xff" * 15
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"p\.zip/a/2\.png cannot be.*skip_bad=true") as refused:
            PictureReader().content(PicturePlace(file, "a/2.png"))
        assert "no such file" not in refused.value.came
        with PictureSource(file) as source, pytest.raises(DataError, match=r"a/2\.png"):
            source.open("a/2.png")

    def test_boxes_are_cut_after_rotation(self, tmp_path):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        image = picture(3, size=(30, 60))
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "x.png", exif=exif)
        found = PictureReader().picture(
            PicturePlace(tmp_path / "x.png", box=(0.0, 40.2, 15.0, 99.0))
        )
        assert np.array_equal(np.asarray(found), np.asarray(image)[40:60, :15])

    def test_a_box_beside_the_picture(self, tmp_path):
        draw(tmp_path / "x.png", 1)
        with pytest.raises(DataError, match=r"the box .* of .*x\.png lies outside.*12 x 10 pixels"):
            PictureReader().picture(PicturePlace(tmp_path / "x.png", box=(50.0, 0.0, 60.0, 5.0)))


class TestPixels:
    def test_a_picture_of_the_size_is_not_touched(self):
        image = picture(1, size=(8, 8))
        assert np.array_equal(as_uint8(image, 8), np.asarray(image).transpose(2, 0, 1))

    def test_others_are_squashed_without_aliasing(self):
        fine = Image.fromarray(np.tile(np.array([[0, 255]], np.uint8), (64, 64))).convert("RGB")
        small = as_uint8(fine.crop((0, 0, 128, 40)), 16)
        assert small.shape == (3, 16, 16)
        assert small.dtype == np.uint8
        assert np.abs(small.astype(int)[:, :, 1:-1] - 127).max() <= 8  # stripes become grey
