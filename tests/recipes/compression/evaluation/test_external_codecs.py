"""Codecs that are programs: found, run, and their failures; with programs made here."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tunewright.recipes.compression.evaluation.classical_codecs import Curves
from tunewright.recipes.compression.evaluation.external_codecs import (
    find_external,
    from_planes,
    to_planes,
)

HEAD = "import gzip, sys\na = sys.argv\ndef after(word): return a[a.index(word) + 1]\n"
BPGENC = HEAD + "open(after('-o'), 'wb').write(open(a[-1], 'rb').read())"
VVCENC = HEAD + "open(after({out!r}), 'wb').write(gzip.compress(open(after('-i'), 'rb').read()))"
VVCDEC = HEAD + "open(after('-o'), 'wb').write(gzip.decompress(open(after('-b'), 'rb').read()))"


def picture(height: int = 21, width: int = 33) -> np.ndarray:
    down, right = np.mgrid[0:height, 0:width]
    colours = [4 * down, 3 * right, 255 - 2 * down - right]
    return np.stack(np.broadcast_arrays(*colours), axis=-1).clip(0, 255).astype(np.uint8)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "vtm" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(f"#!{sys.executable}\n{text}\n")
    file.chmod(0o755)


def test_what_is_not_there_is_said(programs: Path) -> None:
    program(programs, "bpgenc", BPGENC)
    program(programs, "EncoderAppStatic", "")
    program(programs, "DecoderAppStatic", "")
    found, absent = find_external()
    assert found == []
    assert absent["bpg"] == "not measured: bpgdec not on the PATH"
    assert absent["vvenc"] == "not measured: vvencapp and vvdecapp not on the PATH"
    assert "encoder_intra_vtm.cfg does not exist" in absent["vtm"]


def test_each_codec_runs(programs: Path) -> None:
    """The stand-ins lose nothing, so that only the conversion of colours does."""
    program(programs, "bpgenc", BPGENC)
    program(programs, "bpgdec", BPGENC)
    program(programs, "vvencapp", VVCENC.format(out="-o"))
    program(programs, "vvdecapp", VVCDEC)
    program(programs, "EncoderAppStatic", VVCENC.format(out="-b"))
    program(programs, "DecoderAppStatic", VVCDEC)
    (programs.parent / "cfg").mkdir()
    (programs.parent / "cfg" / "encoder_intra_vtm.cfg").write_text("")
    found, absent = find_external()
    assert absent == {}
    original = picture()
    for codec, most in zip(found, (0, 8, 2), strict=True):
        size, decoded = codec.encode(original, 32)
        assert size > 0
        assert decoded.shape == original.shape
        assert np.abs(decoded.astype(int) - original).max() <= most, codec.name


def test_a_program_that_fails_leaves_its_codec_out(programs: Path) -> None:
    program(programs, "bpgenc", "import sys; print('no such profile'); sys.exit(3)")
    program(programs, "bpgdec", BPGENC)
    curves = Curves(find_external()[0])
    curves.add(picture(), "a.png")
    assert curves.names == ()
    assert "no such profile" in curves.notes[0]


def test_a_decoder_of_another_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="the decoder wrote 10 bytes"):
        from_planes(bytes(10), 4, 4, half=False)


def test_colours_are_those_of_bt_709() -> None:
    """Pure red: Y = .2126 * 255; Cr is at its end, Cb = 128 - Y / 1.8556."""
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    luma, cb, cr = (plane[0, 0] for plane in to_planes(red, half=False))
    assert (luma, cb, cr) == (54, 99, 255)
