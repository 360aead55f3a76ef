"""Embed without a network or a download: by gradients and colours, words and letters.

With these encoders every command of the recipe works offline on a user's own pictures, and
learned encoders have a baseline.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from tunewright.errors import DataError

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

SIDE = 64  # pixels; every picture is squeezed to this square first
ORIENTATIONS = 9
CELLS = (8, 16)  # pixels; two scales of gradient histograms
THUMBNAIL = 8  # pixels
HUES, SATURATIONS, VALUES = 12, 4, 4
CLIP = 0.2  # keeps one strong edge from deciding a histogram (Dalal and Triggs, section 6.4)
SEED = 0  # of the randomised decomposition


def picture_features(picture: Image.Image) -> Floats:
    """Describe one RGB picture by five blocks: gradients at two scales, colours, a thumbnail.

    Gradient orientation histograms with block normalisation after Dalal and Triggs (CVPR
    2005); HSV histograms of the whole picture and of its middle, square-rooted so that Euclidean
    distances become Hellinger distances (Arandjelović and Zisserman, CVPR 2012). Each has length 1.
    """
    small = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    grey = np.asarray(small.convert("L"), dtype=np.float32) / np.float32(255)
    edges = _edges(grey)
    hsv = np.asarray(small.convert("HSV"))
    middle = slice(SIDE // 4, -SIDE // 4)
    thumbnail = small.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    blocks = [
        *(_gradient_histograms(*edges, cell) for cell in CELLS),
        np.sqrt(_colour_histogram(hsv)),
        np.sqrt(_colour_histogram(hsv[middle, middle])),
        np.asarray(thumbnail, dtype=np.float32) / 255 - 0.5,
    ]
    return np.concatenate([_unit(block.ravel()) for block in blocks]).astype(np.float32)


def reduce_features(features: Floats, fit: Mask, /, *, dimensions: int = 512) -> Floats:
    """Reduce features [N, F] to their principal axes: [N, at most `dimensions`], unit rows.

    fit: the rows that the axes are fitted on, [N]; those of train.
    """
    centred = features - features[fit].mean(axis=0)
    known = centred[fit]
    if len(known) < known.shape[1]:
        axes = np.linalg.svd(known, full_matrices=False)[2].T
    else:  # the same axes from a matrix that does not grow with the rows
        axes = np.linalg.eigh(known.T @ known)[1][:, ::-1]
    return unit_rows(centred @ axes[:, :dimensions])


def embed_texts(texts: Sequence[str], fit: Mask, /, *, dimensions: int = 512) -> Floats:
    """Embed texts by their words and letter n-grams: [N, at most `dimensions`], unit rows.

    TF-IDF of words and word pairs, and of 3 to 5 letters within words, so that spelling
    variants stay near; then latent semantic analysis (Deerwester et al. 1990). Vocabulary and
    axes come from the rows of `fit` alone, [N]. Raises DataError when these hold no words.
    """
    from scipy.sparse import csr_array, hstack
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    known = [text for text, use in zip(texts, fit, strict=True) if use]
    common = 2 if len(known) > 20 else 1  # a word that stands in one text connects nothing
    pieces = [
        TfidfVectorizer(
            ngram_range=(1, 2), sublinear_tf=True, min_df=common, token_pattern=r"\b\w+\b"
        ),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=common),
    ]
    try:
        counts = csr_array(hstack([piece.fit(known).transform(texts) for piece in pieces]))
    except ValueError:  # scikit-learn's "empty vocabulary"
        raise DataError(
            f"the {len(known):,} texts to learn from share no words",
            expected="texts whose words repeat from row to row",
            remedy="Check the text column, or use a pretrained text encoder.",
        ) from None
    axes = TruncatedSVD(min(dimensions, counts.shape[1], len(known)), random_state=SEED)
    axes.fit(counts[np.flatnonzero(fit)])
    return unit_rows(axes.transform(counts))


def unit_rows(rows: npt.NDArray[np.floating]) -> Floats:
    """Rows of length 1; a row of zeros becomes the first axis, for it needs some direction."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.where(lengths < 1e-9, np.eye(1, rows.shape[1]), rows)
    return np.asarray(rows / np.maximum(lengths, 1e-9), dtype=np.float32)


def _edges(grey: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Edge strengths, each shared out between two orientations: two of [2, pixels]."""
    down, right = np.gradient(grey)
    strength = np.hypot(down, right).ravel()
    angle = (np.arctan2(down, right) % np.pi).ravel() * (ORIENTATIONS / np.pi)
    lower = angle.astype(np.int64)
    upper_share = angle - lower
    shared = np.stack([strength * (1 - upper_share), strength * upper_share])
    return shared, np.stack([lower, lower + 1]) % ORIENTATIONS


def _gradient_histograms(
    strengths: Floats, orientations: npt.NDArray[np.int64], cell: int
) -> Floats:
    """Return [cells, cells, orientations] of edge strength, normalised by 2 x 2 blocks of cells.

    A pixel in row y, column x of cells of 8 pixels falls into bin ((y // 8) * cells + x // 8) *
    orientations + orientation.
    """
    cells = SIDE // cell
    place = np.arange(SIDE) // cell
    bins = (place[:, None] * cells + place).ravel() * ORIENTATIONS + orientations
    counts = np.bincount(bins.ravel(), strengths.ravel(), minlength=cells * cells * ORIENTATIONS)
    histograms = counts.reshape(cells, cells, ORIENTATIONS)
    energy = np.pad((histograms**2).sum(axis=2), 1, mode="edge")
    rows = energy[1:] + energy[:-1]
    blocks = np.sqrt(rows[:, 1:] + rows[:, :-1] + 1e-3)[..., None]  # [cells + 1, cells + 1, 1]
    corners = (blocks[:-1, :-1], blocks[:-1, 1:], blocks[1:, :-1], blocks[1:, 1:])
    found = sum(np.minimum(histograms / corner, CLIP) for corner in corners)
    return np.asarray(found, dtype=np.float32)


def _colour_histogram(hsv: npt.NDArray[np.uint8]) -> Floats:
    """Return the shares of the pixels in each of 12 hues x 4 saturations x 4 values."""
    levels = (HUES, SATURATIONS, VALUES)
    hue, saturation, value = (
        hsv[..., channel].astype(np.int64) * level // 256 for channel, level in enumerate(levels)
    )
    code = (hue * SATURATIONS + saturation) * VALUES + value
    counts = np.bincount(code.ravel(), minlength=HUES * SATURATIONS * VALUES)
    return (counts / code.size).astype(np.float32)


def _unit(vector: Floats) -> Floats:
    return vector / max(float(np.linalg.norm(vector)), 1e-6)
