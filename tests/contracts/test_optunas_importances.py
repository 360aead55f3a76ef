"""Importances are Optuna's own, whichever way the goals go."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from tunewright.search.study.importances import importances
from tunewright.search.study.optuna_types import record_of

DOMAINS = {
    "a": FloatDistribution(0.0, 1.0),
    "b": FloatDistribution(1e-4, 1e-1, log=True),
    "c": CategoricalDistribution(["x", "y", "z"]),
}


def ridge(a: float, b: float, c: str) -> float:
    """Among the good trials `a` decides; the bad ones are those with a large `b`."""
    return 3.0 - abs(a - 0.3) if b < 0.02 else -50.0 * b - (c == "z")


def studied(*directions: str) -> optuna.Study:
    """120 random trials; every goal but the first is the other way round."""
    study = optuna.create_study(directions=directions)
    view = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=5))
    trials = []
    for _ in range(120):
        params = view.ask(DOMAINS).params
        values = [(-1) ** n * ridge(**params) for n in range(len(directions))]
        trials.append(create_trial(params=params, distributions=DOMAINS, values=values))
    study.add_trials(trials)
    return study


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_of_one_goal(direction: str) -> None:
    study = studied(direction)
    ours = importances(study, record_of(study, None))
    assert ours == pytest.approx(get_param_importances(study))
    assert max(ours, key=ours.__getitem__) == ("a" if direction == "maximize" else "b")


@pytest.mark.filterwarnings("ignore:PedAnovaImportanceEvaluator computes")
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_of_several_goals_the_first_one_counts(direction: str) -> None:
    study = studied(direction, "minimize")
    ours = importances(study, record_of(study, None))
    sign = -1.0 if direction == "maximize" else 1.0
    theirs = get_param_importances(
        study, evaluator=PedAnovaImportanceEvaluator(), target=lambda t: sign * t.values[0]
    )
    assert ours == pytest.approx(theirs)
