"""Check that crop, model, loss and goal of a configuration fit together; imports without torch."""

from pathlib import Path

from tunewright.errors import ConfigError
from tunewright.recipes.compression.balance.config import FamoConfig
from tunewright.recipes.compression.balance.gamma import plan_gamma
from tunewright.recipes.compression.config import CompressionConfig
from tunewright.recipes.compression.lambdas import weight_of
from tunewright.runs.regular_files import exists
from tunewright.training.weights.weights_file import (
    EXPECTED,
    SAVE_AGAIN,
    weights_fault,
    weights_of,
)

MULTIPLES = {"tiny": 128, "base": 256, "large": 256}
"""Pixels that the sides of an HPCM's pictures are multiples of, by its size."""
HYPERPRIOR_MULTIPLE = 64
MS_SSIM_ABOVE = 160
"""Sides must be longer than this, in pixels, for MS-SSIM's coarsest scale to hold its window."""


def check_fit(config: CompressionConfig) -> list[str]:
    """Return notices on the loss; raise ConfigError for settings that do not fit."""
    crop, loss = config.data.crop, config.loss
    multiple = multiple_of(config)
    enough = -(-(MS_SSIM_ABOVE + 1) // multiple) * multiple
    needs_ms_ssim = loss.type == "ms_ssim" or "val_ms_ssim" in _metrics(config)
    if crop % multiple:
        model = config.model.size if config.model.type == "hpcm" else config.model.type
        near = max(enough if needs_ms_ssim else multiple, round(crop / multiple) * multiple)
        raise ConfigError(
            f"data.crop = {crop}",
            expected=f"a multiple of {multiple} pixels for the model {model}",
            remedy=f"Write data.crop={near}.",
        )
    if config.model.weights is not None:
        _check_weights(Path(config.model.weights))
    _check_parts_and_scales(config)
    enough = -(-(MS_SSIM_ABOVE + 1) // multiple) * multiple
    if loss.type == "ms_ssim" and not has_ms_ssim(crop):
        raise ConfigError(
            f"data.crop = {crop} with loss.type = ms_ssim",
            expected=f"crops above {MS_SSIM_ABOVE} pixels: the fifth scale of MS-SSIM is a "
            "sixteenth as wide, and its window has 11 pixels",
            remedy=f"Write data.crop={enough}, or loss=mse.",
        )
    if "val_ms_ssim" in _metrics(config) and not has_ms_ssim(crop):
        raise ConfigError(
            f"goal = val_ms_ssim with data.crop = {crop}",
            expected=f"crops above {MS_SSIM_ABOVE} pixels, on which MS-SSIM can be measured",
            remedy=f"Write data.crop={enough}, or goal=val_psnr.",
        )
    notices = _check_gamma(config)
    return [
        *weight_of(loss.type, loss.quality, loss.lmbda, loss.off_table).notices,
        *notices,
    ]


def _check_gamma(config: CompressionConfig) -> list[str]:
    """Refuse a schedule of gamma that does not fit the run; return notices on one that does."""
    balance, epochs = config.balance, config.training.epochs
    if not isinstance(balance, FamoConfig):
        return []
    schedule = plan_gamma(balance.gamma, balance.schedule, epochs)
    if schedule.type == "adaptive" and schedule.window >= epochs:
        return [
            f"balance.schedule.window = {schedule.window} validations are never reached in "
            f"{epochs} epochs: gamma follows the cosine alone; "
            f"balance.schedule.window={max(2, epochs // 10)} is a tenth of the run"
        ]
    return []


def _check_parts_and_scales(config: CompressionConfig) -> None:
    finetune = config.finetune
    if finetune.type != "none" and config.model.weights is None:
        raise ConfigError(
            f"finetune.type = {finetune.type} without model.weights",
            expected="a run folder, or a file of weights, to go on from",
            remedy="Add --checkpoint RUN, or model.weights=FILE.",
        )
    if finetune.type == "parts" and finetune.scale_patience is not None:
        setting = f"finetune.scale_patience = {finetune.scale_patience}"
        _check_scales(config, setting, "Write finetune.scale_patience=null.")
    if config.balance.type == "hierarchical":
        _check_scales(config, "balance.type = hierarchical", "Write balance.type=famo.")


def _check_scales(config: CompressionConfig, setting: str, remedy: str) -> None:
    """Refuse what divides the loss between HPCM's scales where it cannot be divided."""
    if config.model.type != "hpcm":
        raise ConfigError(
            f"{setting} with model.type = {config.model.type}",
            expected="the model hpcm, which has scales s1, s2 and s3",
            remedy=remedy,
        )
    if config.loss.type != "mse":
        raise ConfigError(
            f"{setting} with loss.type = {config.loss.type}",
            expected="loss=mse: only a squared error is divided between the scales",
            remedy=remedy,
        )


def _metrics(config: CompressionConfig) -> list[str]:
    return [goal.partition(":")[0] for goal in config.goals]


def multiple_of(config: CompressionConfig) -> int:
    """Return the number of pixels that the sides of crops must be multiples of."""
    model = config.model
    return MULTIPLES[model.size] if model.type == "hpcm" else HYPERPRIOR_MULTIPLE


def has_ms_ssim(crop: int) -> bool:
    """Return whether MS-SSIM is defined for crops of `crop` pixels a side."""
    return crop > MS_SSIM_ABOVE


def _check_weights(given: Path) -> None:
    """Refuse, before photographs are decoded, a file that is missing or holds more than tensors."""
    if not exists(given.expanduser()):
        raise ConfigError(
            f"model.weights = {given}",
            expected="a run folder, or a file of weights, that exists",
        )
    if fault := weights_fault(weights_of(given)):
        raise ConfigError(
            f"model.weights = {given} ({fault})", expected=EXPECTED, remedy=SAVE_AGAIN
        )
