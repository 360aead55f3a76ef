"""Whether a study's trials can tell which parameters mattered, and of which ones."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median, pstdev

from tunewright.analysis.final_scores import FinalScore, predict_final_scores
from tunewright.runs.record import Goal, StudyRecord, Trial, rank_with_ties
from tunewright.spaces.domain import canonical

FEWEST = 11
"""Trials below which PED-ANOVA's best tenth is a single trial."""
TELLING = 0.5
"""Error of a usable prediction at most, in standard deviations of what is predicted."""


@dataclass(frozen=True)
class JudgedTrials:
    """The trials from which importances for a metric are computed.

    trials: in the order of their numbers. values: the metric of each, by number. predicted: which
    values are predictions, for pruned trials.
    """

    goal: Goal
    trials: tuple[Trial, ...]
    values: Mapping[int, float]
    predicted: Mapping[int, FinalScore]

    @cached_property
    def varying(self) -> list[str]:
        """The parameters with several values; see `varying_parameters`."""
        return _varying(self.trials)

    @property
    def finished_count(self) -> int:
        """How many of the trials finished."""
        return len(self.trials) - len(self.predicted)

    def thin(self, most: int) -> "JudgedTrials":
        """Return at most `most` of the trials, evenly spread over the study."""
        if len(self.trials) <= most:
            return self
        places = [index * len(self.trials) // most for index in range(most)]
        kept = tuple(self.trials[place] for place in places)
        return self.only(kept)

    def only(self, trials: Sequence[Trial]) -> "JudgedTrials":
        """Return some of the trials."""
        values = {trial.number: self.values[trial.number] for trial in trials}
        predicted = {n: self.predicted[n] for n in values if n in self.predicted}
        return JudgedTrials(self.goal, tuple(trials), values, predicted)


def judge_trials(record: StudyRecord, goal: Goal | None = None) -> JudgedTrials:
    """Return the trials that have a value of a metric, or a prediction of it.

    goal: None for the first goal of the study. Pruned trials count with what their curves predict:
    the finished ones alone are those that the pruner let through, and do not show which parameters
    decided that. For another metric than the first goal, whose curves alone are stored, they count
    only where these curves predict it: else all would be predicted near the mean, and what decided
    over the pruning would seem to decide over the metric.
    """
    chosen = record.goals[0] if goal is None else goal
    values = {
        trial.number: value
        for trial in completed_trials(record)
        if (value := _value(trial, chosen.metric, record)) is not None
    }
    own = chosen.metric == record.goal
    predicted = predict_final_scores(record, None if own else values)
    if not own and predicted and not _are_telling(predicted, values):
        predicted = {}
    values |= {number: one.value for number, one in predicted.items()}
    trials = tuple(trial for trial in record.trials if trial.number in values)
    return JudgedTrials(chosen, trials, values, predicted)


def _are_telling(predicted: Mapping[int, FinalScore], values: Mapping[int, float]) -> bool:
    """Return whether predictions are closer to the truth than the values are to each other."""
    return median(one.error for one in predicted.values()) <= TELLING * pstdev(values.values())


def other_metrics(record: StudyRecord) -> list[str]:
    """Return what finished trials have besides the score: goals, metrics, then costs."""
    done = completed_trials(record)
    named = [name for t in done for name in (*t.others, *t.metrics)]
    named += [name for t in done for name in t.costs]
    return [name for name in dict.fromkeys(named) if name != record.goal]


def _value(trial: Trial, metric: str, record: StudyRecord) -> float | None:
    """Return a metric of a completed trial; None where it has no finite one."""
    if metric == record.goal:
        return trial.score
    found = {**trial.costs, **trial.metrics, **trial.others}.get(metric)
    return found if found is not None and math.isfinite(found) else None


def completed_trials(record: StudyRecord) -> list[Trial]:
    """Return the trials with a score, also if they violated a constraint."""
    return [t for t in record.of_state("done", "infeasible") if t.score is not None]


def varying_parameters(record: StudyRecord, judged: JudgedTrials | None = None) -> list[str]:
    """Return the parameters with several values among the judged trials.

    At least `FEWEST` trials must have a parameter that some lack: two say nothing about it. judged:
    None for those of the first goal.
    """
    return (judged or judge_trials(record)).varying


def _varying(trials: Sequence[Trial]) -> list[str]:
    counts = Counter(path for trial in trials for path in trial.parameters)
    first: dict[str, str] = {}
    varying: set[str] = set()
    endless: set[str] = set()
    for trial in trials:
        for path, value in trial.parameters.items():
            if isinstance(value, float) and not math.isfinite(value):
                endless.add(path)
            elif path not in varying:  # encoding a value takes longer than all else here
                text = canonical(value)
                if first.setdefault(path, text) != text:
                    varying.add(path)
    return [path for path in first if path in varying - endless and counts[path] >= FEWEST]


def rarely_set(record: StudyRecord, judged: JudgedTrials | None = None) -> list[str]:
    """Return the parameters that are left out since too few judged trials have them."""
    trials = (judged or judge_trials(record)).trials
    counts = Counter(path for trial in trials for path in trial.parameters)
    return [path for path, count in counts.items() if count < min(FEWEST, len(trials))]


def nothing_to_explain(record: StudyRecord, judged: JudgedTrials | None = None) -> str:
    """Return why the values of a metric say nothing about the parameters; empty when they may."""
    judged = judged or judge_trials(record)
    if reason := no_best_tenth(judged):
        return reason
    if len(paths := varying_parameters(record, judged)) < 2:
        only = f"only {paths[0]} differs" if paths else "no parameter differs"
        return f"{only} between the completed trials: nothing to compare"
    return ""


def no_best_tenth(judged: JudgedTrials) -> str:
    """Return why there is no best tenth to compare with all trials; empty where there is one.

    PED-ANOVA compares the best tenth of the trials with all of them (Watanabe et al. 2023): there
    must be a best tenth that is not nearly all of them, and something to compare.
    """
    scores = [judged.values[trial.number] for trial in judged.trials]
    placed = sorted((place, score) for (place,), score in _rank_scores(scores, judged.goal.sign))
    count = len(placed)
    if not count:
        return "no trial has completed with a finite score"
    if count > 1 and placed[0][0] == placed[-1][0]:
        return f"every score is {_text(placed[0][1])}: nothing to explain"
    if count < FEWEST:
        also = f" and {len(judged.predicted)} predicted" if judged.predicted else ""
        return (
            f"{judged.finished_count} completed{also}, and with fewer than {FEWEST} the best tenth "
            "is a single trial"
        )
    if placed[-1][0] == 1:
        return (
            f"every score is {_text(placed[0][1])} or {_text(placed[-1][1])}: two scores do not "
            "rank the trials"
        )
    last, worst = placed[math.ceil(count / 10) - 1]
    best = sum(place <= last for place, _ in placed)
    if 2 * best > count:
        return (
            f"{best} of {count} scores are {_text(worst)} or better: there is no best tenth to "
            "compare with all"
        )
    return ""


def _rank_scores(scores: list[float], sign: float) -> list[tuple[tuple[int, ...], float]]:
    return list(zip(rank_with_ties([(-sign * score,) for score in scores]), scores, strict=True))


def _text(score: float) -> str:
    return f"{score:.6g}"
