"""Open a trained compressor from its run folder, with the tables to write and read files."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from tunewright.config.check import validate
from tunewright.errors import DataError
from tunewright.recipes.compression.codec.coder import Coder
from tunewright.recipes.compression.codec.container import FINGERPRINT_BYTES
from tunewright.recipes.compression.codec.memory import bytes_a_pixel
from tunewright.recipes.compression.codec.tables import Tables, boundaries, make_tables
from tunewright.recipes.compression.config import CompressionConfig
from tunewright.recipes.compression.models.compressor import Compressor
from tunewright.runs.folder import RunFolder


@dataclass(frozen=True)
class TrainedCompressor:
    """A compressor with everything needed to write and read files; made by `prepare`.

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
        """Peak memory of coding, in bytes a pixel."""
        return bytes_a_pixel(self.model, self.device)


def open_compressor(folder: RunFolder, device: torch.device) -> TrainedCompressor:
    """Open the best weights of a run; raises DataError if they do not fit its configuration."""
    from tunewright.recipes.compression.models.factory import make_compressor
    from tunewright.training.checkpoint import load_weights

    config = validate(folder.read_config(), CompressionConfig)
    section = config.model.model_copy(update={"weights": None})  # they are in the run
    model = make_compressor(section)
    file = folder.checkpoints / "best.safetensors"
    try:
        model.load_state_dict(load_weights(file))
    except RuntimeError as error:
        raise DataError(
            f"{file} does not fit the model of {folder.config} ({str(error).splitlines()[-1]})",
            remedy="One of them is of another training: copy both from one, or name another run.",
        ) from None
    return prepare(model, device, folder=folder, config=config)


def prepare(
    model: Compressor,
    device: torch.device | None = None,
    *,
    folder: RunFolder | None = None,
    config: CompressionConfig | None = None,
) -> TrainedCompressor:
    """Bring a model into evaluation and float32, on `device`, and make its tables."""
    device = device or torch.device("cpu")
    model = model.to(device, torch.float32).eval()
    if device.type == "cpu":  # measured: a quarter to a half less time in the transforms
        model = model.to(memory_format=torch.channels_last)
    latents = make_tables(model.family.scale_table(), model.family)
    hyper = make_tables(model.scales_hyper.flatten(), model.family)
    return TrainedCompressor(
        model,
        device,
        fingerprint(model, latents, hyper),
        Coder(latents),
        Coder(hyper),
        boundaries(model.family).to(device),
        folder,
        config,
    )


def fingerprint(model: Compressor, *tables: Tables) -> bytes:
    """Hash a model's kind, the names, shapes and values of its tensors, and its tables."""
    digest = hashlib.blake2b(digest_size=FINGERPRINT_BYTES)
    kind = (type(model).__name__, model.family, model.grids, model.multiple, model.stride)
    digest.update(repr(kind).encode())
    for name, tensor in sorted(model.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(values.shape)} {values.dtype}".encode())
        digest.update(values.numpy().tobytes() if values.numel() else b"")
    for one in tables:
        digest.update(one.content())
    return digest.digest()
