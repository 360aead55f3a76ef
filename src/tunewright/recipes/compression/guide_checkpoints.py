"""The guide's `CheckpointManager`, for training scripts of one's own.

It keeps files as a run of `tunewright train` does, by the same code: `best.safetensors`, `last.pt`,
their JSON files and `checkpoint_info.json`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from tunewright.config.schema import Kept
from tunewright.errors import DataError, UsageError
from tunewright.recipes.compression.config import METRICS
from tunewright.training.checkpoint import Best, Checkpoints, State, load_weights, read_best

OWN_ENTRIES = ("epoch", "model_state_dict", "optimizer_state_dict")


class CheckpointManager:
    """Keep the last `keep_last_n` states and the best `keep_best` weights in `save_dir`.

    Both counts may be 0 (none) or "all". The files of an earlier process in `save_dir` count, so a
    script that goes on after a kill ends with the same files. The best weights are never deleted by
    newer ones, and every write is atomic.

    metric_name: what decides which are best; `val_psnr` means `psnr`. mode: `min` or `max`; left
    out, it is that of the metric. Raises UsageError for counts and modes of another kind, and where
    the metric's direction is not known.
    """

    def __init__(
        self,
        save_dir: Path | str,
        keep_last_n: Kept = 5,
        keep_best: Kept = 5,
        metric_name: str = "loss",
        mode: Literal["min", "max"] | None = None,
    ) -> None:
        for name, kept in (("keep_last_n", keep_last_n), ("keep_best", keep_best)):
            whole = isinstance(kept, int) and not isinstance(kept, bool) and kept >= 0
            if not whole and kept != "all":
                raise UsageError(f"{name} = {kept!r}", expected="a whole number from 0, or 'all'")
        known = METRICS.get(metric_name.removeprefix("val_"))
        if mode is None and known is None:
            raise UsageError(
                f"metric_name = {metric_name!r} without mode",
                expected="mode='max' or mode='min': which values of it are better",
                remedy=f"Known without it: {', '.join(METRICS)}.",
            )
        if mode not in (None, "min", "max"):
            raise UsageError(f"mode = {mode!r}", expected="'max' or 'min'")
        self.save_dir, self.metric_name, self.mode = Path(save_dir), metric_name, mode or known
        self.keep_last_n, self.keep_best = keep_last_n, keep_best
        self._kept = Checkpoints(
            self.save_dir,
            keep_last=keep_last_n,
            keep_best=keep_best,
            direction=str(self.mode),
            metric=metric_name,
        )

    def save_checkpoint(
        self,
        epoch: int,
        model_state: Mapping[str, Tensor],
        optimizer_state: Mapping[str, Any],
        metric_value: float,
        additional_info: Mapping[str, Any] | None = None,
    ) -> Path | None:
        """Write the state after `epoch` and, if they are among the best, its weights.

        additional_info: further entries of the state; the numbers among them are also listed as
        metrics. Return the file of the state; None with `keep_last_n=0`. Raises DataError for a
        value that is not finite, and where the disk is full.
        """
        others = dict(additional_info or {})
        if taken := sorted({*OWN_ENTRIES, self.metric_name} & others.keys()):
            raise UsageError(
                f"additional_info with {', '.join(taken)}",
                expected="other names: these entries are the manager's own",
            )
        if not abs(metric_value) < float("inf"):
            raise DataError(
                f"{self.metric_name} is {metric_value} after epoch {epoch}",
                expected="a finite number: the best checkpoints are chosen by it",
            )
        numbers = {
            name: float(value)
            for name, value in {**others, self.metric_name: metric_value}.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }

        def state() -> State:
            return {
                "model_state_dict": dict(model_state),
                "optimizer_state_dict": dict(optimizer_state),
                self.metric_name: metric_value,
                **others,
            }

        self.save_dir.mkdir(parents=True, exist_ok=True)
        self._kept.offer(epoch, float(metric_value), numbers, lambda: model_state)
        self._kept.flush(epoch, state if self._kept.keep_last else None)
        return self.save_dir / "last.pt" if self._kept.keep_last else None

    @property
    def best(self) -> Best | None:
        """Epoch, score and metrics of the best checkpoint so far, kept or not; None before one."""
        return self._kept.best

    def get_best_metric(self) -> float | None:
        """Return the best value so far; None before the first checkpoint."""
        return None if self.best is None else self.best.score

    def load_checkpoint(self, checkpoint_path: Path | str) -> State:
        """Load a file of weights or of a state, on the CPU, without executing anything in it.

        Raises DataError if it is missing or cannot be read.
        """
        file = Path(checkpoint_path)
        if file.suffix == ".safetensors":
            about = read_best(file)
            weights = load_weights(file)
            return {
                "epoch": about.epoch,
                "model_state_dict": weights,
                self.metric_name: about.score,
            }
        state = Checkpoints.load_state(file)
        if state is None:
            raise DataError(f"{file} cannot be loaded", expected="a state that this class wrote")
        return state

    def load_best_checkpoint(self) -> State:
        """Load the best weights; raises DataError that says why there are none."""
        if not self._kept.keep_best:
            at = "" if self.best is None else f"; the best epoch was {self.best.epoch}"
            raise DataError(f"no weights are kept (keep_best=0){at}", remedy="Use keep_best=1.")
        if self.best is None:
            raise DataError(f"{self.save_dir} holds no checkpoint yet")
        return self.load_checkpoint(self.save_dir / "best.safetensors")

    def load_latest_checkpoint(self) -> State | None:
        """Load the newest whole state; None where there is none."""
        return self._kept.load_last()

    def list_checkpoints(self) -> None:
        """Print the checkpoints that are kept, with their epochs and scores."""
        for name, best in self._kept.best_files():
            mark = "  [BEST]" if name == "best.safetensors" else ""
            print(f"Epoch {best.epoch:4d}: {self.metric_name}={best.score:.4f}  {name}{mark}")
