"""Checkpoints: the best weights to deliver, and the last state to resume from.

`best.safetensors` (weights; epoch and metrics in its header and in `best.json`) and `last.pt`
(training state, loaded with `weights_only=True`). Further ones that are kept are called
`best-00007.safetensors` and `last-00006.pt`, after the epochs completed. Every write is
atomic, and at no moment is there no best.
"""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from tunewright.errors import DataError
from tunewright.runs.atomic import write_json, write_with

State = dict[str, Any]


@dataclass(frozen=True)
class Best:
    """Weights worth keeping: after `epoch` epochs, with their score and metrics."""

    epoch: int
    score: float
    metrics: Mapping[str, float]
    weights: Mapping[str, Tensor]


class Checkpoints:
    """The checkpoints of one run; keeps the last `keep_last` and the best `keep_best`.

    Better weights are held in memory until `flush` writes them, so that a run that improves
    every second does not write every second.
    """

    def __init__(
        self, folder: Path, *, keep_last: int, keep_best: int, direction: str = "max"
    ) -> None:
        self.folder, self.keep_last, self.keep_best = folder, keep_last, keep_best
        self._sign = 1.0 if direction == "max" else -1.0
        self._waiting: list[Best] = []

    def offer(
        self,
        epoch: int,
        score: float,
        metrics: Mapping[str, float],
        weights: Callable[[], Mapping[str, Tensor]],
    ) -> None:
        """Remember weights if they are among the best so far; `weights` is called only then."""
        known = [s for _, s in self._kept()] + [best.score for best in self._waiting]
        better = [s for s in known if self._sign * s >= self._sign * score]
        if len(better) < self.keep_best:
            copy = {
                name: tensor.detach().to("cpu", copy=True) for name, tensor in weights().items()
            }
            self._waiting.append(Best(epoch, score, dict(metrics), copy))
            self._waiting.sort(key=lambda best: -self._sign * best.score)
            del self._waiting[self.keep_best :]

    def flush(self, epoch: int, state: Callable[[], State] | None) -> None:
        """Write what waits; with `state`, also the state to resume from after `epoch` epochs."""
        for best in self._waiting:
            self._write_best(best)
        self._waiting.clear()
        if state is not None:
            self._write_last(epoch, state())

    def finish(self, epoch: int, state: Callable[[], State]) -> None:
        """The last write of a run that reached its end; with `keep_last` 0 no state stays."""
        self.flush(epoch, state if self.keep_last else None)
        if not self.keep_last:
            for file in self.folder.glob("last*.pt"):
                file.unlink(missing_ok=True)

    def load_last(self) -> State | None:
        """The newest state that can be read, on the CPU; None to start from the beginning."""
        for file in [self.folder / "last.pt", *sorted(self.folder.glob("last-*.pt"))[::-1]]:
            try:
                state: State = torch.load(file, map_location="cpu", weights_only=True)
            except (OSError, RuntimeError, UnpicklingError, EOFError, KeyError):
                continue
            return state
        return None

    def _write_best(self, best: Best) -> None:
        main = self.folder / "best.safetensors"
        kept = self._kept()
        is_best = all(self._sign * best.score > self._sign * score for _, score in kept)
        if is_best and kept and self.keep_best > 1:
            old_epoch = read_best(main).epoch
            _link(main, self.folder / f"best-{old_epoch:05d}.safetensors")
        target = main if is_best else self.folder / f"best-{best.epoch:05d}.safetensors"
        header = {
            "epoch": str(best.epoch),
            "score": repr(best.score),
            "metrics": json.dumps(_finite(best.metrics)),
        }
        tensors = {name: tensor.contiguous() for name, tensor in best.weights.items()}
        write_with(target, lambda file: save_file(tensors, file, metadata=header))
        if is_best:
            write_json(
                self.folder / "best.json",
                {"epoch": best.epoch, "score": best.score, "metrics": _finite(best.metrics)},
            )
        others = sorted(
            ((self._sign * score, file) for file, score in self._kept() if file != main),
            reverse=True,
        )
        for _, file in others[self.keep_best - 1 :]:
            file.unlink(missing_ok=True)

    def _write_last(self, epoch: int, state: State) -> None:
        main = self.folder / "last.pt"
        if self.keep_last > 1 and main.exists() and (old := self.load_last()) is not None:
            _link(main, self.folder / f"last-{old['epoch']:05d}.pt")
        write_with(main, lambda file: torch.save(state | {"epoch": epoch}, file))
        for file in sorted(self.folder.glob("last-*.pt"))[::-1][self.keep_last - 1 :]:
            file.unlink(missing_ok=True)

    def _kept(self) -> list[tuple[Path, float]]:
        kept = []
        for file in self.folder.glob("best*.safetensors"):
            try:
                kept.append((file, read_best(file).score))
            except DataError:
                continue
        return kept


def read_best(file: Path) -> Best:
    """Epoch, score and metrics of a file of weights; the weights themselves are left empty.

    Raises DataError when the file is not whole.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            header = opened.metadata() or {}
        return Best(int(header["epoch"]), float(header["score"]), json.loads(header["metrics"]), {})
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{file} is not a checkpoint of ours ({error})") from None


def load_weights(file: Path) -> dict[str, Tensor]:
    """The weights in a `best.safetensors`, on the CPU; DataError when it is missing or broken."""
    try:
        return load_file(file)
    except FileNotFoundError:
        raise DataError(
            f"{file} does not exist",
            remedy="Only the best trial keeps its weights; evaluate the run `final`, or train "
            "this configuration again with `tunewright train CONFIG`.",
        ) from None
    except (OSError, SafetensorError) as error:
        raise DataError(f"{file} cannot be read ({error})") from None


def _link(source: Path, target: Path) -> None:
    """A second name for a file; on file systems without links, a copy."""
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        write_with(target, lambda file: shutil.copyfile(source, file))


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
