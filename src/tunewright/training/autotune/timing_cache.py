"""Step times by setting, kept on disk for later trainings of this shape on this machine."""

import fcntl
import hashlib
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from tunewright.config.schema import RunConfig
from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.cache import cache_folder
from tunewright.training.autotune.memory_format import Layout
from tunewright.training.autotune.precision import Precision
from tunewright.training.task import Batch, Setup

STEADY = 1.5
"""How many times as long as the fastest visit the slowest may take for times to be kept."""


@dataclass(frozen=True)
class StepSettings:
    """Precision, memory layout and compilation of steps."""

    precision: Precision = "no"
    layout: Layout = "contiguous"
    compiled: bool = False

    def __str__(self) -> str:
        words = [{"no": "fp32"}.get(self.precision, self.precision), self.layout]
        return ", ".join([*words, *(["compiled"] if self.compiled else [])])


@dataclass(frozen=True)
class StepTime:
    """The time of a setting: seconds a step at each visit, the first loss, seconds of compiling."""

    seconds: tuple[float, ...]
    loss: float
    compiling: float = 0.0

    @property
    def fastest(self) -> float:
        """Seconds a step in the fastest visit, the least disturbed one."""
        return min(self.seconds)

    @property
    def slowest(self) -> float:
        """Seconds a step in the slowest visit, the most disturbed one."""
        return max(self.seconds)

    @property
    def typical(self) -> float:
        """The median of the visits."""
        return median(self.seconds)

    def then(self, later: "StepTime") -> "StepTime":
        """Return these visits followed by those of `later`."""
        return StepTime((*self.seconds, *later.seconds), self.loss, self.compiling)


def key_of(
    setup: Setup, config: RunConfig, device: torch.device, batches: Sequence[Batch]
) -> dict[str, Any]:
    """Return everything that step times depend on, in plain values."""
    model = setup.model
    built = [
        [(name, type(module).__qualname__) for name, module in model.named_modules()],
        [(n, list(p.shape), str(p.dtype), p.requires_grad) for n, p in model.named_parameters()],
    ]
    return {
        "machine": _machine(device),
        "visits": "interleaved",  # an older version kept times of single visits; these do not count
        "torch": torch.__version__,
        "threads": torch.get_num_threads() if device.type == "cpu" else 0,
        "model": hashlib.sha256(json.dumps(built).encode()).hexdigest(),
        "task": type(setup.task).__qualname__,
        "optimizer": config.optim.type,
        "clips": config.training.clip_norm is not None,
        "recomputes": any(
            getattr(module, name, False)
            for module in model.modules()
            for name in ("grad_checkpointing", "checkpointing")
        ),
        "batches": [
            [[list(leaf.shape), str(leaf.dtype)] for leaf in tree_leaves(b) if _is_tensor(leaf)]
            for b in batches
        ],
    }


def _is_tensor(leaf: object) -> bool:
    return isinstance(leaf, Tensor)


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
    return f"{platform.machine()} {model}"


@contextmanager
def kept_times(key: Mapping[str, Any]) -> Iterator[dict[StepSettings, StepTime]]:
    """Open the times that are known for `key`; what is added to them is kept.

    Under a lock: a second worker waits, since two that measure at once would slow each other, and
    then finds what the first one wrote. Times that other work disturbed are not kept.
    """
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    folder = cache_folder() / "calibration"
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{name}.json"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stored = (read_json(place) or {}).get("times", [])
        times = {
            StepSettings(**each["choice"]): StepTime(
                **{**each["timed"], "seconds": tuple(each["timed"]["seconds"])}
            )
            for each in stored
        }
        before = dict(times)
        yield times
        if times != before and all(t.slowest <= STEADY * t.fastest for t in times.values()):
            rows = [{"choice": vars(c), "timed": vars(t)} for c, t in times.items()]
            write_json(place, {"key": dict(key), "times": rows})
