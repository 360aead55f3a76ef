"""Both ways to store a trial leave the same study for everybody who opens it with Optuna."""

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from tunewright.search.storage.database import close_storage, open_storage
from tunewright.search.study.optuna_types import End
from tunewright.search.study.trial_writer import (
    LAYOUTS,
    MethodWriter,
    RowWriter,
    TrialWriter,
    writer,
)

DOMAINS = {
    "lr": FloatDistribution(1e-5, 1.0, log=True),
    "depth": IntDistribution(1, 9, step=2),
    "kind": CategoricalDistribution(["a", None, True, 1.5]),
}


def template(**params: object) -> FrozenTrial:
    values = {"lr": 0.01, "depth": 3, "kind": None} | params
    return create_trial(state=TrialState.RUNNING, params=values, distributions=DOMAINS)


@pytest.fixture(params=["rows", "methods"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[RDBStorage]:
    url = f"sqlite:///{tmp_path}/study.db"
    storage = open_storage(url)
    yield storage
    close_storage(url, storage)


@pytest.fixture
def study(storage: RDBStorage) -> optuna.Study:
    return optuna.create_study(study_name="s", storage=storage, load_if_exists=True)


def made(study: optuna.Study, storage: RDBStorage, way: str) -> TrialWriter:
    study_id = storage.get_study_id_from_name("s")
    if way == "rows":
        chosen = writer(study, storage, study_id)
        assert isinstance(chosen, RowWriter)
        return chosen
    return MethodWriter(study, storage, study_id)


def seen(storage: RDBStorage) -> list[FrozenTrial]:
    """What another process finds in the file."""
    storage = RDBStorage(str(storage.url))
    try:
        return optuna.load_study(study_name="s", storage=storage).trials
    finally:
        close_storage(storage.url, storage)


class TestWriter:
    def test_parameters_that_come_after_the_begin(self, study, storage, way):
        writing = made(study, storage, way)
        trial, _ = writing.begin(create_trial(state=TrialState.RUNNING))
        values = {"lr": 0.01, "depth": 3, "kind": None}
        for name, value in values.items():
            writing.suggest(trial, name, DOMAINS[name], value)
            assert seen(storage)[0].params[name] == value
        assert seen(storage)[0].distributions == DOMAINS
        other, _ = writing.begin(create_trial(state=TrialState.RUNNING))
        writing.suggest(other, "lr", FloatDistribution(1e-3, 9.0, log=True), 5.0)
        with pytest.raises(ValueError, match=r"dynamic value space|different distribution"):
            writing.suggest(other, "kind", CategoricalDistribution(["b"]), "b")

    def test_numbers_count_from_zero_and_pass_over_the_trials_of_others(self, study, storage, way):
        writing = made(study, storage, way)
        assert writing.begin(template())[1] == 0
        study.enqueue_trial({"lr": 0.5})
        assert [writing.begin(template())[1] for _ in range(3)] == [2, 3, 4]
        assert [trial.number for trial in seen(storage)] == [0, 1, 2, 3, 4]

    def test_a_trial_that_runs_is_there_with_its_parameters_and_reports(self, study, storage, way):
        writing = made(study, storage, way)
        begun = template(kind=True)
        trial_id, _ = writing.begin(begun)
        for step, value in ((1, 0.5), (2, math.inf), (3, -math.inf), (4, math.nan), (1, 0.75)):
            writing.report(trial_id, step, value)
        [trial] = seen(storage)
        assert trial.state == TrialState.RUNNING
        assert trial.params == {"lr": 0.01, "depth": 3, "kind": True}
        assert trial.distributions == DOMAINS
        curve = dict(sorted(trial.intermediate_values.items()))
        assert math.isnan(curve.pop(4))
        assert curve == {1: 0.75, 2: math.inf, 3: -math.inf}
        assert trial.datetime_start == begun.datetime_start

    @pytest.mark.parametrize(
        ("state", "values"),
        [
            (TrialState.COMPLETE, [1.25]),
            (TrialState.COMPLETE, [math.inf]),
            (TrialState.PRUNED, None),
            (TrialState.FAIL, None),
        ],
    )
    def test_an_end_is_there_whole(self, study, storage, way, state, values):
        writing = made(study, storage, way)
        trial_id, _ = writing.begin(template())
        attributes = {"reason": "ünd so", "list": [1, {"a": None}]}
        assert writing.end(trial_id, End(state, values, {"failure": 1.0, "size": -2.0}, attributes))
        [trial] = seen(storage)
        assert trial.state == state
        assert trial.values == values
        assert trial.user_attrs == attributes
        assert trial.constraints == {"failure": 1.0, "size": -2.0}
        assert 0 <= trial.duration.total_seconds() < 60

    def test_a_mark_is_there_while_the_trial_runs_and_after_its_end(self, study, storage, way):
        writing = made(study, storage, way)
        trial_id, _ = writing.begin(template())
        writing.mark(trial_id, "audited", 2)
        writing.mark(trial_id, "audited", 4)
        assert seen(storage)[0].user_attrs == {"audited": 4}
        writing.end(trial_id, End(TrialState.COMPLETE, [1.0], {}, {"reason": "x"}))
        assert seen(storage)[0].user_attrs == {"audited": 4, "reason": "x"}

    def test_several_goals(self, tmp_path, way):
        storage = open_storage(f"sqlite:///{tmp_path}/two.db")
        study = optuna.create_study(
            study_name="s", storage=storage, directions=["minimize", "maximize"]
        )
        writing = made(study, storage, way)
        trial_id, _ = writing.begin(template())
        assert writing.end(trial_id, End(TrialState.COMPLETE, [1.0, 2.0], {}, {}))
        assert seen(storage)[0].values == [1.0, 2.0]
        close_storage(storage.url, storage)

    def test_the_first_end_stands(self, study, storage, way):
        writing = made(study, storage, way)
        trial_id, _ = writing.begin(template())
        assert writing.end(trial_id, End(TrialState.COMPLETE, [1.0], {"failure": 0.0}, {"a": 1}))
        assert not writing.end(trial_id, End(TrialState.FAIL, None, {"failure": 1.0}, {"a": 2}))
        [trial] = seen(storage)
        assert (trial.state, trial.value) == (TrialState.COMPLETE, 1.0)
        assert (trial.user_attrs, trial.constraints) == ({"a": 1}, {"failure": 0.0})

    def test_a_changed_domain_is_refused_and_leaves_no_trial(self, study, storage, way):
        made(study, storage, way).begin(template())
        other = create_trial(
            state=TrialState.RUNNING,
            params={"kind": "b"},
            distributions={"kind": CategoricalDistribution(["b"])},
        )
        with pytest.raises(ValueError, match="dynamic value space"):
            made(study, storage, way).begin(other)
        assert len(seen(storage)) == 1


def test_both_leave_the_same_rows(tmp_path, way):
    """Row for row, whichever writes: what Optuna reads later is what Optuna would write."""
    found = []
    for each in ("rows", "methods"):
        file = tmp_path / f"{each}.db"
        storage = open_storage(f"sqlite:///{file}")
        study = optuna.create_study(study_name="s", storage=storage)
        writing = made(study, storage, each)
        for value in (0.5, math.inf):
            trial_id, _ = writing.begin(template())
            writing.report(trial_id, 1, value)
            writing.end(trial_id, End(TrialState.COMPLETE, [value], {"failure": 0.0}, {"b": [2]}))
        close_storage(storage.url, storage)
        with closing(sqlite3.connect(file)) as connection, connection:
            found.append(
                {
                    table: connection.execute(f"SELECT {columns} FROM {table}").fetchall()
                    for table, columns in (
                        ("trials", "trial_id, number, study_id, state"),
                        ("trials", "length(datetime_start), length(datetime_complete)"),
                        ("trial_params", "*"),
                        ("trial_values", "*"),
                        ("trial_intermediate_values", "*"),
                        ("trial_user_attributes", "*"),
                        ("trial_system_attributes", "*"),
                    )
                }
            )
        connection.close()
    assert found[0] == found[1]


def test_a_layout_that_is_not_known_goes_through_optuna(study, storage):
    study_id = storage.get_study_id_from_name("s")
    with storage.engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() in (
            LAYOUTS
        )
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v9.9.9.a'")
    assert isinstance(writer(study, storage, study_id), MethodWriter)
