"""What an audit found: whether a cheap fidelity can be trusted, and which one to search at."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median, stdev
from typing import Any

from tunewright.analysis.audit.advice import cheapest_advice, epoch_advice, level_advice
from tunewright.analysis.audit.agreement import FEWEST, measure_agreement
from tunewright.analysis.audit.epoch_agreement import EpochAgreement, measure_epochs
from tunewright.analysis.audit.levels import SEARCH, AuditedRun, FidelityLevel, LevelAgreement
from tunewright.analysis.findings.trial_table import is_ranked, order_ended
from tunewright.analysis.score_intervals import LEVEL
from tunewright.result import Result
from tunewright.runs.record import Direction, Goal, StudyRecord, Trial


@dataclass(frozen=True)
class FidelityAudit(Result):
    """What an audit found.

    full: what the full fidelity sets, as typed. rows: the configurations: trial, state and score in
    the search, full score. levels: the search's fidelity first, then others, against the full one.
    epochs: by epoch of the full trainings. tolerance: what counts as no regret; source: what it is.
    notes: what the figures must be read with. advice: what to do.
    """

    study: str
    goal: str
    direction: Direction
    full: str
    rows: Sequence[Mapping[str, Any]]
    levels: Sequence[LevelAgreement]
    epochs: Sequence[EpochAgreement]
    tolerance: float
    source: str
    notes: Sequence[str]
    advice: Sequence[str]


def judge_audit(record: StudyRecord, levels: Sequence[FidelityLevel]) -> FidelityAudit:
    """Compare the search, and cheaper levels, with the level whose runs are longest.

    Trials that were pruned rank below the finished ones, by the step they reached, as the search
    ranks them.
    """
    sign = record.goals[0].sign
    full = next(iter(levels), FidelityLevel({}, ()))
    for level in levels:
        full = level if level.is_fuller(full) else full
    trials = {trial.number: trial for trial in record.trials}
    known = full.scores
    compared = [trials[n] for n in known if n in trials and is_ranked(trials[n])]
    numbers = [trial.number for trial in compared]
    found: list[LevelAgreement] = []
    order = order_ended(compared, sign)
    if agreement := measure_agreement(order, [sign * known[n] for n in numbers]):
        found.append(LevelAgreement(SEARCH, agreement, _search_cost(compared, full)))
    for level in levels:
        scores = level.scores
        both = [n for n in known if n in scores]
        cheap, last = ([sign * by[n] for n in both] for by in (scores, known))
        if level is not full and (agreement := measure_agreement(cheap, last)):
            cost = level.seconds / full.seconds if full.seconds else None
            found.append(LevelAgreement(level.name, agreement, cost))
    epochs = measure_epochs([run.curve for run in full.runs if run.trial in known], sign)
    tolerance, source = _tolerance(record, full, sign)
    return FidelityAudit(
        study=record.name,
        goal=record.goal,
        direction=record.direction,
        full=full.name,
        rows=[_row(trials.get(run.trial), run) for run in full.runs],
        levels=found,
        epochs=epochs,
        tolerance=tolerance,
        source=source,
        notes=_notes(full, found, compared),
        advice=[
            *(level_advice(level, tolerance, record.goal) for level in found),
            *epoch_advice(epochs, tolerance, record.goal),
            *cheapest_advice(found, tolerance),
        ],
    )


def judge_curves(
    name: str,
    goal: Goal,
    curves: Mapping[int, Mapping[int, float]],
    remarks: Sequence[str] = (),
) -> FidelityAudit:
    """Compare early epochs of recorded trainings with their ends; nothing is trained.

    curves: the goal by epoch, by configuration. The scores by epoch are those of the same runs, so
    that what differs from seed to seed is on both sides. remarks: notes that come first.
    """
    whole = {number: curve for number, curve in curves.items() if curve}
    epochs = measure_epochs(list(whole.values()), goal.sign)
    notes = [*remarks]
    if len(whole) < FEWEST:
        notes.append(f"{len(whole)} curves; nothing is measured below {FEWEST}")
    elif not epochs:
        notes.append("the curves have one epoch each, so that there is no earlier one to compare")
    elif epochs[-1].agreement.tau.value is None:
        notes.append("all final scores are equal: no ranking can be right or wrong")
    return FidelityAudit(
        study=name,
        goal=goal.metric,
        direction=goal.direction,
        full="",
        rows=[],
        levels=[],
        epochs=epochs,
        tolerance=0.0,
        source="",
        notes=notes,
        advice=epoch_advice(epochs, 0.0, goal.metric),
    )


def _row(trial: Trial | None, run: AuditedRun) -> dict[str, Any]:
    cheap = None
    if trial is not None:
        cheap = (
            trial.score if trial.state == "done" else trial.curve.get(max(trial.curve, default=0))
        )
    return {
        "trial": run.trial,
        "state": "" if trial is None else trial.state,
        "search": cheap,
        "full": run.score,
        "seeds": dict(run.seeds),
        "seconds": run.seconds,
        **({"reason": run.reason} if run.reason else {}),
    }


def _search_cost(trials: Sequence[Trial], full: FidelityLevel) -> float | None:
    """Return the time of a trial that was not pruned as a share of a full training."""
    spent = [t.seconds for t in trials if t.state == "done" and t.seconds]
    return median(spent) / full.seconds if spent and full.seconds else None


def _tolerance(record: StudyRecord, full: FidelityLevel, sign: float) -> tuple[float, str]:
    """Return how far two equally good configurations may differ, and what it was taken from."""
    groups = [list(run.seeds.values()) for run in full.runs if len(run.seeds) > 1]
    if spread := _pool_deviations(groups):
        return spread, "standard deviation over the seeds of the audited runs"
    groups = [list(t.seeds.values()) for t in record.of_state("done") if len(t.seeds) > 1]
    if spread := _pool_deviations(groups):
        return spread, "standard deviation over the seeds of the search's trials"
    ranked = [run for run in full.runs if run.score is not None and run.interval is not None]
    if ranked:
        best = max(ranked, key=lambda run: sign * (run.score or 0.0))
        assert best.interval is not None
        low, high = best.interval
        half = (high - low) / 2 / NormalDist().inv_cdf((1 + LEVEL) / 2)
        if half > 0:
            return half, "standard error of the best score on its validation set"
    return 0.0, ""


def _pool_deviations(groups: Sequence[Sequence[float]]) -> float:
    """Return the standard deviation within groups; 0 where there is none."""
    freedom = sum(len(group) - 1 for group in groups)
    squares = sum(stdev(group) ** 2 * (len(group) - 1) for group in groups)
    return math.sqrt(squares / freedom) if freedom else 0.0


def _notes(
    full: FidelityLevel, levels: Sequence[LevelAgreement], compared: Sequence[Trial]
) -> list[str]:
    notes = []
    if failed := [run for run in full.runs if run.trial not in full.scores]:
        numbers = ", ".join(str(run.trial) for run in failed)
        notes.append(
            f"without a full score, left out: trial {numbers} ({failed[0].reason or 'no number'})"
        )
    if pruned := sum(trial.state == "pruned" for trial in compared):
        notes.append(
            f"{pruned} of the {len(compared)} were pruned in the search: they rank below the "
            "finished ones, by the epoch that they reached"
        )
    if len(compared) < FEWEST:
        notes.append(
            f"{len(compared)} configurations have both scores; nothing is measured below {FEWEST}"
        )
    scores = list(full.scores.values())
    if len(compared) >= FEWEST and len(set(scores)) == 1:
        notes.append("all full scores are equal: no ranking can be right or wrong")
    if levels and levels[0].agreement.top_tau.value is not None:
        notes.append(
            "tau over all configurations flatters: bad ones are told apart easily; tau in the top "
            "quartile says whether good ones are"
        )
    if full.values and any(path.startswith("data.") for path in full.values):
        notes.append(
            "the full trainings see other data than the search, and so take another number of "
            "steps per epoch: part of a disagreement may come from the steps alone"
        )
    return notes
