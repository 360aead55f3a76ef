"""The state of torch under which a model predicts the same numbers each time it is asked.

One unit in the last place may move a predicted scale into another table, after which nothing that
follows decodes. So batch, precision, kernels and the number of threads, which divides sums into
parts, are the same for the writer and for the reader of a file.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def pinned(threads: int, device: torch.device) -> Iterator[None]:
    """Within the block: `threads` on the CPU, float32 in full, one choice of kernels, no gradients.

    Everything is as it was after it.
    """
    before = torch.get_num_threads()
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    flags = (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32)
    torch.set_num_threads(threads)
    cudnn.deterministic, cudnn.benchmark = True, False
    cudnn.allow_tf32 = matmul.allow_tf32 = False
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_num_threads(before)
        cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = flags
