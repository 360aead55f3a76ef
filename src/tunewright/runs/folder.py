"""The files of a run folder and of a study folder: the protocol between processes."""

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunewright.errors import DataError
from tunewright.runs.atomic import read_json, write_json, write_yaml
from tunewright.runs.record import EndRequest, Outcome
from tunewright.runs.stored_outcome import read_stored_outcome
from tunewright.runs.stored_yaml import read_stored

MOST_DIGITS = 12
"""Of the name of a trial's folder."""
LARGEST_GAP = 10_000
"""Trials in a row that may be gone; a number further above the others is no trial's."""

LATEST = 2.0**36
"""Seconds since 1970 that are taken for a time: until the year 4147."""


@dataclass(frozen=True)
class RunFolder:
    """One training, one folder; the coordinator and the worker communicate only here.

    In: `config.yaml`, of a trial also `trial.json`, `attempt.json`, `request.json`. Out:
    `progress.jsonl`, `log.txt`, `checkpoints/`, and `outcome.json`, written last.
    """

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def config(self) -> Path:
        """The whole configuration of this run."""
        return self.path / "config.yaml"

    @property
    def progress(self) -> Path:
        """The progress file, one JSON line per report."""
        return self.path / "progress.jsonl"

    @property
    def log(self) -> Path:
        """The output of the worker while it trained this run."""
        return self.path / "log.txt"

    @property
    def checkpoints(self) -> Path:
        """`best.safetensors`, `best.json`, `last.pt` and the others that are kept."""
        return self.path / "checkpoints"

    @property
    def predictions(self) -> Path:
        """What was predicted for the validation set, where `training.keep_predictions` asks."""
        return self.path / "validation_predictions.safetensors"

    @property
    def outcome(self) -> Path:
        """Written last: while it is absent, the attempt has not ended."""
        return self.path / "outcome.json"

    def by_seed(self, seed: int) -> "RunFolder":
        """Return the folder of the same configuration trained with another seed."""
        return RunFolder(self.path / f"seed-{seed}")

    def with_seeds(self) -> "list[RunFolder]":
        """Return the run itself and those of its configuration with other seeds."""
        return [self, *map(RunFolder, sorted(self.path.glob("seed-*")))]

    def write_config(self, tree: Mapping[str, Any], *, header: str = "") -> None:
        """Store the configuration that this run repeats."""
        write_yaml(self.config, tree, header=header)

    def write_parameters(
        self,
        parameters: Mapping[str, Any],
        *,
        started: float | None = None,
        domains: Mapping[str, Any] | None = None,
    ) -> None:
        """Store the sampled parameters of this run, from which its database can be rebuilt.

        started: when it was begun; a time stored before stays, else now. domains: of parameters
        that the run itself named, as a space file writes them.
        """
        began = time.time() if started is None else started
        stored: dict[str, Any] = {"parameters": dict(parameters), "started": began}
        if domains is not None:
            stored["domains"] = dict(domains)
        write_json(self.path / "trial.json", stored)

    def read_parameters(self) -> tuple[dict[str, Any], float] | None:
        """Return the sampled parameters and start time (seconds since 1970); None if unknown."""
        stored = read_json(self.path / "trial.json")
        if stored is None or not isinstance(stored.get("parameters"), dict):
            return None
        started = stored.get("started")
        if not isinstance(started, int | float) or not 0 <= started < LATEST:
            started = (self.path / "trial.json").stat().st_mtime
        return stored["parameters"], float(started)

    def read_domains(self) -> dict[str, Any] | None:
        """Return the domains of parameters that the run itself named; None in any other run."""
        domains = (read_json(self.path / "trial.json") or {}).get("domains")
        return domains if isinstance(domains, dict) else None

    def write_note(self, note: str) -> None:
        """Store a note on this run; an empty one removes it."""
        if note:
            write_json(self.path / "note.json", {"note": note})
        else:
            (self.path / "note.json").unlink(missing_ok=True)

    def read_note(self) -> str:
        """Return the note on this run; empty where there is none."""
        note = (read_json(self.path / "note.json") or {}).get("note")
        return note if isinstance(note, str) else ""

    def read_config(self) -> dict[str, Any]:
        """Return the stored configuration; raise DataError when this is not a run folder."""
        if not self.config.exists():
            raise DataError(
                f"{self.path} holds no config.yaml",
                expected="a run folder, such as runs/<study>/final or runs/<study>/trials/00001",
            )
        return read_stored(self.config)

    @property
    def attempt(self) -> int:
        """How often this run was started; 0 before the first time."""
        return self.stored_attempt or 0

    @property
    def stored_attempt(self) -> int | None:
        """The number in `attempt.json`; None where there is none, or the file is damaged."""
        attempt = (read_json(self.path / "attempt.json") or {}).get("attempt")
        return attempt if isinstance(attempt, int) else None

    def begin_attempt(self) -> int:
        """Count a new start and remove the files of the last attempt; return its number.

        After this, lines and outcomes of earlier attempts no longer count.
        """
        attempt = self.attempt + 1
        write_json(self.path / "attempt.json", {"attempt": attempt})
        (self.path / "request.json").unlink(missing_ok=True)
        self.outcome.unlink(missing_ok=True)
        for half_written in self.path.glob(f".*.{'[0-9a-f]' * 8}"):  # left by a killed attempt
            half_written.unlink(missing_ok=True)
        return attempt

    def write_request(self, request: EndRequest) -> None:
        """Ask the running attempt to end."""
        write_json(self.path / "request.json", asdict(request))

    def read_request(self, attempt: int) -> EndRequest | None:
        """Return the request to `attempt`, if any; requests to earlier attempts are ignored."""
        stored = read_json(self.path / "request.json")
        if stored is None or stored.get("attempt") != attempt:
            return None
        try:
            return EndRequest(**stored)
        except TypeError:  # of another version
            return None

    def write_outcome(self, outcome: Outcome) -> None:
        """Store how this attempt ended; the last write of a worker."""
        metrics, costs = _finite(outcome.metrics), _finite(outcome.costs)
        write_json(self.outcome, asdict(outcome) | {"metrics": metrics, "costs": costs})

    def read_outcome(self) -> Outcome | None:
        """Return the outcome of the current attempt, or None while it runs (or died)."""
        stored = read_json(self.outcome)
        if stored is None or stored.get("attempt") != self.attempt:
            return None
        return read_stored_outcome(stored)


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}


