"""A picture to bytes and back."""

import itertools
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from tunewright.errors import DataError, RunError
from tunewright.recipes.compression.codec import codec, memory
from tunewright.recipes.compression.codec.codec import (
    compress_picture,
    decompress_picture,
    padding,
)
from tunewright.recipes.compression.codec.container import pack, unpack


def forward(opened, picture):
    """What the model itself makes of a picture in evaluation: pixels, and bits by part."""
    height, width, _ = picture.shape
    given = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    around = padding(width, height, opened.model.multiple)
    with torch.no_grad():
        coded = opened.model(functional.pad(given, around))
    inside = coded.pictures[0, :, around[2] :, around[0] :][:, :height, :width]
    pixels = (inside.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return pixels, {name: -p.log2().double().sum() for name, p in coded.likelihoods.items()}


@given(st.integers(1, 140), st.integers(1, 140))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_comes_back_is_what_the_model_makes_of_the_picture(opened, pictures, height, width):
    picture = pictures(height, width)
    compressed = compress_picture(opened, picture, verify=False)
    found = decompress_picture(opened, compressed.data).picture
    expected, bits = forward(opened, picture)
    assert found.shape == picture.shape
    assert np.array_equal(found, expected)
    estimated = compressed.estimated_bits
    assert estimated["z"] == pytest.approx(float(bits.pop("z")), rel=1e-4)
    assert estimated["y"] == pytest.approx(float(sum(bits.values())), rel=1e-4)


def test_the_same_bytes_and_pixels_each_time(opened, pictures):
    first, second = (compress_picture(opened, pictures(70, 90)).data for _ in range(2))
    assert first == second
    one, other = (decompress_picture(opened, first).picture for _ in range(2))
    assert np.array_equal(one, other)


def test_a_caller_with_gradients_and_other_threads_changes_nothing(opened, pictures):
    data = compress_picture(opened, pictures(70, 90)).data
    expected = decompress_picture(opened, data).picture
    torch.set_num_threads(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert np.array_equal(decompress_picture(opened, data).picture, expected)
    assert torch.get_num_threads() == 3


def test_real_bits_are_the_estimated_ones_but_for_a_little(make_opened, pictures):
    for kind in ("hpcm", "hyperprior"):
        opened = make_opened(kind, gain=4.0)
        found = compress_picture(opened, pictures(200, 260))
        for stream, real in found.real_bits.items():
            assert real <= 1.02 * found.estimated_bits[stream] + 50
        assert found.notices == ()
        assert found.symbols > 1000
        assert 8 * len(found.data) <= sum(found.real_bits.values()) + 8 * 32


def test_bits_above_the_estimated_ones_are_told():
    real, estimated = {"z": 100, "y": 1200}, {"z": 60.0, "y": 1000.0}
    (said,) = codec.bits_above(real, estimated)
    assert said == (
        "the stream y takes 1,200 bits, 20.0% more than the 1,000 that the model estimates"
    )


def test_grey_comes_back_with_equal_channels(opened, pictures):
    picture = np.repeat(pictures(40, 50)[:, :, :1], 3, 2)
    found = decompress_picture(opened, compress_picture(opened, picture, grey=True).data)
    assert found.grey
    assert np.array_equal(found.picture[:, :, :1].repeat(3, 2), found.picture)


def test_wild_latents_are_escaped(make_opened, pictures):
    for kind in ("hpcm", "hyperprior"):
        opened = make_opened(kind, gain=3000.0)
        picture = pictures(60, 60)
        found = decompress_picture(opened, compress_picture(opened, picture).data)
        assert np.array_equal(found.picture, forward(opened, picture)[0])


@pytest.mark.parametrize("gain", [1e12, float("nan")])
def test_latents_that_no_file_can_hold_are_an_error(make_opened, pictures, gain):
    with pytest.raises(RunError, match="latent") as caught:
        compress_picture(make_opened("hyperprior", gain=gain), pictures(60, 60))
    assert "diverged" in str(caught.value)


def test_a_file_of_another_model_names_both(make_opened, pictures):
    one, other = make_opened("hyperprior", seed=1), make_opened("hyperprior", seed=2)
    data = compress_picture(one, pictures(30, 30)).data
    with pytest.raises(DataError, match=one.fingerprint.hex()) as caught:
        decompress_picture(other, data)
    assert other.fingerprint.hex() in str(caught.value)
    assert make_opened("hyperprior", seed=1).fingerprint == one.fingerprint


def test_values_that_decode_otherwise_say_why(opened, pictures):
    data = compress_picture(opened, pictures(60, 60)).data
    held = unpack(data)
    with pytest.raises(DataError, match=r"a\.twc was written on cpu and does not decode") as caught:
        decompress_picture(opened, pack(replace(held, symbols=held.symbols ^ 1)), name="a.twc")
    assert torch.__version__ in str(caught.value)
    swapped = pack(replace(held, streams=held.streams[::-1]))
    with pytest.raises(DataError, match="does not decode to the same values"):
        decompress_picture(opened, swapped)


def test_a_model_that_does_not_predict_the_same_twice_is_found_out(
    make_opened, pictures, monkeypatch
):
    opened = make_opened("hpcm")
    predict, turns = opened.model.predict, itertools.count(1)
    monkeypatch.setattr(opened.model, "predict", lambda z: predict(z) * next(turns))
    with pytest.raises(RunError, match="does not decode to the same values"):
        compress_picture(opened, pictures(100, 100))
    compress_picture(opened, pictures(100, 100), verify=False)


def test_files_that_were_made_to_pass_their_checksum_are_decoded_or_refused(opened, pictures):
    data = compress_picture(opened, pictures(20, 20)).data
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        body = bytearray(data[:-4])
        body[rng.integers(13, len(body))] ^= rng.integers(1, 256)
        try:
            decompress_picture(opened, bytes(body) + struct.pack("<I", zlib.crc32(body)))
        except DataError:
            refused += 1
    assert refused > 50


def test_sides_beyond_the_memory_are_refused_before_it_is_taken(make_opened, pictures):
    opened = make_opened("hyperprior")
    held = unpack(compress_picture(opened, pictures(9, 9)).data)
    huge = pack(replace(held, width=2**20, height=2**20))
    with pytest.raises(DataError, match=r"1,099,511,627,776 pixels need about .* of memory"):
        decompress_picture(opened, huge)


def test_a_picture_beyond_the_memory_is_refused(make_opened, pictures, monkeypatch):
    opened = make_opened("hpcm")
    monkeypatch.setattr(codec, "CHEAP_PIXELS", 0)
    monkeypatch.setattr(memory, "free_mib", lambda: 0.5)
    with pytest.raises(DataError, match=r"b\.png: 4,096 pixels need about"):
        compress_picture(opened, pictures(9, 9), name="b.png")
    assert 100 < opened.bytes_a_pixel < 10_000
