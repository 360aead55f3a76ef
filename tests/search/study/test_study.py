"""The one door to Optuna: what is asked, what is stored, and what others see of it."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from practice.quadratic.studies import ended, rows

import tunewright
from tunewright.config.study_schema import AshaConfig, RandomConfig, TpeConfig
from tunewright.errors import StudyError
from tunewright.search.storage.database import Settings, open_storage, stored_lease, stored_settings
from tunewright.search.study.optuna_types import FAILURE
from tunewright.search.study.study import Study, load_record
from tunewright.spaces.domain import Categorical, Float, Int
from tunewright.spaces.rules import Condition, ForbidRule
from tunewright.spaces.space import Parameter, Space

SPACE = Space(
    (
        Parameter("model.type", Categorical(("small", "large")), "small"),
        Parameter("model.depth", Int(1, 4), 2, when=(Condition("model.type", ("large",)),)),
        Parameter("optim.lr", Float(1e-4, 1e-1, log=True), 1e-2),
        Parameter("loss.flag", Categorical((True, 1, None, "x")), True),
        Parameter("model.sizes", Categorical(([8, 8], [16])), [8, 8]),
    ),
    forbid=(
        ForbidRule(
            (Condition("model.type", ("large",)), Condition("optim.lr", bounds={"above": 1e-3}))
        ),
    ),
)


def settings(**changes: Any) -> Settings:
    fields: dict[str, Any] = {
        "recipe": "quadratic",
        "goal": "val_score",
        "metric": "val_score",
        "direction": "max",
        "sampler": TpeConfig(startup_trials=5).model_dump(),
        "pruner": AshaConfig().model_dump(),
        "space": {"parameters": {"optim.lr": {"type": "float"}}},
        "configuration": {"training.epochs": 8},
        "seed": 7,
    }
    return Settings(**(fields | changes))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "study.db"


def opened(database: Path, space: Space = SPACE, **changes: Any) -> Study:
    return Study(f"sqlite:///{database}", "study", settings(**changes), space)


def score_of(values: dict[str, Any]) -> float:
    return -abs(math.log10(values["optim.lr"]) + 3.5) - (values["model.type"] == "small")


def test_the_first_point_is_the_default(database: Path) -> None:
    study = opened(database)
    number, values = study.ask()
    assert number == 0
    assert values == SPACE.default()
    study.close()


def test_every_point_asked_for_keeps_the_rules(database: Path) -> None:
    study = opened(database)
    seen = set()
    for expected in range(25):
        number, values = study.ask()
        assert number == expected
        assert SPACE.contains(values), values
        seen.add(json.dumps(values, sort_keys=True))
        study.tell(ended(number, "done", score_of(values)))
    assert len(seen) > 20
    assert len(study.record().trials) == 25, "a forbidden point must not become a trial"
    study.close()


def test_rules_hold_where_the_sampler_never_finds_the_allowed_corner(database: Path) -> None:
    corner = Space(
        (Parameter("x", Float(0.0, 1.0), 0.5), Parameter("y", Float(0.0, 1.0), 0.5)),
        forbid=(ForbidRule(fits="x < 0.06 and y < 0.06"),),
    )
    study = opened(database, corner, sampler=RandomConfig().model_dump())
    for _ in range(3):
        _, values = study.ask()
        assert values["x"] < 0.06
        assert values["y"] < 0.06
    study.close()


def test_rules_that_leave_nothing_are_an_error(database: Path) -> None:
    nothing = Space((Parameter("x", Float(0.0, 1.0), 0.5),), forbid=(ForbidRule(fits="x > 2"),))
    study = opened(database, nothing)
    with pytest.raises(StudyError, match="forbid rules leave no combination"):
        study.ask()
    assert study.record().trials == ()
    study.close()


@pytest.mark.parametrize("sampler", [TpeConfig(startup_trials=5), RandomConfig()])
def test_a_resumed_sampler_does_not_repeat_its_points(
    database: Path, sampler: TpeConfig | RandomConfig
) -> None:
    points = []
    for _ in range(4):  # four sessions with the same seed
        study = opened(database, sampler=sampler.model_dump())
        for _ in range(3):
            number, values = study.ask()
            points.append(values["optim.lr"])
            study.tell(ended(number, "done", score_of(values)))
        study.close()
    assert len(set(points)) == len(points)


@pytest.mark.parametrize("seed", [2**32 - 1, -1])
def test_no_seed_is_too_large_to_resume_with(database: Path, seed: int) -> None:
    """The resumed sampler's seed grows with the trials; from 4,295 it passed 32 bits."""
    for _ in range(2):
        study = opened(database, seed=seed)
        number, values = study.ask()
        study.tell(ended(number, "done", score_of(values)))
        study.close()


