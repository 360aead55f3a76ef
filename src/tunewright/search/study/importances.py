"""Importance of each parameter for a metric of a study."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial

from tunewright.analysis.findings.significance import Floats
from tunewright.analysis.findings.trial_table import tabulate
from tunewright.analysis.importances import (
    JudgedTrials,
    judge_trials,
    no_best_tenth,
    nothing_to_explain,
)
from tunewright.analysis.overview import importance_notes, searched_paths, why_not_ranked
from tunewright.analysis.score_intervals import LEVEL, Interval
from tunewright.analysis.shares.bad_ends import bad_end_notes
from tunewright.analysis.shares.importances import (
    Importances,
    Method,
    PairShare,
    ParameterShare,
)
from tunewright.analysis.shares.interactions import MOST_ROWS, pair_shares
from tunewright.analysis.shares.resampling import (
    RESAMPLES,
    Branch,
    resamples_for,
    share_intervals,
)
from tunewright.runs.record import Goal, StudyRecord
from tunewright.search.study.importance.fanova import TREES, fanova_shares
from tunewright.search.study.importance.grid_cells import regimes_of
from tunewright.search.study.importance.trials_view import TrialsView
from tunewright.search.study.optuna_types import OURS_TO_RUN
from tunewright.spaces.space import Parameter

CELLS = 250_000
"""Values of parameters that are looked at; a larger study is thinned to as many.

Optuna's evaluator takes some five microseconds for each."""
FEW_RESAMPLES = 100
"""Resamples behind the intervals of further metrics."""
OTHER_CELLS = 100_000
"""Values of parameters that are looked at for further metrics, all together."""
GOOD = 0.5
"""Share of the trials within which the importance among good ones is computed."""
Detail = Literal["points", "intervals", "all"]


@dataclass(frozen=True)
class _Group:
    """Parameters that the same trials have. rows: the places of these among all judged trials."""

    paths: Sequence[str]
    rows: Sequence[int]
    judged: JudgedTrials


