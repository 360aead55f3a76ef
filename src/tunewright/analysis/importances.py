"""Whether a study's trials can tell which parameters mattered, and of which ones."""

import math
from collections import Counter

from tunewright.runs.record import StudyRecord, Trial, rank_with_ties
from tunewright.spaces.domain import canonical

FEWEST = 11
"""Completed trials below which PED-ANOVA's best tenth is a single trial."""


def completed_trials(record: StudyRecord) -> list[Trial]:
    """Return the analysed trials: those with a score, also if they violated a constraint."""
    return [t for t in record.of_state("done", "infeasible") if t.score is not None]


def varying_parameters(record: StudyRecord) -> list[str]:
    """Return the parameters with several values among the completed trials.

    At least `FEWEST` trials must have a parameter that some lack: two say nothing about it.
    """
    values: dict[str, set[str]] = {}
    counts = Counter(path for trial in completed_trials(record) for path in trial.parameters)
    for trial in completed_trials(record):
        for path, value in trial.parameters.items():
            values.setdefault(path, set()).add(canonical(value))
    endless = {canonical(math.inf), canonical(-math.inf), canonical(math.nan)}
    return [
        path
        for path, found in values.items()
        if len(found) > 1 and not found & endless and counts[path] >= FEWEST
    ]


def rarely_set(record: StudyRecord) -> list[str]:
    """Return the parameters that are left out since too few completed trials have them."""
    trials = completed_trials(record)
    counts = Counter(path for trial in trials for path in trial.parameters)
    return [path for path, count in counts.items() if count < min(FEWEST, len(trials))]


def nothing_to_explain(record: StudyRecord) -> str:
    """Return why the scores of a study say nothing about its parameters; empty when they may.

    PED-ANOVA compares the best tenth of the completed trials with all of them (Watanabe et al.
    2023): there must be a best tenth that is not nearly all of them, and something to compare.
    """
    sign = record.goals[0].sign
    scores = [trial.score for trial in completed_trials(record) if trial.score is not None]
    placed = sorted((place, score) for (place,), score in _rank_scores(scores, sign))
    count = len(placed)
    if not count:
        return "no trial has completed with a finite score"
    if count > 1 and placed[0][0] == placed[-1][0]:
        return f"every score is {_text(placed[0][1])}: nothing to explain"
    if count < FEWEST:
        return f"{count} completed, and with fewer than {FEWEST} the best tenth is a single trial"
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
    if len(paths := varying_parameters(record)) < 2:
        only = f"only {paths[0]} differs" if paths else "no parameter differs"
        return f"{only} between the completed trials: nothing to compare"
    return ""


def _rank_scores(scores: list[float], sign: float) -> list[tuple[tuple[int, ...], float]]:
    return list(zip(rank_with_ties([(-sign * score,) for score in scores]), scores, strict=True))


def _text(score: float) -> str:
    return f"{score:.6g}"
