"""Make a compressor from its config section, and load initial weights into it."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from tunewright.errors import DataError
from tunewright.recipes.compression import config
from tunewright.recipes.compression.models.compressor import Compressor
from tunewright.recipes.compression.models.hpcm import SHAPES, Hpcm
from tunewright.recipes.compression.models.hyperprior import MeanScaleHyperprior
from tunewright.training.weights.weights_file import read_weights, weights_of

SHOWN = 3
WRAPPERS = ("module.", "_orig_mod.")
"""Prefixes that data parallelism and torch.compile put before each name."""


def make_compressor(section: config.HpcmConfig | config.HyperpriorConfig) -> Compressor:
    """Make the model of a section with fresh weights, on the default device and dtype."""
    if isinstance(section, config.HpcmConfig):
        return Hpcm(SHAPES[section.size])
    return MeanScaleHyperprior(section.channels, section.latent)


def load_first_weights(model: Compressor, file: Path) -> None:
    """Fill `model` from a file of tensors only, or from the best weights of a run folder.

    Raises DataError as `fitting_weights` does.
    """
    model.load_state_dict(fitting_weights(model, file))


def fitting_weights(model: Compressor, file: Path) -> dict[str, Tensor]:
    """Return the weights in a file or a run folder, by their names in `model`.

    Raises DataError for a file that is missing, broken or holds more than tensors, and for weights
    of another model, with the differences.
    """
    stored, _ = read_weights(weights_of(file))
    for prefix in WRAPPERS:
        if all(name.startswith(prefix) for name in stored):
            stored = {name.removeprefix(prefix): tensor for name, tensor in stored.items()}
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
    return stored


def _list_names(what: str, names: Iterable[str]) -> list[str]:
    """Return [`missing: a, b, c and 5 more`], or an empty list."""
    every = list(names)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return [f"{what}: {', '.join(every[:SHOWN])}{more}"] if every else []
