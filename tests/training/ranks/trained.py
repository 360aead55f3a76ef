"""Trainings on one process and on several, for the tests here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from tunewright import job
from tunewright.config.compose import compose
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import Outcome, Progress
from tunewright.search.prepare import run_part
from tunewright.training.checkpoint import load_weights
from tunewright.training.ranks.team import RankTeam


@dataclass(frozen=True)
class Trained:
    """A training that has ended."""

    folder: RunFolder
    outcome: Outcome
    reports: Sequence[Progress]

    @property
    def weights(self) -> dict[str, Tensor]:
        return load_weights(self.folder.checkpoints / "best.safetensors")


def configured(path: Path, recipe: str, *words: str) -> RunFolder:
    """A run folder with a configuration, in full precision."""
    folder = RunFolder(path)
    tree = compose(find_recipe(recipe), ["training.precision=fp32", *words]).tree
    folder.write_config(run_part(tree))
    return folder


def trained(
    folder: RunFolder,
    processes: int,
    team: RankTeam | None = None,
    on_report: Callable[[], None] | None = None,
) -> Trained:
    """Train in a folder, or go on with it."""
    folder.begin_attempt()
    outcome = job.run(
        folder,
        threads=processes,
        on_report=on_report,
        redirect=False,
        processes=processes,
        team=team if processes > 1 else None,
    )
    return Trained(folder, outcome, read_progress(folder.progress))
