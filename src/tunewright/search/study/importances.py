"""Importance of each parameter for the first goal of a study."""

import math
import warnings

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial

from tunewright.analysis.importances import nothing_to_explain, varying_parameters
from tunewright.runs.record import StudyRecord


def importances(study: optuna.Study, record: StudyRecord) -> dict[str, float]:
    """Return shares that sum to 1, of the parameters that differ between completed trials.

    By PED-ANOVA (Watanabe et al. 2023), as Optuna has it. record: of the same study. Empty where
    `nothing_to_explain` gives a reason.
    """
    if nothing_to_explain(record):
        return {}
    sign = record.goals[0].sign

    def loss(trial: FrozenTrial) -> float:
        return -sign * trial.values[0] if all(map(math.isfinite, trial.values)) else math.nan

    with warnings.catch_warnings():
        # `normalize` may change. Low targets count as good ones, as they should. A trial that
        # alone has or lacks a parameter is ignored for it.
        warnings.filterwarnings("ignore", "Argument ``normalize``", ExperimentalWarning)
        warnings.filterwarnings("ignore", "PedAnovaImportanceEvaluator computes", UserWarning)
        warnings.filterwarnings("ignore", "Some regimes for parameter", UserWarning)
        shares = optuna.importance.get_param_importances(
            study,
            params=varying_parameters(record),
            target=loss if record.others else None,  # a single goal uses the study's direction
            normalize=False,
        )
    total = sum(shares.values())
    return {path: share / total for path, share in shares.items()} if total > 0 else {}