@dataclass(frozen=True)
class StudyFolder:
    """`runs/<study>/`: the study file, its trials, and their results."""

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def database(self) -> Path:
        """The Optuna study (SQLite) unless a storage URL is given."""
        return self.path / "study.db"

    @property
    def settings(self) -> Path:
        """Recipe, goal, sampler, pruner and storage of this study."""
        return self.path / "study.yaml"

    @property
    def curve_model(self) -> Path:
        """What the sampler curves has learned, so that a resumed study goes on from there."""
        return self.path / "curve_model.json"

    @property
    def space(self) -> Path:
        """The checked space that is searched."""
        return self.path / "space.yaml"

    @property
    def trials(self) -> Path:
        """One run folder per trial."""
        return self.path / "trials"

    @property
    def best_config(self) -> Path:
        """The best trial's configuration at full fidelity, ready to train."""
        return self.path / "best_config.yaml"

    @property
    def best_results(self) -> Path:
        """The best trial: number, score, parameters."""
        return self.path / "best_results.json"

    def best_run(self, best: Mapping[str, Any]) -> RunFolder:
        """Return the run that holds the weights of what `best_results.json` describes.

        That is its trial, or a replicate of it, which files of older versions do not know.
        """
        run = str(best.get("run") or "")
        if run.startswith("replicates/") and ".." not in run:
            return RunFolder(self.path / run)
        return self.trial(int(best["trial"]))

    @property
    def summary(self) -> Path:
        """The summary of the study in figures."""
        return self.path / "study_summary.json"

    @property
    def report(self) -> Path:
        """What the study has found, as a page."""
        return self.path / "report.html"

    @property
    def top_configs(self) -> Path:
        """`01.yaml`, `02.yaml`, ...: each ready to train."""
        return self.path / "top_configs"

    @property
    def final(self) -> RunFolder:
        """The winner, trained in full."""
        return RunFolder(self.path / "final")

    @property
    def replication(self) -> Path:
        """What replicates of the best configurations say: arms, scores by seed, the winner."""
        return self.path / "replication.json"

    def replicate(self, number: int, seed: int) -> RunFolder:
        """Return the run folder of a trial's configuration with a seed of its own."""
        return RunFolder(self.path / "replicates" / f"{number:05d}").by_seed(seed)

    def trial(self, number: int) -> RunFolder:
        """Return the run folder of a trial."""
        return RunFolder(self.trials / f"{number:05d}")

    @property
    def trial_numbers(self) -> set[int]:
        """The numbers of the trials that have a folder of their own."""
        names = [path.name for path in self.trials.glob("*") if path.is_dir()]
        names = [name for name in names if name.isdecimal() and len(name) <= MOST_DIGITS]
        return without_strays(int(name) for name in names if name == f"{int(name):05d}")


def without_strays(numbers: Iterable[int]) -> set[int]:
    """Return the numbers below the first gap of more than `LARGEST_GAP`; they count from 0.

    What is missing between trials is looked for one by one, which a damaged number, or a folder
    that is called by a date, must not make endless.
    """
    found: set[int] = set()
    last = -1
    for number in sorted(numbers):
        if number - last > LARGEST_GAP:
            break
        found.add(number)
        last = number
    return found
