"""The tracker protocol, the registry, and the check that packages are installed. No torch."""

import importlib.util
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tunewright.config.components import plugins
from tunewright.config.tree import flatten
from tunewright.errors import ConfigError
from tunewright.registry import Registry, plugin_names
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import Outcome, Progress


@dataclass(frozen=True)
class RunInfo:
    """A run as its folder describes it; the same while it trains and later.

    study: the study, or the name of a single run. name: the trial's number as its folder has it
    (`00074`), `final`, `seed-1`, or again the run's name. config: settings by path, without those
    of the trackers. began: seconds since 1970, as exact as the files allow. runs: the folder of all
    runs.
    """

    folder: RunFolder
    study: str
    name: str
    config: Mapping[str, Any]
    began: float
    runs: Path


class Tracker(Protocol):
    """Copies one run to another tool; called from one thread, which is not the training's.

    It may raise and it may be slow: that affects the copy and never the training.
    """

    def start(self, run: RunInfo) -> None:
        """Open the copy of `run`, or continue the existing one: a run folder has one copy."""
        ...

    def log(self, reports: Sequence[Progress]) -> None:
        """Log reports, by increasing step; after `start`, the whole valid history comes again.

        So a resumed run and a replay are the same to a tracker: it keeps one value per step.
        """
        ...

    def finish(self, outcome: Outcome) -> None:
        """Close the copy. A paused run, or one that is tried again, will be started again."""
        ...


def logged_values(report: Progress) -> dict[str, float]:
    """Return what a tracker logs of a report: its metrics, and the use of the machine."""
    return {**report.metrics, **{f"usage/{name}": v for name, v in report.usage.items()}}


TRACKERS: Registry[Callable[..., Tracker]] = Registry("tracker", plugins.TRACKERS)
"""Trackers by name. A shipped one is called like the package it needs, and like its extra."""


def require(names: Iterable[str], *, training: bool = True) -> None:
    """Raise ConfigError for a tracker whose package is not installed, without importing it.

    Call it before anything starts; the error says what to install, and for a training how to do
    without. The tracker of an installed package is imported, since it knows what it needs.
    """
    for name in names:
        if name in plugin_names(TRACKERS.group):
            TRACKERS[name]
            continue
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:  # no origin: a plain folder such as ./wandb
            later = (
                f", or train with trackers.{name}=null and copy the run later: "
                f"tunewright replay RUN --to {name}"
            )
            raise ConfigError(
                f"the tracker {name} needs the package {name}, which is not installed",
                remedy=f'pip install "tunewright[{name}]"{later if training else ""}.',
            )


def run_info(folder: RunFolder) -> RunInfo:
    """Return the description of the run in `folder`; raises DataError if it is not a run."""
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
    """Return the study's folder, or that of a single run; seeds are below theirs."""
    for place in (path, *path.parents[:2]):  # up to two levels: from a trial, or a seed of `final`
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
