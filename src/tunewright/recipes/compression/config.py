"""The configuration of `compression`: photographs, a compressor, and the rate-distortion loss."""

from typing import Annotated, Literal

from pydantic import Field

from tunewright.config.schema import Goals, RunConfig
from tunewright.config.section import Count, Fraction, PathText, Positive, Section
from tunewright.recipes.compression.balance.config import Balance, NoBalance
from tunewright.recipes.compression.finetune.config import FineTune, FromScratch

METRICS: dict[str, Literal["max", "min"]] = {
    "loss": "min",
    "bpp": "min",
    "psnr": "max",
    "ms_ssim": "max",
}

LAMBDAS: dict[str, tuple[float, ...]] = {
    "mse": (0.0018, 0.0035, 0.0067, 0.013, 0.025, 0.0483),
    "ms_ssim": (2.4, 4.58, 8.73, 16.64, 31.73, 60.5),
}
"""Lambda of each quality level, from 1 (the same as in HPCM and CompressAI)."""


class PhotosConfig(Section):
    """Photographs to learn from: every picture in a folder, and in the folders inside it.

    dir: null for crops of the two photographs that scikit-learn ships. valid_dir: photographs to
    validate on; null splits some off. val_split: fraction of the photographs that is split off
    then. split_seed: of that split. hflip, vflip: probability of a mirror image of a crop. crop:
    side of the random crops, in pixels. crops_per_photo: how many of them an epoch takes of each
    photograph. store: decoded photographs in memory that all processes share (resident), or decoded
    again for each crop (stream). skip_bad: leave out, and list, what cannot be read.
    """

    dir: PathText | None = None
    valid_dir: PathText | None = None
    val_split: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    split_seed: int = 42
    crop: Count = 256
    crops_per_photo: Count = 1
    hflip: Fraction = 0.5
    vflip: Fraction = 0.5
    store: Literal["auto", "resident", "stream"] = "auto"
    skip_bad: bool = False


class HpcmConfig(Section):
    """Hierarchical progressive context model (Li et al., ICCV 2025).

    size: tiny has the architecture of the others at widths for two CPU cores. weights: safetensors
    of the same model to begin from, such as a run of another lambda.
    """

    type: Literal["hpcm"] = "hpcm"
    size: Literal["tiny", "base", "large"] = "tiny"
    weights: PathText | None = None


class HyperpriorConfig(Section):
    """Mean-scale hyperprior (Minnen, Ballé & Toderici, NeurIPS 2018), without its context model.

    channels: of the transforms. latent: channels of the latents. weights: safetensors of the same
    model to begin from.
    """

    type: Literal["hyperprior"] = "hyperprior"
    channels: Count = 128
    latent: Count = 192
    weights: PathText | None = None


class MseConfig(Section):
    """lambda * 255^2 * MSE + bits per pixel.

    quality: level of the table, from 1. lmbda: the weight itself, in place of a level.
    off_table: whether lmbda may lie below or above all of the table.
    """

    type: Literal["mse"] = "mse"
    quality: Annotated[int, Field(ge=1, le=6)] | None = None
    lmbda: Positive | None = None
    off_table: bool = False


class MsSsimConfig(Section):
    """lambda * (1 - MS-SSIM) + bits per pixel.

    quality: level of the table, from 1. lmbda: the weight itself, in place of a level. off_table:
    whether lmbda may lie below or above all of the table.
    """

    type: Literal["ms_ssim"] = "ms_ssim"
    quality: Annotated[int, Field(ge=1, le=6)] | None = None
    lmbda: Positive | None = None
    off_table: bool = False


class CompressionConfig(RunConfig):
    """Everything that can be set for `compression`."""

    recipe: Literal["compression"] = "compression"
    goal: Goals = "val_loss"
    data: PhotosConfig = PhotosConfig()
    model: Annotated[HpcmConfig | HyperpriorConfig, Field(discriminator="type")] = HpcmConfig()
    loss: Annotated[MseConfig | MsSsimConfig, Field(discriminator="type")] = MseConfig()
    balance: Balance = NoBalance()
    finetune: FineTune = FromScratch()
