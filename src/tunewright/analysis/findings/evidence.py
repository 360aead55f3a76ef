"""What all kinds of findings look at, computed once."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tunewright.analysis.findings.effects import Effects
from tunewright.analysis.findings.finding import StudyContext
from tunewright.analysis.findings.trial_table import TrialTable, tabulate
from tunewright.runs.record import StudyRecord, Trial
from tunewright.spaces.space import Parameter

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Evidence:
    """A study as a table, how it was run, and a model of which parameters made trials better."""

    table: TrialTable
    context: StudyContext

    @property
    def record(self) -> StudyRecord:
        """The study as it is stored."""
        return self.table.record

    @cached_property
    def done(self) -> list[Trial]:
        """The finished trials with a finite score, by number."""
        table = self.table
        return [
            table.trials[i] for i, is_done in zip(table.ended, table.done, strict=True) if is_done
        ]

    @cached_property
    def effects(self) -> Effects:
        """The model of the trials' ranks."""
        return Effects(self.table.ended_columns, self.table.quality)

    @cached_property
    def points(self) -> list[Hashable]:
        """For each trial a key that is equal for equal parameters."""
        return [point_of(trial.parameters) for trial in self.table.trials]

    @cached_property
    def hashes(self) -> dict[str, Hashes]:
        """[done] a random number for each value of each parameter; sums of them identify points."""
        rng, table = np.random.default_rng(0), self.table
        rows = table.ended[table.done]
        numbers = {}
        for path, column in table.columns.items():
            values = np.where(column.present, column.codes, -1).astype(np.float64)
            if not column.is_choice:
                values = np.where(column.present, column.units, -1.0)
            _, places = np.unique(values[rows], return_inverse=True)
            drawn = rng.integers(1, 2**63, len(rows) + 1, dtype=np.uint64)
            numbers[path] = drawn[places.reshape(-1)]
        return numbers

    def better(self, score: float) -> float:
        """Return a score so that more is better."""
        return self.table.sign * score


def gather(
    record: StudyRecord, parameters: Sequence[Parameter] | None, context: StudyContext
) -> Evidence:
    """Return what the findings look at. parameters: see `tabulate`."""
    return Evidence(tabulate(record, parameters), replace(context, ran=len(record.own)))


def point_of(parameters: Mapping[str, object]) -> Hashable:
    """Return a key that is equal for equal parameters."""
    try:
        return hash(frozenset(parameters.items()))
    except TypeError:  # a choice that is a list or a mapping
        return repr(sorted(parameters.items(), key=lambda item: item[0]))