def test_the_same_seed_gives_the_same_study(tmp_path: Path) -> None:
    asked = []
    for name in ("one.db", "two.db"):
        study = opened(tmp_path / name)
        points = []
        for _ in range(12):
            number, values = study.ask()
            points.append(values)
            study.tell(ended(number, "done", score_of(values)))
        asked.append(points)
        study.close()
    assert asked[0] == asked[1]


def test_choices_come_back_as_they_were_given(database: Path) -> None:
    study = opened(database)
    given = [study.ask()[1] for _ in range(16)]
    study.close()
    again = opened(database)
    stored = [values for _, values in again.running()]
    assert stored == given
    kinds = {type(values["loss.flag"]) for values in stored}
    assert kinds == {bool, int, type(None), str}, "True is not 1, and both were drawn"
    assert all(isinstance(values["model.sizes"], list) for values in stored)
    again.close()


def test_values_are_stored_once_a_step_and_nan_never(database: Path) -> None:
    study = opened(database)
    number, _ = study.ask()
    study.report(number, 1, 0.5)
    study.report(number, 1, 0.9)
    study.report(number, 2, math.nan)
    study.report(number, 3, 0.7)
    assert study.curves[number] == {1: 0.5, 3: 0.7}
    study.close()
    again = opened(database)
    assert again.curves[number] == {1: 0.5, 3: 0.7}
    again.close()


@pytest.mark.parametrize(
    ("state", "stored", "violation"),
    [
        ("done", "COMPLETE", 0.0),
        ("pruned", "PRUNED", 0.0),
        ("infeasible", "PRUNED", 1.0),
        ("failed", "FAIL", 0.0),
    ],
)
def test_states_as_optuna_knows_them(
    database: Path,
    state: Any,
    stored: str,
    violation: float,
    optuna_storage: Callable[[str], RDBStorage],
) -> None:
    study = opened(database)
    number, _ = study.ask()
    study.report(number, 1, 0.25)
    study.report(number, 2, 0.75)
    study.tell(ended(number, state, 0.75, "diverged", "NaN at step 3"))
    study.tell(ended(number, "failed"))  # the first word stands
    [trial] = study.record().trials
    assert trial.state == state
    assert trial.score == (0.75 if state == "done" else None)
    assert trial.curve == {1: 0.25, 2: 0.75}
    assert (trial.cause, trial.reason) == ("diverged", "NaN at step 3")
    assert trial.seconds is not None
    study.close()
    [frozen] = optuna.load_study(
        study_name="study", storage=optuna_storage(f"sqlite:///{database}")
    ).trials
    assert frozen.state.name == stored
    assert frozen.constraints == {FAILURE: violation}


def test_an_end_before_the_first_report_needs_no_value(database: Path) -> None:
    study = opened(database)
    for state in ("infeasible", "pruned", "failed"):
        number, _ = study.ask()
        study.tell(ended(number, state))
    assert [t.state for t in study.record().trials] == ["infeasible", "pruned", "failed"]
    study.close()


def test_the_sampler_learns_from_the_infeasible(tmp_path: Path) -> None:
    """FAIL teaches nothing: told so, the sampler comes back to what diverges."""
    space = Space((Parameter("x", Float(0.0, 1.0), 0.25),))
    diverged = {}
    for told in ("infeasible", "failed"):
        study = opened(tmp_path / f"{told}.db", space)
        diverged[told] = 0
        for _ in range(30):
            number, values = study.ask()
            if values["x"] > 0.5:  # beyond the best there is
                study.tell(ended(number, told))
                diverged[told] += 1
            else:
                study.tell(ended(number, "done", values["x"]))
        study.close()
    assert diverged["infeasible"] < diverged["failed"]


def test_a_trial_that_was_running_is_running_after_a_reopening(database: Path) -> None:
    study = opened(database)
    first, _ = study.ask()
    second, values = study.ask()
    study.tell(ended(first, "done", 1.0))
    study.close()
    again = opened(database)
    assert again.running() == [(second, values)]
    assert again.count == 2
    again.report(second, 1, 0.5)
    again.tell(ended(second, "done", 0.5))
    assert [t.state for t in again.record().trials] == ["done", "done"]
    again.close()


def test_an_end_that_a_kill_cut_in_two_is_told_again_in_silence(
    database: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    """Optuna warns of a constraint that is set twice; a warning is an error here."""
    study = opened(database)
    number, _ = study.ask()
    study.close()
    storage = optuna_storage(study.url)
    stored = optuna.load_study(study_name=study.name, storage=storage)
    study_id = storage.get_study_id_from_name(study.name)
    trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, number)
    storage.set_trial_user_attr(trial_id, "reason", "half")
    optuna.trial.Trial(stored, trial_id).set_constraint(FAILURE, 1.0)
    storage.remove_session()
    storage.engine.dispose()
    again = opened(database)
    again.tell(ended(number, "infeasible", reason="whole"))
    [trial] = again.record().trials
    assert (trial.state, trial.reason) == ("infeasible", "whole")
    again.close()


