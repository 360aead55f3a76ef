"""Checkpoints: the best weights to deliver, and the last state to resume from.

`best.safetensors` (weights; epoch and metrics in its header and in `best.json`) and `last.pt`
(training state, loaded with `weights_only=True`). Further ones that are kept are called
`best-00007.safetensors` and `last-00006.pt`, by the number of epochs completed. Every write is
atomic, and there is always a best one.
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
from tunewright.runs.atomic import read_json, write_json, write_with
from tunewright.runs.documents import parse_json

State = dict[str, Any]


@dataclass(frozen=True)
class Best:
    """Weights that are kept: after `epoch` epochs, with their score and metrics."""

    epoch: int
    score: float
    metrics: Mapping[str, float]
    weights: Mapping[str, Tensor]


class Checkpoints:
    """The checkpoints of one run; keeps the last `keep_last` and the best `keep_best`.

    Better weights stay in memory until `flush` writes them, so that a run that improves every
    second does not write every second.
    """

    def __init__(
        self, folder: Path, *, keep_last: int, keep_best: int, direction: str = "max"
    ) -> None:
        self.folder, self.keep_last, self.keep_best = folder, keep_last, keep_best
        self._sign = 1.0 if direction == "max" else -1.0
        self._waiting: list[Best] = []
        for half_written in folder.glob(".*"):  # left by a killed attempt
            half_written.unlink(missing_ok=True)

    def offer(
        self,
        epoch: int,
        score: float,
        metrics: Mapping[str, float],
        weights: Callable[[], Mapping[str, Tensor]],
    ) -> None:
        """Keep weights if they are among the best so far; `weights` is called only then."""
        known = [*(best for _, best in self._list_kept()), *self._waiting]
        if any(best.epoch == epoch for best in known):
            return  # this epoch was repeated after a kill
        better = [best for best in known if self._sign * best.score >= self._sign * score]
        if len(better) < self.keep_best:
            copy = {
                name: tensor.detach().to("cpu", copy=True) for name, tensor in weights().items()
            }
            self._waiting.append(Best(epoch, score, dict(metrics), copy))
            self._waiting.sort(key=lambda best: -self._sign * best.score)
            del self._waiting[self.keep_best :]

    def flush(self, epoch: int, state: Callable[[], State] | None) -> None:
        """Write pending weights; with `state`, also the state to resume from after `epoch`."""
        for best in self._waiting:
            self._write_best(best)
        self._waiting.clear()
        self._describe_best()
        if state is not None:
            self._write_last(epoch, state())

    def finish(self, epoch: int, state: Callable[[], State]) -> None:
        """Write the last checkpoints of a complete run; with `keep_last` 0 no state is kept."""
        self.flush(epoch, state if self.keep_last else None)
        if not self.keep_last:
            for file in self.folder.glob("last*.pt"):
                file.unlink(missing_ok=True)

    def load_last(self) -> State | None:
        """Load the newest readable state, on the CPU; None to start from the beginning."""
        files = [self.folder / "last.pt", *sorted(self.folder.glob("last-*.pt"))[::-1]]
        return next((state for file in files if (state := _load(file)) is not None), None)

    def _write_best(self, best: Best) -> None:
        main = self.folder / "best.safetensors"
        kept = dict(self._list_kept())
        is_best = all(self._sign * best.score > self._sign * old.score for old in kept.values())
        if is_best and main in kept and self.keep_best > 1:
            _link(main, self._place(kept[main]))
        header = {
            "epoch": str(best.epoch),
            "score": repr(best.score),
            "metrics": json.dumps(_finite(best.metrics)),
        }
        tensors = {name: tensor.contiguous() for name, tensor in best.weights.items()}
        _write(
            main if is_best else self._place(best),
            lambda file: save_file(tensors, file, metadata=header),
        )
        others = {file: other for file, other in self._list_kept() if file != main}
        ranked = sorted(others, key=lambda file: self._sign * others[file].score, reverse=True)
        for file in ranked[self.keep_best - 1 :]:
            file.unlink(missing_ok=True)

    def _place(self, best: Best) -> Path:
        return self.folder / f"best-{best.epoch:05d}.safetensors"

    def _describe_best(self) -> None:
        """Update `best.json`, which a kill may have left behind the weights."""
        best = dict(self._list_kept()).get(self.folder / "best.safetensors")
        described = read_json(self.folder / "best.json")
        if best is not None and (described or {}).get("epoch") != best.epoch:
            write_json(
                self.folder / "best.json",
                {"epoch": best.epoch, "score": best.score, "metrics": dict(best.metrics)},
            )

    def _write_last(self, epoch: int, state: State) -> None:
        main = self.folder / "last.pt"
        if self.keep_last > 1 and (old := _load(main)) is not None:
            _link(main, self.folder / f"last-{old['epoch']:05d}.pt")
        _write(main, lambda file: torch.save(state | {"epoch": epoch}, file))
        for file in sorted(self.folder.glob("last-*.pt"))[::-1][max(0, self.keep_last - 1) :]:
            file.unlink(missing_ok=True)

    def _list_kept(self) -> list[tuple[Path, Best]]:
        kept = []
        for file in self.folder.glob("best*.safetensors"):
            try:
                kept.append((file, read_best(file)))
            except DataError:
                continue
        return kept


def read_best(file: Path) -> Best:
    """Read epoch, score and metrics of a weight file, without its weights.

    Raises DataError if the file is incomplete.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            header = opened.metadata() or {}
        return Best(
            int(header["epoch"]),
            float(header["score"]),
            parse_json(header["metrics"], finite=False),
            {},
        )
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{file} is not a Tunewright checkpoint ({error})") from None


def load_weights(file: Path) -> dict[str, Tensor]:
    """Load the weights of a `best.safetensors` on the CPU; raises DataError if unreadable."""
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


def _load(file: Path) -> State | None:
    """Load a stored state; None if it is missing or cannot be read."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, UnpicklingError, EOFError, LookupError, ValueError) as error:
        print(f"{file} cannot be read and is ignored ({type(error).__name__})")
        return None
    return state if isinstance(state, dict) and "epoch" in state else None


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Write weights or a state; raises DataError also for library errors on a full disk."""
    try:
        write_with(path, write)
    except (SafetensorError, RuntimeError) as error:
        raise DataError(
            f"{path} cannot be written: {error}", remedy="Check whether the disk is full."
        ) from error


def _link(source: Path, target: Path) -> None:
    """Give a file a second name; a copy on file systems without links."""
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        write_with(target, lambda file: shutil.copyfile(source, file))


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