@dataclass(frozen=True)
class ImportanceSource:
    """The trials of a study, of which importances can be asked for any of its metrics.

    stored: as Optuna has them, by number. parameters: of the space.
    """

    record: StudyRecord
    stored: Mapping[int, FrozenTrial]
    parameters: Sequence[Parameter] = ()

    @cached_property
    def judged(self) -> JudgedTrials:
        """The trials with a score of the first goal, or a prediction of it."""
        return judge_trials(self.record)

    @cached_property
    def shares(self) -> dict[str, float]:
        """The shares for the first goal by PED-ANOVA, which sum to 1; see `importances`."""
        shares, _ = self._point(self._groups(self.judged), "ped-anova")
        return shares

    def importances(
        self, goal: Goal | None = None, method: Method = "ped-anova", detail: Detail = "all"
    ) -> Importances:
        """Return the importance of each parameter for a metric.

        goal: None for the first goal. method: PED-ANOVA says which parameters set the best tenth
        of the trials apart from all (Watanabe et al. 2023); fANOVA, which ones explain the
        variance of all (Hutter et al. 2014). Pruned trials count with what their curves predict. A
        conditional parameter is judged among the trials that have it. detail: `points` alone;
        `intervals` as well, from fewer resamples; or `all`, with the importances among good trials
        and the interactions of pairs.
        """
        first = goal is None or goal == self.record.goals[0]
        judged = self.judged if first else judge_trials(self.record, goal)
        groups = self._groups(judged)
        trees: Mapping[str, Floats] = {}
        if first and method == "ped-anova":
            shares = self.shares
        else:
            shares, trees = self._point(groups, method)
        used = judged.thin(self._most(judged))
        notes = importance_notes(self.record, shares, judged)
        if len(used.trials) < len(judged.trials):
            notes.append(
                f"computed on {len(used.trials)} of {len(judged.trials)} trials, spread evenly"
            )
        resamples, ends = 0, dict[str, Interval]()
        if detail != "points" and shares:
            most = RESAMPLES if detail == "all" else FEW_RESAMPLES
            resamples, ends = self._intervals(groups, used, shares, trees, most)
        if 0 < resamples < FEW_RESAMPLES and method == "ped-anova":
            notes.append(f"the intervals are rough: {resamples} resamples, to save time")
        good: Mapping[str, float] = {}
        if detail == "all" and method == "ped-anova" and shares:
            good = self._ped_anova(groups, GOOD)
        rows = [
            replace(row, low=low, high=high, among_good=good.get(row.parameter))
            for row in self._rows(groups, judged, shares)
            for low, high in [ends.get(row.parameter, (None, None))]
        ]
        return Importances(
            metric=judged.goal.metric,
            direction=judged.goal.direction,
            method=method,
            finished=judged.finished_count,
            predicted=len(judged.predicted),
            resamples=resamples,
            parameters=rows,
            pairs=self._pairs(used, shares) if detail == "all" and shares else (),
            notes=[*bad_end_notes(judged, rows), *notes],
        )

    def other_importances(self, metrics: Sequence[Goal]) -> tuple[list[Importances], list[str]]:
        """Return importances with intervals for further metrics, and those that are left out.

        By PED-ANOVA with fewer resamples, and without pairs; a metric is left out where all of them
        would take more than some seconds. One for which nothing can be told is not returned.
        """
        found: list[Importances] = []
        left_out: list[str] = []
        spent = 0
        for goal in metrics:
            spent += sum(len(trial.parameters) for trial in self.judged.trials)
            if spent > OTHER_CELLS and left_out + found:
                left_out.append(goal.metric)
                continue
            one = self.importances(goal, detail="intervals")
            if one.shares:
                found.append(one)
        return found, left_out

    def _most(self, judged: JudgedTrials) -> int:
        """Return how many trials are looked at."""
        width = max((len(trial.parameters) for trial in judged.trials), default=1)
        return max(1, CELLS // max(1, width))

    def _groups(self, judged: JudgedTrials) -> list[_Group]:
        """Return the parameters that can be ranked, by the trials that have them."""
        if nothing_to_explain(self.record, judged):
            return []
        without = self._without_identity(judged)
        paths = [path for path in judged.varying if path not in without]
        judged = judged.thin(self._most(judged))
        found: dict[tuple[int, ...], list[str]] = {}
        for path in paths:
            rows = tuple(i for i, t in enumerate(judged.trials) if path in t.parameters)
            found.setdefault(rows, []).append(path)
        return [
            _Group(of_rows, rows, inside)
            for rows, of_rows in found.items()
            if not no_best_tenth(inside := judged.only([judged.trials[row] for row in rows]))
        ]

    def _without_identity(self, judged: JudgedTrials) -> set[str]:
        """Return the parameters whose domains Optuna cannot tell apart: their choices are lists."""
        found: set[str] = set()
        seen: set[int] = set()  # trials share a few objects; hashing takes long
        for trial in judged.trials:
            for path, domain in self.stored[trial.number].distributions.items():
                if id(domain) not in seen:
                    seen.add(id(domain))
                    try:
                        hash(domain)
                    except TypeError:
                        found.add(path)
        return found

    def _point(
        self, groups: Sequence[_Group], method: Method
    ) -> tuple[dict[str, float], dict[str, Floats]]:
        """Return the shares, and for fANOVA those of each tree."""
        if method == "ped-anova":
            return self._ped_anova(groups, 1.0), {}
        found: dict[str, float] = {}
        trees: dict[str, Floats] = {}
        for group in groups:
            # Parameters of all trials explain some of the variance within a condition as well.
            wide = [
                path
                for other in groups
                if set(group.rows) <= set(other.rows)
                for path in other.paths
            ]
            losses = _loss_by_number(group.judged)
            shares, of_trees = fanova_shares(self._stored_of(group), losses, wide)
            found |= {path: shares[path] for path in group.paths if path in shares}
            trees |= {path: of_trees[path] for path in group.paths if path in of_trees}
        return _normalise(found), trees

    def _ped_anova(self, groups: Sequence[_Group], region: float) -> dict[str, float]:
        """Return shares by PED-ANOVA among the best `region` of the trials of each group."""
        # `optuna.importance` imports scikit-learn, which readers of a study can do without.
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(region_quantile=region)
        found: dict[str, float] = {}
        for group in groups:
            losses = _loss_by_number(group.judged)
            with warnings.catch_warnings():
                # `normalize` may change. Low targets count as good ones, as they should. A trial
                # that alone has a domain is ignored for it. With ties, the best tenth may be the
                # better half.
                warnings.filterwarnings("ignore", "Argument ``normalize``", ExperimentalWarning)
                warnings.filterwarnings("ignore", "PedAnovaImportanceEvaluator comp", UserWarning)
                warnings.filterwarnings("ignore", "Some regimes for parameter", UserWarning)
                warnings.filterwarnings("ignore", "Target and region quantiles", UserWarning)
                found |= optuna.importance.get_param_importances(
                    TrialsView(self._stored_of(group)),
                    evaluator=evaluator,
                    params=list(group.paths),
                    target=lambda trial, losses=losses: losses[trial.number],  # type: ignore[misc]
                    normalize=False,
                )
        return _normalise(found)

    def _stored_of(self, group: _Group) -> list[FrozenTrial]:
        return [self.stored[trial.number] for trial in group.judged.trials]

    def _rows(
        self, groups: Sequence[_Group], judged: JudgedTrials, shares: Mapping[str, float]
    ) -> list[ParameterShare]:
        """Return a row for each parameter of the study, the most important first."""
        have = {path: len(group.rows) for group in groups for path in group.paths}
        rows = []
        for path in sorted(searched_paths(self.record), key=lambda path: -shares.get(path, -1.0)):
            count = have.get(path, sum(path in trial.parameters for trial in judged.trials))
            reason = "" if path in shares else why_not_ranked(self.record, judged, path)
            rows.append(ParameterShare(path, shares.get(path), trials=count, reason=reason))
        return rows

    def _intervals(
        self,
        groups: Sequence[_Group],
        judged: JudgedTrials,
        shares: Mapping[str, float],
        trees: Mapping[str, Floats],
        most: int,
    ) -> tuple[int, dict[str, Interval]]:
        """Return how many resamples there are, and the interval of each share."""
        if trees:
            return TREES, _spread_of_trees(shares, trees)
        branches = []
        for group in groups:
            stored = self._stored_of(group)
            regimes = {path: regimes_of(path, stored) for path in group.paths}
            branches.append(Branch(np.array(group.rows), regimes))
        resamples = min(most, resamples_for(len(judged.trials), len(shares)))
        return resamples, share_intervals(branches, *_losses(judged), resamples)

    def _pairs(self, judged: JudgedTrials, shares: Mapping[str, float]) -> Sequence[PairShare]:
        judged = judged.thin(MOST_ROWS)
        table = tabulate(replace(self.record, trials=judged.trials), self.parameters or None)
        ranked = sorted(shares, key=lambda path: -shares[path])
        return pair_shares(table.columns, _losses(judged)[0], ranked)


def importances(study: optuna.Study, record: StudyRecord) -> dict[str, float]:
    """Return shares that sum to 1, of the parameters that differ between the judged trials.

    By PED-ANOVA, as Optuna has it, for the first goal. record: of the same study. Empty where
    `nothing_to_explain` gives a reason.
    """
    return source_of(study, record).shares


def source_of(
    study: optuna.Study, record: StudyRecord, parameters: Sequence[Parameter] = ()
) -> ImportanceSource:
    """Return the trials of a study to ask for importances. parameters: of the space."""
    stored = study.get_trials(deepcopy=False, states=OURS_TO_RUN)
    return ImportanceSource(record, {trial.number: trial for trial in stored}, parameters)


def _loss_by_number(judged: JudgedTrials) -> dict[int, float]:
    sign = -judged.goal.sign
    return {trial.number: sign * judged.values[trial.number] for trial in judged.trials}


def _losses(judged: JudgedTrials) -> tuple[Floats, Floats]:
    """Return [trials] the losses, and the standard errors of those that are predicted."""
    losses = list(_loss_by_number(judged).values())
    errors = [
        judged.predicted[t.number].error if t.number in judged.predicted else 0.0
        for t in judged.trials
    ]
    return np.array(losses), np.array(errors)


def _normalise(figures: Mapping[str, float]) -> dict[str, float]:
    """Return figures as shares, the largest first; empty where all are 0."""
    total = sum(figures.values())
    order = sorted(figures, key=lambda path: -figures[path])
    return {path: float(figures[path] / total) for path in order} if total > 0 else {}


def _spread_of_trees(
    shares: Mapping[str, float], trees: Mapping[str, Floats]
) -> dict[str, Interval]:
    """Return the middle of the trees' shares; each tree has seen a resample of the trials."""
    total = sum(float(one.mean()) for one in trees.values())
    tail = (1.0 - LEVEL) / 2.0
    found = {}
    for path, one in trees.items():
        low, high = np.quantile(one / total, [tail, 1.0 - tail])
        found[path] = (min(float(low), shares[path]), min(1.0, max(float(high), shares[path])))
    return found
