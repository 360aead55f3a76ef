"""Small compressors whose latents are far from zero, as untrained ones are not."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from tunewright.recipes.compression.codec.trained_compressor import TrainedCompressor, prepare
from tunewright.recipes.compression.models.compressor import Compressor
from tunewright.recipes.compression.models.hpcm import Hpcm, HpcmShape
from tunewright.recipes.compression.models.hyperprior import MeanScaleHyperprior

SHAPE = HpcmShape(
    widths=(8, 8, 16), depths=(1, 1, 1), latent=16, hyper=8, heads=4, windows=(1, 2, 2)
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A network this small only waits for a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def make_opened() -> Callable[..., TrainedCompressor]:
    """An opened compressor by the name of its kind, a seed, and how lively its latents are."""

    def make(kind: str, seed: int = 0, gain: float = 8.0) -> TrainedCompressor:
        torch.manual_seed(seed)
        model: Compressor = Hpcm(SHAPE) if kind == "hpcm" else MeanScaleHyperprior(8, 12)
        for transform, factor in (("g_a", gain), ("h_a", gain), ("h_s", 4.0)):
            weights = [p for p in getattr(model, transform).parameters() if p.ndim == 4]
            weights[-1].data *= factor
        return prepare(model)

    return make


@pytest.fixture(scope="session", params=["hpcm", "hyperprior"])
def opened(
    request: pytest.FixtureRequest, make_opened: Callable[..., TrainedCompressor]
) -> TrainedCompressor:
    return make_opened(request.param)


@pytest.fixture(scope="session")
def pictures() -> Callable[[int, int], np.ndarray]:
    """A picture, uint8 [height, width, 3], the same each time."""

    def picture(height: int, width: int) -> np.ndarray:
        return np.random.default_rng(height * 1000 + width).integers(
            0, 256, (height, width, 3), dtype=np.uint8
        )

    return picture
