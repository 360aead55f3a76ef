"""Say which trials of a study their seeds tell apart."""

from collections.abc import Sequence
from dataclasses import dataclass

from tunewright.analysis.grid.run_result import plain_value
from tunewright.analysis.grid.ties import Cell, Noise, measure_noise, tied_with_best
from tunewright.runs.record import StudyRecord, Trial


@dataclass(frozen=True)
class SeedComparison:
    """The trials that ran with several seeds, by number, and those tied with the best of them."""

    compared: tuple[int, ...]
    tied: frozenset[int]
    noise: Noise

    @property
    def verdict(self) -> str:
        """What the seeds say, in one sentence."""
        best = self.compared[0]
        if not self.tied:
            return f"trial {best} is better than all others by more than the noise; {self.noise}"
        return (
            f"tied: the seeds do not tell {len(self.tied)} of {len(self.compared)} trials apart; "
            f"trial {best} is the best of them, by chance or merit; {self.noise}"
        )


def compare_seeds(record: StudyRecord) -> SeedComparison | None:
    """Return which trials with several seeds are tied; None for fewer than two of them.

    The level holds for all comparisons with the best trial together, see `ties.tied_with_best`.
    """
    ranked: Sequence[Trial] = [trial for trial in record.rank_trials() if len(trial.seeds) > 1]
    if len(ranked) < 2:
        return None
    cells = [
        Cell(
            {path: plain_value(v) for path, v in trial.parameters.items()},
            tuple(trial.seeds.values()),
        )
        for trial in ranked
    ]
    noise = measure_noise(cells)
    sign = 1.0 if record.direction == "max" else -1.0
    tied = tied_with_best(cells, noise, sign)
    numbers = [trial.number for trial in ranked]
    return SeedComparison(
        tuple(numbers), frozenset(n for n, t in zip(numbers, tied, strict=True) if t), noise
    )
