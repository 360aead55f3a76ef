"""Classical codecs on pictures in memory."""

import io

import numpy as np
import pytest
from PIL import Image, features

from tunewright.recipes.compression.evaluation import classical_codecs
from tunewright.recipes.compression.evaluation.classical_codecs import (
    CLASSICAL,
    Classical,
    Curves,
    code,
)


def photo(height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
    """Smooth areas, an edge and a little noise."""
    rng = np.random.default_rng(seed)
    down, right = np.mgrid[0:height, 0:width]
    plane = 90 + 60 * np.sin(down / 17 + seed) + 50 * (right > width // 2) + right / 4
    noise = rng.normal(0, 4, (height, width, 3))
    return np.clip(plane[..., None] + noise, 0, 255).astype(np.uint8)


JPEG = Classical("jpeg", "jpg", (10, 50, 90), {"optimize": True})


def test_a_picture_costs_what_its_file_has() -> None:
    one = photo()
    file = io.BytesIO()
    Image.fromarray(one).save(file, "JPEG", quality=50, optimize=True)
    assert code(one, JPEG, 50).bpp == 8 * len(file.getvalue()) / (64 * 96)


@pytest.mark.parametrize("codec", CLASSICAL, ids=lambda codec: codec.name)
def test_more_bits_are_nearer(codec: Classical) -> None:
    if not features.check(codec.feature):
        pytest.skip(f"this Pillow has no {codec.name}")
    ends = (codec.qualities[0], codec.qualities[-1])
    curves = Curves([Classical(codec.name, codec.feature, ends, codec.options)])
    curves.add(photo())
    found = curves.curves()[codec.name]
    assert found["quality"] == list(ends)
    assert found["bpp"][0] < found["bpp"][1]
    assert found["psnr"][0] < found["psnr"][1]
    assert "4:2:0" in found["settings"]
    assert "ms_ssim" not in found  # too small for it


def test_curves_are_means_over_pictures() -> None:
    pictures = [photo(seed=1), photo(48, 48, seed=2)]
    curves = Curves([JPEG])
    for one in pictures:
        curves.add(one)
    each = [code(one, JPEG, 10) for one in pictures]
    found = curves.curves()["jpeg"]
    assert found["bpp"][0] == pytest.approx(np.mean([one.bpp for one in each]))
    assert found["psnr"][0] == pytest.approx(np.mean([one.fidelity.psnr for one in each]))


def test_qualities_that_do_not_differ_are_one_point() -> None:
    curves = Curves([JPEG])
    curves.add(np.full((1, 1, 3), 7, np.uint8))
    found = curves.curves()["jpeg"]
    assert len(set(found["bpp"])) == len(found["bpp"])
    assert len(set(found["psnr"])) == len(found["psnr"])


def test_a_codec_that_cannot_write_a_picture_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Classical("webp", "webp", (50,), {})

    def failing(picture: np.ndarray, codec: Classical, quality: int) -> classical_codecs.CodecPoint:
        if codec.name == "webp":
            raise OSError("too wide")
        return code(picture, codec, quality)

    monkeypatch.setattr(classical_codecs, "code", failing)
    curves = Curves([JPEG, other])
    curves.add(photo(), "a.png")
    assert curves.notes == ["webp is left out: it cannot write a.png (too wide)"]
    assert set(curves.curves()) == {"jpeg"}
    curves.add(photo())
    assert len(curves.notes) == 1


def test_what_was_measured_once_is_not_measured_again(tmp_path, monkeypatch) -> None:
    def curve(codec: Classical, picture: np.ndarray) -> dict:
        curves = Curves([codec], keep=tmp_path)
        curves.add(picture)
        return curves.curves()

    first = curve(JPEG, photo())
    refused = []
    real = classical_codecs.code
    monkeypatch.setattr(classical_codecs, "code", lambda *job: refused.append(job[2]) or real(*job))
    assert curve(JPEG, photo()) == first
    assert refused == []
    more = Classical("jpeg", "jpg", (10, 70), JPEG.options)
    assert curve(more, photo())["jpeg"]["quality"] == [10, 70]
    assert refused == [70]
    curve(Classical("jpeg", "jpg", (10,), {}), photo())
    curve(Classical("jpeg", "jpg", (10,), JPEG.options), photo(seed=1))
    assert refused == [70, 10, 10], "other options and other pictures are measured"


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path) -> None:
    (tmp_path / "file").touch()
    curves = Curves([JPEG], keep=tmp_path / "file" / "inside")
    curves.add(photo())
    assert curves.curves()
