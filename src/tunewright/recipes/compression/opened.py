"""A trained compressor as its run folder holds it, ready to write and read files."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from tunewright.config.check import checked
from tunewright.errors import DataError
from tunewright.recipes.compression.codec.coder import Coder
from tunewright.recipes.compression.codec.fingerprint import fingerprint
from tunewright.recipes.compression.codec.memory import bytes_a_pixel
from tunewright.recipes.compression.codec.tables import boundaries, make_tables
from tunewright.recipes.compression.compressor import Compressor
from tunewright.recipes.compression.config import CompressionConfig
from tunewright.runs.folder import RunFolder


@dataclass(frozen=True)
class Opened:
    """A compressor with all that files are written and read by; made by `ready`.

    model: in evaluation, in float32, on `device`. fingerprint: which files are its own. latents,
    hyper: coders of the latents, by level of the family's scales, and of the hyper-latents, by
    channel. between: [levels - 1], on `device`, the boundaries of the levels. folder, config: of
    the run, where there is one.
    """

    model: Compressor
    device: torch.device
    fingerprint: bytes
    latents: Coder = field(repr=False)
    hyper: Coder = field(repr=False)
    between: Tensor = field(repr=False)
    folder: RunFolder | None = None
    config: CompressionConfig | None = None

    @cached_property
    def bytes_a_pixel(self) -> float:
        """Memory that coding takes at its peak."""
        return bytes_a_pixel(self.model, self.device)


def open_compressor(folder: RunFolder, device: torch.device) -> Opened:
    """The best weights of a run, ready to code; DataError when it has none that fit."""
    from tunewright.recipes.compression.models import make_compressor
    from tunewright.training.checkpoint import load_weights

    config = checked(folder.read_config(), CompressionConfig)
    section = config.model.model_copy(update={"weights": None})  # they are in the run
    model = make_compressor(section)
    file = folder.checkpoints / "best.safetensors"
    try:
        model.load_state_dict(load_weights(file))
    except RuntimeError as error:
        raise DataError(
            f"{file} does not fit the model of {folder.config} ({str(error).splitlines()[-1]})",
            remedy="One of them is of another training.",
        ) from None
    return ready(model, device, folder=folder, config=config)


def ready(
    model: Compressor,
    device: torch.device | None = None,
    *,
    folder: RunFolder | None = None,
    config: CompressionConfig | None = None,
) -> Opened:
    """Bring a model into evaluation and float32, on `device`, and make its tables."""
    device = device or torch.device("cpu")
    model = model.to(device, torch.float32).eval()
    if device.type == "cpu":  # measured: a quarter to a half less time in the transforms
        model = model.to(memory_format=torch.channels_last)
    latents = make_tables(model.family.scale_table(), model.family)
    hyper = make_tables(model.scales_hyper.flatten(), model.family)
    return Opened(
        model,
        device,
        fingerprint(model, latents, hyper),
        Coder(latents),
        Coder(hyper),
        boundaries(model.family).to(device),
        folder,
        config,
    )
