"""By what a file and a model know that they belong together."""

import hashlib

from tunewright.recipes.compression.codec.container import FINGERPRINT_BYTES
from tunewright.recipes.compression.codec.tables import Tables
from tunewright.recipes.compression.compressor import Compressor


def fingerprint(model: Compressor, *tables: Tables) -> bytes:
    """Of a model's kind, the names, shapes and values of its tensors, and its tables."""
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
