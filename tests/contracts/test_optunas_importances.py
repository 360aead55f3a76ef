"""Importances are Optuna's own, whichever way the goals go."""

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from tunewright.analysis.shares.resampling import Branch, measure
from tunewright.search.study.importance.grid_cells import regimes_of
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


@pytest.mark.filterwarnings("ignore:Argument ``normalize``")
@pytest.mark.filterwarnings("ignore:Some regimes for parameter")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_resamples_are_measured_as_optuna_measures(seed: int) -> None:
    """Every kind of domain, ties, a condition, and a range that was changed on the way."""
    rng = np.random.default_rng(seed)
    study = optuna.create_study()
    for number in range(90):
        wide = FloatDistribution(0.0, 2.0 if number < 40 else 1.0)
        domains = {
            "float": FloatDistribution(-1.0, 1.0),
            "log": FloatDistribution(1e-5, 1e-1, log=True),
            "step": FloatDistribution(0.0, 1.0, step=0.125),
            "int": IntDistribution(1, 7),
            "long": IntDistribution(0, 400),
            "wide": IntDistribution(1, 4096, log=True),
            "choice": CategoricalDistribution(["a", "b", "c", None]),
            "changed": wide,
        }
        if rng.random() < 0.4:
            domains["sometimes"] = FloatDistribution(0.0, 1.0)
        params = {
            "float": rng.uniform(-1, 1),
            "log": float(np.exp(rng.uniform(np.log(1e-5), np.log(1e-1)))),
            "step": 0.125 * int(rng.integers(9)),
            "int": int(rng.integers(1, 8)),
            "long": int(rng.integers(401)),
            "wide": int(np.exp(rng.uniform(0, np.log(4096)))),
            "choice": ["a", "b", "c", None][rng.integers(4)],
            "changed": rng.uniform(0, wide.high),
            "sometimes": rng.random(),
        }
        value = round(params["float"] ** 2 + (params["choice"] == "a") + 0.1 * params["int"], 1)
        study.add_trial(
            create_trial(
                params={path: params[path] for path in domains}, distributions=domains, value=value
            )
        )
    theirs = get_param_importances(study, normalize=False)
    trials = study.trials
    branch = Branch(np.arange(90), {path: regimes_of(path, trials) for path in theirs})
    losses = np.array([[trial.value for trial in trials]])
    ours = measure([branch], losses, np.ones((1, 90)))[0]
    assert dict(zip(theirs, ours, strict=True)) == pytest.approx(theirs, rel=1e-6)

    twice = optuna.create_study()
    twice.add_trials([trial for trial in trials[:45] for _ in range(2)])
    counts = np.repeat([[2.0, 0.0]], 45, axis=1)
    drawn = measure([branch], losses, counts)[0]
    again = get_param_importances(twice, normalize=False, params=list(theirs))
    assert dict(zip(theirs, drawn, strict=True)) == pytest.approx(again, rel=1e-6)