def test_optuna_and_plain_sql_read_it_while_it_runs(
    database: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    study = opened(database)
    for _ in range(3):
        number, values = study.ask()
        study.report(number, 1, 0.5)
        if number < 2:
            study.tell(ended(number, "done", score_of(values)))
    other = optuna.load_study(study_name="study", storage=optuna_storage(f"sqlite:///{database}"))
    assert [t.state.name for t in other.trials] == ["COMPLETE", "COMPLETE", "RUNNING"]
    assert other.trials[0].params["optim.lr"] == 1e-2
    assert other.direction.name == "MAXIMIZE"
    assert other.best_value == max(t.value for t in other.trials[:2])
    assert rows(database, "SELECT COUNT(*) FROM trials") == [(3,)]
    assert rows(database, "SELECT COUNT(*) FROM trial_intermediate_values") == [(3,)]
    study.close()


def test_a_point_that_somebody_enqueued_is_no_trial_of_ours(
    database: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    study = opened(database)
    number, values = study.ask()
    study.tell(ended(number, "done", score_of(values)))
    study.close()
    optuna.load_study(
        study_name="study", storage=optuna_storage(f"sqlite:///{database}")
    ).enqueue_trial({"optim.lr": 0.05})
    again = opened(database)
    assert again.count == 1
    assert again.running() == []
    number, values = again.ask()
    assert again.record().trials[-1].number == number == 2
    assert SPACE.contains(values)
    again.close()


def test_the_settings_are_stored_with_the_study(
    database: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    url = f"sqlite:///{database}"
    assert stored_settings(url, "study") is None
    opened(database).close()
    assert stored_settings(url, "study") == settings()
    assert stored_settings(url, "other") is None
    attributes = optuna.load_study(study_name="study", storage=optuna_storage(url)).user_attrs
    stored = json.loads(attributes["tunewright"])
    assert stored["sampler"]["type"] == "tpe"
    assert stored["pruner"]["type"] == "asha"
    assert stored["space"] == settings().space


def test_a_study_of_another_program_is_left_alone(
    database: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    theirs = optuna_storage(f"sqlite:///{database}")
    optuna.create_study(storage=theirs, study_name="theirs").ask()
    with pytest.raises(StudyError, match="made by another program"):
        stored_settings(f"sqlite:///{database}", "theirs")


def test_a_lease_is_kept_with_the_study(database: Path) -> None:
    url = f"sqlite:///{database}"
    assert stored_lease(url, "study") == {}
    study = opened(database)
    study.set_lease({"pid": 7})
    assert stored_lease(url, "study") == study.lease() == {"pid": 7}
    study.close()


def test_a_record_is_read_without_a_lock_and_names_what_is_there(database: Path) -> None:
    study = opened(database)
    for _ in range(4):
        number, values = study.ask()
        study.tell(ended(number, "done", score_of(values)))
    record, importances = load_record(f"sqlite:///{database}", None)
    assert record == study.record()
    assert set(importances) <= {p.path for p in SPACE.parameters}
    with pytest.raises(StudyError, match=r"study 'studi'.*Did you mean 'study'"):
        load_record(f"sqlite:///{database}", "studi")
    study.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("study.db", "For example sqlite:///study.db"),
        ("sqlite:////proc/no/study.db", "cannot be created"),
        ("nosuchdatabase://user:secret@host/name", "does not answer"),
    ],
)
def test_a_storage_that_cannot_be_reached_is_an_error_of_ours(url: str, message: str) -> None:
    with pytest.raises(StudyError, match=message) as caught:
        open_storage(url)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_an_error_of_ours(database: Path) -> None:
    database.write_text("this is not a database, but a text of some length\n" * 100)
    with pytest.raises(StudyError, match="not a database"):
        open_storage(f"sqlite:///{database}")


def test_a_storage_that_breaks_during_the_study_is_an_error_with_the_remedy(
    database: Path,
) -> None:
    study = opened(database)
    number, _ = study.ask()
    for file in (database, database.with_name("study.db-wal")):
        file.write_bytes(b"\0" * file.stat().st_size)
    with pytest.raises(StudyError, match=r"does not answer.*same command again"):
        study.report(number, 1, 0.5)
    study.close()


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_what_a_kill_right_after_the_creation_left_is_a_new_study(
    tmp_path: Path, direction: str, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    """Optuna has stored the study, and our first attribute is missing."""
    (tmp_path / "one").mkdir()
    url = f"sqlite:///{tmp_path}/one/study.db"
    optuna.create_study(storage=optuna_storage(url), study_name="one", direction=direction)
    found = tunewright.tune(
        *("quadratic", "executor.type=inline", "study.pruner.type=none", "training.epochs=2"),
        trials=2,
        name="one",
        runs_dir=tmp_path,
    )
    assert [trial.state for trial in found.record.trials] == ["done", "done"]
    stored = optuna.load_study(storage=optuna_storage(url), study_name="one")
    assert len(stored.trials) == 2
    assert stored.direction.name == "MAXIMIZE"
