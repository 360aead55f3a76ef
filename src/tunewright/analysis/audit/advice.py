"""What to do after an audit, in sentences."""

from collections.abc import Sequence

from tunewright.analysis.audit.epoch_agreement import (
    GOOD_TAU,
    EpochAgreement,
    first_good_epoch,
    first_harmless_epoch,
)
from tunewright.analysis.audit.levels import LevelAgreement


def level_advice(level: LevelAgreement, tolerance: float, goal: str) -> str:
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
        if not tolerance:
            verdict = "and how much of it is noise is not known: seeds=[1,2] would tell"
        if kept <= tolerance:
            verdict += (
                f"; the best {level.agreement.best} of it, trained in full, hold a configuration "
                "without regret"
            )
    return f"{level.name}: {lost}, {verdict}"


def epoch_advice(epochs: Sequence[EpochAgreement], tolerance: float, goal: str) -> list[str]:
    """Return from which epoch on the ranking holds, and the best one is found."""
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
            f"at no epoch before the last does the ranking reach tau {GOOD_TAU:g} for good: fewer "
            "epochs would choose others"
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


def cheapest_advice(levels: Sequence[LevelAgreement], tolerance: float) -> list[str]:
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
