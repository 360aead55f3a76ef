"""The arm CompressAI of `codec_speed.py`: run by the Python of an environment that has CompressAI.

    PYTHON_WITH_COMPRESSAI benchmarks/compressai_coder.py WEIGHTS PICTURES THREADS

WEIGHTS: safetensors with CompressAI's names, of its `MeanScaleHyperprior`. PICTURES: a folder of
`.npy` files, uint8 [H, W, 3]. Codes all pictures each time a line comes in, from the array of a
picture to its strings and back to an array, and answers with one JSON line of seconds and bytes.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from compressai.models import MeanScaleHyperprior
from safetensors.torch import load_file
from torch.nn import functional as F

MULTIPLE = 64


def main(weights, pictures, threads):
    torch.set_num_threads(threads)
    state = load_file(weights)
    channels, latent = len(state["g_a.0.bias"]), len(state["g_a.6.bias"])
    model = MeanScaleHyperprior(channels, latent).eval()
    missing, unknown = model.load_state_dict(state, strict=False)
    # Its factorised prior of the hyper-latents, tables and constants have no counterpart in ours.
    assert not unknown, unknown
    own = ("entropy_bottleneck.", "gaussian_conditional.")
    assert all(name.startswith(own) or "_reparam." in name for name in missing), missing
    model.update(force=True)
    arrays = [np.load(path) for path in sorted(Path(pictures).glob("*.npy"))]
    for _ in sys.stdin:
        print(json.dumps(coded(model, arrays)), flush=True)


@torch.no_grad()
def coded(model, arrays):
    began = time.perf_counter()
    files = []
    for array in arrays:
        picture = torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255.0
        files.append((model.compress(padded(picture)), array.shape))
    encoded = time.perf_counter()
    for file, (height, width, _) in files:
        found = model.decompress(file["strings"], file["shape"])["x_hat"]
        top, left = (found.shape[2] - height) // 2, (found.shape[3] - width) // 2
        cut = found[0, :, top : top + height, left : left + width].clamp(0, 1)
        (cut * 255.0).round().to(torch.uint8).permute(1, 2, 0).numpy()
    decoded = time.perf_counter()
    size = sum(len(string[0]) for file, _ in files for string in file["strings"])
    return {
        "encode_seconds": encoded - began,
        "decode_seconds": decoded - encoded,
        "bytes": size,
    }


def padded(picture):
    height, width = picture.shape[2:]
    down, right = -height % MULTIPLE, -width % MULTIPLE
    return F.pad(picture, (right // 2, right - right // 2, down // 2, down - down // 2))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
