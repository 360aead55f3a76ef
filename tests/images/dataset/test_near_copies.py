"""Near copies by their hash, against the same definition written out with scipy."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy.fft import dctn

from tunewright.images.dataset.near_copies import (
    MOST_BITS,
    hash_distances,
    near_copies,
    perceptual_hashes,
)


def photo(seed, side=64):
    """Smooth blobs, as in a photograph."""
    draws = np.random.default_rng(seed)
    small = draws.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def stack(*pictures):
    return np.stack([np.asarray(picture).transpose(2, 0, 1) for picture in pictures])


@pytest.mark.parametrize("side", [16, 31, 64])
def test_bits_are_those_of_the_cosine_transform(side):
    pixels = stack(photo(0, side), photo(1, side))
    for found, picture in zip(perceptual_hashes(pixels), pixels, strict=True):
        grey = np.tensordot([0.299, 0.587, 0.114], picture.astype(float), axes=1)
        low = dctn(grey, norm="ortho")[:16, :16].ravel()
        low[0] = 0.0
        bits = np.unpackbits(found.view(np.uint8)).astype(bool)
        assert (bits != (low > np.median(low))).sum() <= 2  # float32 beside the median


def test_changed_pictures_are_near_and_others_are_not():
    first = photo(3)
    half = first.resize((32, 32), Image.Resampling.BICUBIC).resize((64, 64))
    changed = [
        half,
        ImageEnhance.Brightness(first).enhance(0.8),
        ImageEnhance.Contrast(first).enhance(0.8),
        first.convert("L").convert("RGB"),
    ]
    ones = perceptual_hashes(stack(first, photo(4)))
    others = perceptual_hashes(stack(*changed, *(photo(seed) for seed in range(5, 60))))
    pairs = near_copies(ones, others)
    assert {(pair.one, pair.other) for pair in pairs} == {(0, row) for row in range(4)}
    assert [pair.bits for pair in pairs] == sorted(pair.bits for pair in pairs)
    assert max(pair.bits for pair in pairs) <= MOST_BITS


def test_flat_pictures_are_like_none():
    grey = Image.new("RGB", (32, 32), (90, 90, 90))
    hashes = perceptual_hashes(stack(grey, grey))
    assert near_copies(hashes, hashes) == []


def test_distances_in_parts_are_those_of_all(monkeypatch):
    draws = np.random.default_rng(0)
    ones, others = (draws.integers(1, 2**63, (n, 4), dtype=np.uint64) for n in (23, 11))
    expected = np.bitwise_count(ones[:, None] ^ others[None]).sum(2)
    monkeypatch.setattr("tunewright.images.dataset.near_copies.PAIRS_AT_ONCE", 40)
    parts = list(hash_distances(ones, others))
    assert len(parts) > 3
    assert np.array_equal(np.concatenate([part for _, part in parts]), expected)


def test_pictures_too_small_to_tell_are_refused():
    with pytest.raises(ValueError, match="16 pixels"):
        perceptual_hashes(np.zeros((1, 3, 15, 15), np.uint8))
