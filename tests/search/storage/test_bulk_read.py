"""All trials of a study read at once are those that Optuna reads one by one."""

import math

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from tunewright.search.storage.bulk_read import BulkReadingStorage


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """Three studies of one database, which the tests only read."""
    url = f"sqlite:///{tmp_path_factory.mktemp('studies')}/study.db"
    storage = RDBStorage(url)
    optuna.create_study(storage=storage, study_name="before").optimize(
        lambda trial: trial.suggest_float("x", 0, 1), n_trials=3
    )
    study = optuna.create_study(
        storage=storage, study_name="study", directions=["maximize", "minimize"]
    )

    def objective(trial):
        x = trial.suggest_float("x", 1e-3, 1.0, log=True)
        kind = trial.suggest_categorical("kind", [None, True, 3, "text"])
        if kind == "text":
            trial.suggest_int("only then", 1, 5)
        trial.set_user_attr("note", {"nested": [1, None, "é"]})
        trial.set_constraint("size", x - 0.5)
        return (math.inf if trial.number == 2 else x), -x

    study.optimize(objective, n_trials=12)
    study.ask()
    study.enqueue_trial({"x": 0.5})
    study.tell(study.ask(), state=TrialState.FAIL)
    single = optuna.create_study(storage=storage, study_name="curves")
    for values in ([3.0, math.nan, math.inf, -math.inf, 1e-300], []):
        trial = single.ask()
        for step, value in enumerate(values):
            trial.report(value, 10 * step)
        single.tell(trial, state=TrialState.PRUNED)
    storage.remove_session()
    storage.engine.dispose()
    return url


@pytest.mark.parametrize("states", [None, (TrialState.COMPLETE,), (TrialState.RUNNING,)])
@pytest.mark.parametrize("name", ["before", "study", "curves"])
def test_both_read_the_same(url, optuna_storage, name, states):
    theirs = optuna_storage(url)
    ours = BulkReadingStorage(url, seconds=0.0, on_notice=pytest.fail, engine_kwargs={})
    number = theirs.get_study_id_from_name(name)
    expected = theirs.get_all_trials(number, deepcopy=False, states=states)
    found = ours.get_all_trials(number, deepcopy=False, states=states)
    ours.remove_session()
    ours.engine.dispose()
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for field in vars(other):
            assert repr(getattr(one, field)) == repr(getattr(other, field)), field
        assert list(one.params) == list(other.params)


def test_a_study_that_is_not_there_is_refused(url):
    storage = BulkReadingStorage(url, seconds=0.0, on_notice=pytest.fail, engine_kwargs={})
    with pytest.raises(KeyError):
        storage.get_all_trials(99)
    storage.remove_session()
    storage.engine.dispose()
