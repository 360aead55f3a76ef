"""Make a compressor from its config section, and load initial weights into it."""

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from tunewright.errors import DataError
from tunewright.recipes.compression import config
from tunewright.recipes.compression.models.compressor import Compressor
from tunewright.recipes.compression.models.hpcm import SHAPES, Hpcm
from tunewright.recipes.compression.models.hyperprior import MeanScaleHyperprior

SHOWN = 3


def make_compressor(section: config.HpcmConfig | config.HyperpriorConfig) -> Compressor:
    """Make the model of a section with fresh weights, on the default device and dtype."""
    if isinstance(section, config.HpcmConfig):
        return Hpcm(SHAPES[section.size])
    return MeanScaleHyperprior(section.channels, section.latent)


def load_first_weights(model: Compressor, file: Path) -> None:
    """Fill `model` from a safetensors file, or from the best weights of a run folder.

    Raises DataError for a file that is missing, broken or a pickle, and for weights of another
    model, with the differences.
    """
    file = file.expanduser()
    if file.is_dir():
        file = file / "checkpoints" / "best.safetensors"
    try:
        stored = load_file(file)
    except FileNotFoundError:
        raise DataError(
            f"model.weights = {file}", expected="a safetensors file, or a run folder with weights"
        ) from None
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"model.weights = {file} cannot be read ({error})",
            expected="a safetensors file: others may hold code, and are never unpickled",
        ) from None
    wanted = model.state_dict()
    shared = stored.keys() & wanted.keys()
    differences = [
        *_list_names("missing", (name for name in wanted if name not in stored)),
        *_list_names("unexpected", (name for name in stored if name not in wanted)),
        *_list_names(
            "of another shape",
            (
                f"{name} {list(stored[name].shape)} in place of {list(wanted[name].shape)}"
                for name in wanted
                if name in shared and stored[name].shape != wanted[name].shape
            ),
        ),
        *_list_names(
            "not of finite numbers",
            (name for name in wanted if name in shared and not torch.isfinite(stored[name]).all()),
        ),
    ]
    if differences:
        raise DataError(
            f"model.weights = {file} does not fit this model: {'; '.join(differences)}",
            remedy="Set model.type, model.size, model.channels and model.latent as in the run that "
            "the weights are from (its config.yaml), or name weights of this model.",
        )
    model.load_state_dict(stored)


def _list_names(what: str, names: Iterable[str]) -> list[str]:
    """Return [`missing: a, b, c and 5 more`], or an empty list."""
    every = list(names)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return [f"{what}: {', '.join(every[:SHOWN])}{more}"] if every else []
