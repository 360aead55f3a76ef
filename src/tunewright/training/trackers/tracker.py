"""What a tracker is, which there are, and whether what was asked for is installed. No torch."""

import importlib.util
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tunewright.config.tree import flatten
from tunewright.errors import ConfigError
from tunewright.registry import Registry
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import Outcome, Progress


@dataclass(frozen=True)
class RunInfo:
    """A run as its folder tells it; the same while it trains and years later.

    study: the study, or for a run of its own that run's name. name: the trial's number as its
    folder has it (`00074`), `final`, `seed-1`, or again the run's name.
    config: settings by path, without those of the trackers themselves.
    began: seconds since 1970, as near as the files tell. runs: the folder of all runs.
    """

    folder: RunFolder
    study: str
    name: str
    config: Mapping[str, Any]
    began: float
    runs: Path


class Tracker(Protocol):
    """A copy of one run somewhere else; called from one thread, which is not the training's.

    It may raise and it may be slow: that costs the copy, never the training.
    """

    def start(self, run: RunInfo) -> None:
        """Open the copy of `run`, or take up the one that exists: a run folder has one copy."""
        ...

    def log(self, reports: Sequence[Progress]) -> None:
        """Take reports, by rising step. After `start` the whole valid history comes once more.

        So a resumed run and a replay are the same to a tracker: it keeps one value a step.
        """
        ...

    def finish(self, outcome: Outcome) -> None:
        """Close the copy. A paused run, or one that is tried again, will be started again."""
        ...


TRACKERS: Registry[Callable[..., Tracker]] = Registry("tracker")
"""Trackers by the name of the package that they write with, and of the extra that brings it."""


def require(names: Iterable[str]) -> None:
    """Refuse a tracker whose package is not installed, without importing it.

    To be asked before anything starts: ConfigError that says what to type.
    """
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:  # no origin: a mere folder, such as ./wandb
            raise ConfigError(
                f"the tracker {name} needs the package {name}, which is not installed",
                remedy=f'pip install "tunewright[{name}]". A run that trains without it '
                f"(trackers.{name}=null) can be copied later: tunewright replay RUN --to {name}.",
            )


def run_info(folder: RunFolder) -> RunInfo:
    """What a tracker is told of the run in `folder`; DataError when it is none."""
    path = folder.path.resolve()
    home = _home(path)
    inner = path.relative_to(home).as_posix().removeprefix(f"{StudyFolder(home).trials.name}/")
    flat = flatten(folder.read_config())
    return RunInfo(
        folder=RunFolder(path),
        study=home.name,
        name=home.name if inner == "." else inner,
        config={key: value for key, value in flat.items() if not f"{key}.".startswith("trackers.")},
        began=_began(folder),
        runs=home.parent,
    )


def _home(path: Path) -> Path:
    """The study's folder, or that of a run of its own; seeds lie below theirs."""
    for place in (path, *path.parents[:2]):  # as far up as from a trial, or a seed of `final`
        if StudyFolder(place).settings.exists():
            return place
    return path.parent if path.name.startswith("seed-") else path


def _began(folder: RunFolder) -> float:
    try:
        last_written = folder.progress.stat().st_mtime
    except FileNotFoundError:
        return time.time()
    reports = read_progress(folder.progress)
    return last_written - (reports[-1].seconds if reports else 0.0)
