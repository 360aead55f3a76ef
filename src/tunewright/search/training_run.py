"""The folders and the result of a training in full, with one seed or several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tunewright.config.apply import with_values
from tunewright.config.schema import RunConfig
from tunewright.config.tree import Tree
from tunewright.errors import ConfigError
from tunewright.reports.notebook import heading, interval_text, number, paragraph, table
from tunewright.reports.report_file import ReportFile
from tunewright.result import Result
from tunewright.runs.atomic import write_json
from tunewright.runs.ending import Ending, ending_of
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.quantities import duration
from tunewright.runs.record import Outcome, rank_with_ties
from tunewright.runs.shared_choice import begin_sharing, read_shared_choice
from tunewright.search.memory.oom_retry import original_config
from tunewright.search.prepare import run_part
from tunewright.search.reporting.run_report import report_run
from tunewright.search.transfer.trial_matching import differences


@dataclass(frozen=True)
class TrainResult(Result):
    """Finished runs and their scores; several when `seeds` were given.

    A notebook shows a table of them; `report` writes the report of one.
    """

    metric: str
    folders: tuple[RunFolder, ...]
    outcomes: tuple[Outcome, ...]
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean score over seeds."""
        return sum(self.scores) / len(self.scores)

    @property
    def spread(self) -> float:
        """The standard deviation over seeds (n - 1); 0 for one seed."""
        if len(self.scores) < 2:
            return 0.0
        squares = sum((score - self.mean) ** 2 for score in self.scores)
        return float((squares / (len(self.scores) - 1)) ** 0.5)

    @property
    def endings(self) -> tuple[Ending | None, ...]:
        """How each run ended: with all of its epochs, or stopped early by patience."""
        return tuple(map(ending_of, self.folders))

    def as_json(self) -> dict[str, Any]:
        """Return the fields, the mean and the spread."""
        return {**super().as_json(), "mean": self.mean, "spread": self.spread}

    def report(self, index: int = 0, *, output: Path | None = None) -> ReportFile:
        """Write the report of a run, as `tunewright.report` does; index: which of several seeds."""
        return report_run(self.folders[index], output=output)

    def _repr_html_(self) -> str:
        """Return a table of the runs, with their scores and endings."""
        several = f": {number(self.mean)} ± {number(self.spread)}" if len(self.scores) > 1 else ""
        runs = zip(self.folders, self.outcomes, self.scores, self.endings, strict=True)
        rows = [
            (
                folder.path.name,
                score,
                interval_text(outcome.interval).strip(" ()"),
                "" if outcome.best_step is None else outcome.best_step,
                duration(outcome.seconds),
                "" if ending is None else ending.how,
            )
            for folder, outcome, score, ending in runs
        ]
        columns = ("run", self.metric, "95 % interval", "best epoch", "time", "ended")
        notes = dict.fromkeys(note for outcome in self.outcomes for note in outcome.notes)
        return "".join(
            [
                heading(f"Training, {self.metric}{several}"),
                table(columns, rows),
                *(paragraph(f"note: {note}") for note in notes),
            ]
        )

    def best(self, direction: Literal["max", "min"]) -> RunFolder:
        """Return the folder of the best seed, the first of equal ones."""
        sign = -1.0 if direction == "max" else 1.0
        placed = rank_with_ties([(sign * score,) for score in self.scores])
        return self.folders[placed.index(min(placed))]


def free_folder(wanted: Path, tree: Mapping[str, Any]) -> RunFolder:
    """Return the first of `wanted`, `wanted-2`, ... that is empty or holds this configuration."""
    count = 0
    while True:
        count += 1
        path = wanted if count == 1 else wanted.with_name(f"{wanted.name}-{count}")
        path = path.absolute()  # a training may change the working directory
        folder = RunFolder(path)
        try:
            if StudyFolder(path).settings.exists():
                continue  # never train inside a study's folder
            if not folder.config.exists() or not differences(original_config(folder), tree):
                return folder
        except ConfigError:
            continue  # unreadable: leave it alone


def write_configs(folder: RunFolder, tree: Tree, schema: type[RunConfig]) -> list[RunFolder]:
    """Write `tree` into `folder`, or into a folder below it for each of its `seeds`.

    Returns the folders of the runs. Those that were begun before keep their configuration.
    """
    seeds: Sequence[int] = tree.get("seeds") or []
    folders = [folder.by_seed(seed) for seed in seeds] or [folder]
    trees = [with_values(tree, {"seed": s, "seeds": []}, schema)[0] for s in seeds] or [tree]
    if seeds:  # write it first: it tells whose seeds lie below
        folder.write_config(run_part(tree))
        if read_shared_choice(folder.path.parent) is None:  # else the study shares with its seeds
            begin_sharing(folder.path, len(seeds) * tree["training"]["epochs"])
    for place, its_tree in zip(folders, trees, strict=True):
        if not place.config.exists():
            place.write_config(run_part(its_tree))
    return folders


def read_result(folders: Sequence[RunFolder], metric: str) -> TrainResult:
    """Return the result of runs that have all ended."""
    outcomes = [place.read_outcome() for place in folders]
    done = tuple(outcome for outcome in outcomes if outcome is not None)
    scores = tuple(outcome.all_metrics[metric] for outcome in done)
    return TrainResult(metric, tuple(folders), done, scores)


def write_seed_scores(folder: RunFolder, seeds: Sequence[int], trained: TrainResult) -> None:
    """Write the score of each seed, their mean and spread into `seeds.json`."""
    write_json(
        folder.path / "seeds.json",
        {
            "metric": trained.metric,
            "scores": dict(zip(map(str, seeds), trained.scores, strict=True)),
            "mean": trained.mean,
            "standard_deviation": trained.spread,
        },
    )


def is_done(folder: RunFolder) -> bool:
    """Return whether a run reached its end."""
    outcome = folder.read_outcome()
    return outcome is not None and outcome.state == "done"
