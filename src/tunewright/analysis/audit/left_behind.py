"""How many winners a search by curves has left at its rungs."""

from statistics import NormalDist

from tunewright.analysis.final_scores import FinalScore, predict_final_scores
from tunewright.runs.record import StudyRecord, Trial

WORTH = 0.2
"""Chance to end better than the best trial from which one that was left is named."""


def describe_left(record: StudyRecord) -> list[str]:
    """Return what the trials that wait at a rung, or were left there, would have come to.

    Each curve is continued by those of the trials that went on; the errors of the predictions are
    taken for normal. Empty for a study without such trials.
    """
    left = [trial for trial in record.trials if trial.rung and trial.state in ("pruned", "paused")]
    if not left:
        return []
    best = record.best
    ended = f"{len(left)} trials wait at a rung or were left there"
    predicted = predict_final_scores(record)
    known = [trial for trial in left if trial.number in predicted]
    if best is None or best.score is None or not known:
        return [f"{ended}: too few went on to say how they would have ended"]
    sign = record.goals[0].sign
    chances = {t.number: _chance(predicted[t.number], best.score, sign) for t in known}
    unknown = f" ({len(left) - len(known)} cannot be predicted)" if len(known) < len(left) else ""
    found = [
        f"{ended}{unknown}: of these, {sum(chances.values()):.1f} are expected to end better than "
        f"trial {best.number}, the best one"
    ]
    likeliest = max(known, key=lambda trial: chances[trial.number])
    if chances[likeliest.number] >= WORTH:
        found.append(_name(likeliest, predicted[likeliest.number], chances[likeliest.number]))
    return found


def _chance(end: FinalScore, best: float, sign: float) -> float:
    """Return the chance that a trial ends better than the best one."""
    ahead = sign * (end.value - best)
    if end.error <= 0:
        return float(ahead > 0)
    return NormalDist().cdf(ahead / end.error)


def _name(trial: Trial, end: FinalScore, chance: float) -> str:
    return (
        f"the likeliest of them is trial {trial.number}, {trial.rung}, predicted to end at "
        f"{end.value:.4g} +- {1.96 * end.error:.2g} (better with a chance of {chance:.0%}); more "
        "trials let those that wait go on"
    )
