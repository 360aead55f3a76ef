"""A stored study read whole: domains in our terms, the newest of each parameter."""

from datetime import datetime

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from tunewright.search.study.loaded_study import load_study
from tunewright.spaces.domain import Categorical, Float, Int

DOMAINS = {
    "lr": (FloatDistribution(1e-5, 1e-2, log=True), Float(1e-5, 1e-2, log=True), 1e-3),
    "rate": (FloatDistribution(0.0, 1.0, step=0.25), Float(0.0, 1.0, step=0.25), 0.5),
    "depth": (IntDistribution(2, 8, step=2), Int(2, 8, step=2), 4),
    "kind": (CategoricalDistribution(("a", "b")), Categorical(("a", "b")), "a"),
    "sizes": (CategoricalDistribution(("[1,2]", "[3]")), Categorical(("[1,2]", "[3]")), "[3]"),
}


def test_domains_and_starts_are_read(tmp_path, optuna_storage):
    url = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(study_name="s", storage=optuna_storage(url))
    drawn = {path: stored for path, (stored, *_) in DOMAINS.items()}
    values = {path: value for path, (*_, value) in DOMAINS.items()}
    trial = create_trial(value=1.0, params=values, distributions=drawn)
    trial.datetime_start = datetime(2026, 10, 25, 3)
    study.add_trial(trial)
    narrower = {"depth": IntDistribution(2, 4, step=2)}
    study.add_trial(create_trial(value=2.0, params={"depth": 2}, distributions=narrower))
    found = load_study(url, None)
    read = {parameter.path: parameter.domain for parameter in found.parameters}
    assert read == {path: ours for path, (_, ours, _) in DOMAINS.items()} | {
        "depth": Int(2, 4, step=2)
    }
    first = found.record.trials[0]
    assert first.started == datetime(2026, 10, 25, 3).timestamp()
    assert first.audited is None
    assert found.settings is None


def test_choices_that_count_as_one_value_here_leave_the_domain_out(tmp_path, optuna_storage):
    url = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(study_name="s", storage=optuna_storage(url))
    one = {"x": CategoricalDistribution((1, 1.0, 2))}
    study.add_trial(create_trial(value=1.0, params={"x": 2}, distributions=one))
    assert load_study(url, None).parameters == ()
