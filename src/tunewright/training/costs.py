"""Costs of a trained model: its size, and the latency of one prediction."""

import time
from statistics import median

import torch
from torch import nn

from tunewright.training.task import Loader, Task

WARM_UPS = 3
REPEATS = 20


def size_of(model: nn.Module) -> dict[str, float]:
    """Return the number of parameters, and MiB of weights and buffers, in training precision."""
    tensors = [*model.parameters(), *model.buffers()]
    return {
        "parameters": float(sum(p.numel() for p in model.parameters())),
        "size_mib": sum(t.numel() * t.element_size() for t in tensors) / 2**20,
    }


def latency_ms(task: Task, model: nn.Module, loader: Loader) -> float:
    """Return the median milliseconds to predict one row of `loader`, synchronised."""
    row = task.first_row(next(iter(loader.epoch(0))))
    was_training = model.training
    model.eval()
    times = []
    with torch.no_grad():
        for _ in range(WARM_UPS + REPEATS):
            began = time.perf_counter()
            task.predict(model, row)
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            times.append(time.perf_counter() - began)
    model.train(was_training)
    return 1000.0 * median(times[WARM_UPS:])
