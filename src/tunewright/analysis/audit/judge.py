"""What an audit found: whether a cheap fidelity can be trusted, and which one to search at."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist, median, stdev
from typing import Any

from tunewright.analysis.audit.agreement import FEWEST, Agreement, measure_agreement
from tunewright.analysis.audit.epoch_agreement import (
    GOOD_TAU,
    EpochAgreement,
    first_good_epoch,
    first_harmless_epoch,
    measure_epochs,
)
from tunewright.analysis.findings.trial_table import is_ranked, order_ended
from tunewright.analysis.score_intervals import LEVEL
from tunewright.result import Result
from tunewright.runs.record import Direction, Goal, StudyRecord, Trial

SEARCH = "the search"
EPOCHS = "training.epochs"


@dataclass(frozen=True)
class AuditedRun:
    """A configuration trained at one level; several seeds are one run.

    score: None for a run that failed, of which `reason` says why. curve: the goal by epoch, of the
    first seed. seeds: the score by seed, where there are several. interval: of the score.
    """

    trial: int
    score: float | None
    curve: Mapping[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    seeds: Mapping[str, float] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    reason: str = ""


@dataclass(frozen=True)
class FidelityLevel:
    """Configurations trained at one fidelity. values: what it sets otherwise than the search."""

    values: Mapping[str, Any]
    runs: Sequence[AuditedRun]

    @property
    def name(self) -> str:
        """The values as they are typed."""
        return " ".join(f"{path}={value}" for path, value in self.values.items())

    @property
    def scores(self) -> dict[int, float]:
        """The finite scores by trial."""
        known = {run.trial: run.score for run in self.runs}
        return {n: s for n, s in known.items() if s is not None and math.isfinite(s)}

    @property
    def seconds(self) -> float:
        """The median time of a run that has a score; 0 where none has."""
        known = self.scores
        return median([run.seconds for run in self.runs if run.trial in known] or [0.0])

    def is_fuller(self, other: "FidelityLevel") -> bool:
        """Return whether its runs are longer: by epochs where they differ in these, else by time.

        Times are of a machine that may have done other things.
        """
        one, two = ({k: v for k, v in x.values.items() if k != EPOCHS} for x in (self, other))
        if one == two and EPOCHS in self.values and EPOCHS in other.values:
            return bool(self.values[EPOCHS] > other.values[EPOCHS])
        return self.seconds > other.seconds


@dataclass(frozen=True)
class LevelAgreement:
    """How a cheaper level ranks the configurations of the full one.

    cost: the median time of its runs as a share of the full ones; None where it is not known.
    """

    name: str
    agreement: Agreement
    cost: float | None


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
            *(_level_advice(level, tolerance, record.goal) for level in found),
            *_epoch_advice(epochs, tolerance, record.goal),
            *_cheapest_advice(found, tolerance),
        ],
    )


def judge_curves(name: str, goal: Goal, curves: Mapping[int, Mapping[int, float]]) -> FidelityAudit:
    """Compare early epochs of recorded trainings with their ends; nothing is trained.

    curves: the goal by epoch, by configuration. The scores by epoch are those of the same runs, so
    that what differs from seed to seed is on both sides.
    """
    whole = {number: curve for number, curve in curves.items() if curve}
    epochs = measure_epochs(list(whole.values()), goal.sign)
    notes = []
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
        advice=_epoch_advice(epochs, 0.0, goal.metric),
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
    if spread := _pooled(groups):
        return spread, "standard deviation over the seeds of the audited runs"
    groups = [list(t.seeds.values()) for t in record.of_state("done") if len(t.seeds) > 1]
    if spread := _pooled(groups):
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


def _pooled(groups: Sequence[Sequence[float]]) -> float:
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


def _level_advice(level: LevelAgreement, tolerance: float, goal: str) -> str:
    """Return what the regret of a level's winner means."""
    regret = level.agreement.regret
    assert regret.value is not None
    lost = f"its best configuration lacks {_number(regret.value)} of {goal} in full"
    if regret.low is not None and regret.high is not None:
        lost += f" ({_number(regret.low)} to {_number(regret.high)})"
    if regret.value <= tolerance or regret.value == 0.0:
        verdict = "no regret beyond noise"
    else:
        kept = level.agreement.kept_regret.value or 0.0
        verdict = "more than noise"
        if kept <= tolerance:
            verdict += (
                f"; the best {level.agreement.best} of it, trained in full, hold a configuration "
                "without regret"
            )
    return f"{level.name}: {lost}, {verdict}"


def _epoch_advice(epochs: Sequence[EpochAgreement], tolerance: float, goal: str) -> list[str]:
    if not epochs or epochs[-1].agreement.tau.value is None:  # constant scores
        return []
    last = epochs[-1].epoch
    found = []
    if good := first_good_epoch(epochs):
        tau = good.agreement.tau
        found.append(
            f"at epoch {good.epoch} of {last} the ranking of the full trainings is already tau "
            f"{tau.value:.2f} ({tau.low:.2f} to {tau.high:.2f})"
        )
    else:
        found.append(
            f"at no epoch before the last does the ranking reach tau {GOOD_TAU:g}: fewer epochs "
            "would rank by chance"
        )
    if harmless := first_harmless_epoch(epochs, tolerance):
        regret = harmless.agreement.regret.value
        assert regret is not None
        found.append(
            f"from epoch {harmless.epoch} on, the best one so far lacks at most "
            f"{_number(max(regret, tolerance))} of {goal} at the end: trials of "
            f"{harmless.epoch} epochs are enough to choose by (in a new study, "
            f"stages.explore.training.epochs={harmless.epoch}; its schedule is then that long, of "
            "which these curves tell nothing)"
        )
    return found


def _cheapest_advice(levels: Sequence[LevelAgreement], tolerance: float) -> list[str]:
    """Return the cheapest level without regret, where several were compared."""
    priced = [
        level
        for level in levels
        if level.cost is not None and (level.agreement.regret.value or 0.0) <= tolerance
    ]
    if len(levels) < 2:
        return []
    if not priced:
        return ["each cheaper level loses more than noise: search at more epochs or on more data"]
    cheapest = min(priced, key=lambda level: level.cost or 0.0)
    return [
        f"the cheapest level without regret beyond noise is {cheapest.name}, at "
        f"{cheapest.cost:.0%} of the time of a full training"
    ]


def _number(value: float) -> str:
    return f"{value:.3g}"
