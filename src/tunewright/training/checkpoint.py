"""Checkpoints: the best weights to deliver, and the last state to resume from.

`best.safetensors` (weights; epoch and metrics in its header) and `last.pt` (training state, loaded
with `weights_only=True`). Further ones that are kept are called `best-00007.safetensors` and
`last-00006.pt`, by the number of epochs completed. The metrics of each are in a JSON file beside
it, and `checkpoint_info.json` lists all. Every write is atomic, and the best one is never deleted.
What a training state holds is in `training.state.checkpoint_state`.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from tunewright.config.schema import Kept, kept_of
from tunewright.errors import DataError
from tunewright.runs.atomic import read_json, write_with
from tunewright.runs.documents import parse_json
from tunewright.training.weights.checkpoint_info import (
    INFO,
    describe,
    finite,
    write_if_changed,
)

State = dict[str, Any]


@dataclass(frozen=True)
class Best:
    """Weights that are kept: after `epoch` epochs, with their score and metrics."""

    epoch: int
    score: float
    metrics: Mapping[str, float]
    weights: Mapping[str, Tensor]

    def as_json(self) -> dict[str, Any]:
        """Return what the JSON file beside the weights holds."""
        return {"epoch": self.epoch, "score": self.score, "metrics": finite(self.metrics)}


class Checkpoints:
    """The checkpoints of one run; keeps the last `keep_last` and the best `keep_best`.

    Better weights stay in memory until `flush` writes them, so that a run that improves every
    second does not write every second.

    best: the best epoch so far, without its weights; also where these are not kept.
    keep_best: with 0, no weights are kept, and `best.json` still says which epoch was the best.
    metric: the name of the score, for `checkpoint_info.json`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep_last: Kept,
        keep_best: Kept,
        direction: str = "max",
        metric: str = "",
    ) -> None:
        self.folder = folder
        self.keep_last, self.keep_best = kept_of(keep_last), kept_of(keep_best)
        self._rule = {
            "metric": metric,
            "direction": direction,
            "keep_last": keep_last,
            "keep_best": keep_best,
        }
        self._sign = 1.0 if direction == "max" else -1.0
        self._waiting: list[Best] = []
        self._offered: Best | None = None  # the last epoch, without its weights
        self._last_epoch: int | None = None  # of `last.pt`, where this attempt wrote it
        for half_written in folder.glob(".*"):  # left by a killed attempt
            half_written.unlink(missing_ok=True)
        self._kept = self._list_kept()
        self.best = self._known_best()

    def offer(
        self,
        epoch: int,
        score: float,
        metrics: Mapping[str, float],
        weights: Callable[[], Mapping[str, Tensor]],
    ) -> None:
        """Keep weights if they are among the best so far; `weights` is called only then."""
        self._offered = offered = Best(epoch, score, dict(metrics), {})
        if self.best is None or self._sign * score > self._sign * self.best.score:
            self.best = offered
        known = [*self._kept.values(), *self._waiting]
        if any(best.epoch == epoch for best in known):
            return  # this epoch was repeated after a kill
        better = [best for best in known if self._sign * best.score >= self._sign * score]
        if len(better) < self.keep_best:
            copy = {
                name: tensor.detach().to("cpu", copy=True) for name, tensor in weights().items()
            }
            self._waiting.append(Best(epoch, score, dict(metrics), copy))
            self._waiting.sort(key=self._rank)
            del self._waiting[self.keep_best :]

    def flush(self, epoch: int, state: Callable[[], State] | None) -> None:
        """Write pending weights; with `state`, also the state to resume from after `epoch`."""
        while self._waiting:  # the best one first
            self._write_best(self._waiting[0])
            del self._waiting[0]
        for surplus in self._ranked()[self.keep_best :]:  # also what a killed attempt left
            surplus.unlink(missing_ok=True)
            del self._kept[surplus]
        if state is not None:
            self._write_last(epoch, state())
        self._describe()

    def finish(self, epoch: int, state: Callable[[], State]) -> None:
        """Write the last checkpoints of a complete run; with `keep_last` 0 no state is kept."""
        self.flush(epoch, state if self.keep_last else None)
        if not self.keep_last:
            for file in self.folder.glob("last*.pt"):
                file.unlink(missing_ok=True)
            self._describe()

    def load_last(self) -> State | None:
        """Load the newest readable state, on the CPU; None to start from the beginning."""
        return next((state for file in self._states() if (state := _load(file)) is not None), None)

    @staticmethod
    def load_state(file: Path) -> State | None:
        """Load a stored state, on the CPU; None if it is missing or cannot be read."""
        return _load(file)

    def best_files(self) -> list[tuple[str, Best]]:
        """Return the names of the files of weights that are kept, the best one first."""
        return [(file.name, self._kept[file]) for file in self._ranked()]

    def _write_best(self, best: Best) -> None:
        main = self.folder / "best.safetensors"
        rank = self._rank(best)
        is_best = all(rank < self._rank(old) for old in self._kept.values())
        if is_best and main in self._kept and self.keep_best > 1:
            former = self._place(self._kept[main])
            _link(main, former)
            self._kept[former] = self._kept[main]
        header = {
            "epoch": str(best.epoch),
            "score": repr(best.score),
            "metrics": json.dumps(finite(best.metrics)),
        }
        tensors = {name: tensor.contiguous() for name, tensor in best.weights.items()}
        file = main if is_best else self._place(best)
        _write(file, lambda place: save_file(tensors, place, metadata=header))
        self._kept[file] = replace(best, weights={})

    def _rank(self, best: Best) -> tuple[float, int]:
        """Return what sorts the best one first; of equals, the earlier one."""
        return -self._sign * best.score, best.epoch

    def _ranked(self) -> list[Path]:
        return sorted(self._kept, key=lambda file: self._rank(self._kept[file]))

    def _place(self, best: Best) -> Path:
        return self.folder / f"best-{best.epoch:05d}.safetensors"

    def _describe(self) -> None:
        """Write the JSON files, which a kill may have left behind the checkpoints."""
        best = [describe(file, self._kept[file].as_json()) for file in self._ranked()]
        top = self.best
        if not best and top is not None:
            write_if_changed(self.folder / "best.json", top.as_json())
        now = self._offered
        known = now is not None and now.epoch == self._last_epoch
        last = [
            describe(file, now.as_json() if known and now and file.stem == "last" else None)
            for file in self._states()
        ]
        kept = {f"{Path(entry['file']).stem}.json" for entry in (*best, *last)} | {"best.json"}
        for file in [*self.folder.glob("best-*.json"), *self.folder.glob("last*.json")]:
            if file.name not in kept:
                file.unlink(missing_ok=True)
        if top is not None:
            first = best[0] if best else {"file": None, **top.as_json()}
            info = {**self._rule, "best": first, "kept_best": best, "kept_last": last}
            write_if_changed(self.folder / INFO, info)

    def _write_last(self, epoch: int, state: State) -> None:
        main = self.folder / "last.pt"
        if self.keep_last > 1 and (old := _load(main)) is not None and old["epoch"] != epoch:
            former = self.folder / f"last-{old['epoch']:05d}.pt"
            _link(main, former)
            described = read_json(main.with_suffix(".json")) or {}
            if described.get("epoch") == old["epoch"]:
                write_if_changed(former.with_suffix(".json"), described)
        _write(main, lambda file: torch.save(state | {"epoch": epoch}, file))
        self._last_epoch = epoch
        for file in self._states()[max(1, self.keep_last) :]:
            file.unlink(missing_ok=True)

    def _states(self) -> list[Path]:
        """Return the files of states, the newest first."""
        main = self.folder / "last.pt"
        older = sorted(self.folder.glob("last-*.pt"), key=_epoch_in_name, reverse=True)
        return [*([main] if main.exists() else []), *older]

    def _list_kept(self) -> dict[Path, Best]:
        """Return the whole files of weights; removes a second copy of the best ones.

        A kill after the former best weights got a name of their own leaves them under both.
        """
        kept: dict[Path, Best] = {}
        for file in sorted(self.folder.glob("best*.safetensors"), reverse=True):  # best. is first
            try:
                best = read_best(file)
            except DataError:
                continue
            if any(best.epoch == other.epoch for other in kept.values()):
                file.unlink(missing_ok=True)
            else:
                kept[file] = best
        return kept

    def _known_best(self) -> Best | None:
        """Return the best epoch so far, as a former attempt left it."""
        if self._kept:
            return min(self._kept.values(), key=self._rank)
        stored = read_json(self.folder / "best.json") or {}
        try:
            return Best(int(stored["epoch"]), float(stored["score"]), stored["metrics"], {})
        except (KeyError, TypeError, ValueError):
            return None


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
            remedy="Only the best trial keeps its weights, and with training.keep_best=0 no run "
            "does; evaluate the run `final`, or train this configuration again with `tunewright "
            "train CONFIG`.",
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


def _epoch_in_name(file: Path) -> int:
    number = file.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1
