"""Text encoders by name."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tunewright.errors import DataError
from tunewright.recipes.pairs.data.groups import number_texts
from tunewright.recipes.pairs.encoders.classical import Floats, Mask, embed_texts
from tunewright.recipes.pairs.encoders.image_encoders import OFFLINE
from tunewright.registry import Registry

# texts, and the rows that may be fitted on [N], to embeddings [N, D]
TextEncoder = Callable[[Sequence[str], Mask], Floats]
TEXT_ENCODERS: Registry[Callable[..., TextEncoder]] = Registry("text encoder")


@TEXT_ENCODERS
def classical(*, dimensions: int = 512) -> TextEncoder:
    """Embed by words and letter n-grams: offline, in seconds, fitted on the train rows."""
    return lambda texts, fit: embed_texts(texts, fit, dimensions=dimensions)


@TEXT_ENCODERS
def sentence_transformers(*, model: str = "all-MiniLM-L6-v2", batch_size: int = 64) -> TextEncoder:
    """Embed each distinct text by a sentence-transformers model, as unit vectors.

    Raises DataError when the library is not installed or the weights cannot be loaded.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise DataError(
            "the text encoder 'sentence_transformers' is not installed",
            remedy="Install it with pip install \"tunewright[text]\", or choose 'classical'.",
        ) from None
    try:
        network: Any = SentenceTransformer(model)
    except Exception as error:  # the hub's clients raise whatever their transport raises
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(
            f"the weights of {model!r} could not be loaded ({reason})", remedy=OFFLINE
        ) from error

    def encode(texts: Sequence[str], _: Mask) -> Floats:
        _, first, number = np.unique(number_texts(texts), return_index=True, return_inverse=True)
        distinct = [texts[row] for row in first]
        found = network.encode(distinct, batch_size=batch_size, normalize_embeddings=True)
        return np.asarray(found, dtype=np.float32)[number]

    return encode
