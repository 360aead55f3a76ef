"""Rank the cells of a search at one lambda, and say which of them the runs tell apart."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from tunewright.analysis.grid.run_result import PREFIXES, Measured, RunResult, Value, label_of
from tunewright.analysis.grid.ties import Cell, Noise, measure_noise, tied_with_best
from tunewright.result import Result
from tunewright.runs.record import Goal

BESIDE = ("loss", "psnr", "bpp", "ms_ssim")
"""Metrics that a table shows beside the one it is ranked by."""


@dataclass(frozen=True)
class RankedCell(Result):
    """A combination of values with the mean score of its runs.

    rank: from 1. spread: standard deviation over several runs. beside: means of other metrics at
    the same steps. tied: whether the noise may explain its distance from the best cell. badly: how
    many of the runs did not end well. sources: where the runs were read.
    """

    rank: int
    parameters: Mapping[str, Value]
    mean: float
    runs: int
    spread: float | None
    beside: Mapping[str, float]
    tied: bool
    badly: int
    sources: tuple[str, ...]


@dataclass(frozen=True)
class LambdaRanking(Result):
    """All cells of one lambda, best first. lmbda: None where the runs have no lambda."""

    lmbda: Value
    cells: tuple[RankedCell, ...]
    noise: Noise

    @property
    def recommended(self) -> RankedCell | None:
        """The best cell, if it is better than all others by more than the noise."""
        return self.cells[0] if len(self.cells) > 1 and not self.cells[0].tied else None

    @property
    def verdict(self) -> str:
        """What the runs say, in one sentence."""
        best = self.cells[0]
        name = ", ".join(f"{key} = {label_of(value)}" for key, value in best.parameters.items())
        if len(self.cells) == 1:
            return f"only {name} was tried: nothing to compare"
        if self.recommended is not None:
            return f"{name} is better than all others by more than the noise; {self.noise}"
        tied = sum(cell.tied for cell in self.cells)
        return (
            f"tied: the runs do not tell {tied} of {len(self.cells)} combinations apart; {name} is "
            f"the best of them, by chance or merit; {self.noise}; more seeds of those tied decide"
        )


def rank_cells(
    runs: Sequence[tuple[RunResult, Measured]], names: Sequence[str], goal: Goal, lmbda: Value
) -> LambdaRanking:
    """Rank the combinations of the parameters `names` that runs of one lambda have."""
    gathered: dict[tuple[Value, ...], list[tuple[RunResult, Measured]]] = defaultdict(list)
    for run, measured in runs:
        gathered[tuple(run.parameters[name] for name in names)].append((run, measured))
    cells = [
        Cell(dict(zip(names, values, strict=True)), tuple(m.value for _, m in members))
        for values, members in gathered.items()
    ]
    noise = measure_noise(cells)
    tied = tied_with_best(cells, noise, goal.sign)
    order = sorted(range(len(cells)), key=lambda index: -goal.sign * cells[index].mean)
    members = list(gathered.values())
    ranked = tuple(
        RankedCell(
            rank,
            cells[index].parameters,
            cells[index].mean,
            len(cells[index].scores),
            stdev(cells[index].scores) if len(cells[index].scores) > 1 else None,
            _beside([measured for _, measured in members[index]], goal.metric),
            tied[index],
            sum(bool(run.ended_badly) for run, _ in members[index]),
            tuple(run.source for run, _ in members[index]),
        )
        for rank, index in enumerate(order, start=1)
    )
    return LambdaRanking(lmbda, ranked, noise)


def _beside(measured: Sequence[Measured], metric: str) -> dict[str, float]:
    """Return the means of the other metrics that all runs of a cell have."""
    found = {}
    for name in BESIDE:
        values = [
            next((one.metrics[p + name] for p in PREFIXES if p + name in one.metrics), None)
            for one in measured
        ]
        known = [value for value in values if value is not None]
        if name != metric and len(known) == len(values):
            found[name] = fmean(known)
    return found
