"""Keep the training states of paused trials within a quota on disk."""

import contextlib
import math
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tunewright.runs.folder import RunFolder
from tunewright.runs.quantities import size
from tunewright.search.curves.rungs import FACTOR

FREE_SHARE = 0.25
"""Of the free disk that the states may take where nothing is configured."""
REMOVED = "removed-checkpoints"
"""Folder in a run's, of a state that is being removed."""
_GIB = 1 << 30


class PausedStates:
    """Removes the states of the least promising trials where all of them are too large.

    folder: of the study. gib: the quota; None for a share of what is free when the study begins. A
    trial without its state would start again.
    """

    def __init__(self, folder: Path, gib: float | None, notice: Callable[[str], None]) -> None:
        free = FREE_SHARE * shutil.disk_usage(folder).free
        self._quota = free if gib is None else gib * _GIB
        self._notice = notice
        self._sizes: dict[int, int] = {}  # a trial that waits does not change its state
        self._told = self._seen = False
        for half_removed in folder.glob(f"trials/*/{REMOVED}"):  # by a killed coordinator
            shutil.rmtree(half_removed, ignore_errors=True)

    @property
    def keeps_any(self) -> bool:
        """Whether the runs of this study keep states at all, as far as was seen."""
        return self._told or self._seen or any(self._sizes.values())

    def forget(self, number: int, *, has_state: bool) -> None:
        """Leave out a trial that goes on, whose state changes. has_state: whether it has one."""
        self._seen = self._seen or has_state
        self._sizes.pop(number, None)

    def limit(self, paused: Mapping[int, RunFolder], predicted: Mapping[int, float]) -> None:
        """Remove states until the rest fits. predicted: score at the end, more is better."""
        for number in paused.keys() - self._sizes.keys():
            self._sizes[number] = _bytes_below(paused[number].checkpoints)
        whole = sum(self._sizes.values())
        for number in _least_promising(paused, predicted):
            if whole <= self._quota:
                return
            if not self._sizes[number]:
                continue
            _remove(paused[number])
            whole -= self._sizes[number]
            self._sizes[number] = 0
            if not self._told:
                self._told = True
                self._notice(
                    f"the states of {len(paused)} paused trials are more than {size(self._quota)} "
                    "(study.paused_gib): those of the least promising are removed, which would "
                    "have to start again"
                )

    def keep_best(self, paused: Mapping[int, RunFolder], predicted: Mapping[int, float]) -> None:
        """Remove the states of all but the best quarter, once the search has ended.

        As many would go on first, were the study to get more trials.
        """
        kept = math.ceil(len(paused) / FACTOR)
        for number in _least_promising(paused, predicted)[: len(paused) - kept]:
            _remove(paused[number])


def _remove(run: RunFolder) -> None:
    """Remove a state as a whole: a kill must not leave a part of it to be resumed from."""
    aside = run.path / REMOVED
    with contextlib.suppress(FileNotFoundError):
        run.checkpoints.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def _least_promising(numbers: Iterable[int], predicted: Mapping[int, float]) -> list[int]:
    return sorted(numbers, key=lambda number: (predicted.get(number, float("-inf")), -number))


def _bytes_below(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
