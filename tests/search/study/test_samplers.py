"""Samplers: what each can search, what it is refused, and how it goes on after a stop."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from practice.quadratic.studies import ended, tuned

from tunewright.config import study_schema
from tunewright.errors import ConfigError, SpaceError, StudyError
from tunewright.search.callbacks import StudyCallback
from tunewright.search.storage.database import Settings
from tunewright.search.study import samplers
from tunewright.search.study.samplers import check_sampler
from tunewright.search.study.study import Study
from tunewright.spaces.domain import Categorical, Float, Int
from tunewright.spaces.points import grid, identity
from tunewright.spaces.rules import Condition, ForbidRule
from tunewright.spaces.space import Parameter, Space

FINITE = Space(
    (
        Parameter("kind", Categorical(("a", "b", [1, 2])), "b"),
        Parameter("depth", Int(1, 3), 2, when=(Condition("kind", ("a",)),)),
        Parameter("rate", Float(0.1, 0.4, step=0.1), 0.2),
    ),
    forbid=(ForbidRule((Condition("kind", ("b",)), Condition("rate", bounds={"above": 0.35}))),),
)
NUMBERS = Space(
    (
        Parameter("x", Float(-4.0, 4.0), 3.0),
        Parameter("y", Float(1e-4, 1.0, log=True), 1e-1),
        Parameter("n", Int(1, 9), 8),
    )
)
NO_PRUNING = "study.pruner.type=none"


LIGHT = "mass <= 2"


def opened(
    database: Path,
    space: Space,
    sampler: study_schema.Sampler,
    seed: int = 7,
    constraint: str | None = None,
) -> Study:
    settings = Settings(
        recipe="quadratic",
        goal="val_score",
        metric="val_score",
        direction="max",
        sampler=sampler.model_dump(),
        pruner=study_schema.NoPrunerConfig().model_dump(),
        space={},
        configuration={},
        seed=seed,
        constraints=(constraint,) if constraint else (),
    )
    return Study(f"sqlite:///{database}", "study", settings, space)


def asked(study: Study, count: int) -> list[dict[str, Any]]:
    points = []
    for _ in range(count):
        number, values = study.ask()
        study.tell(ended(number, "done", -abs(values.get("x", 0.0)) - abs(values.get("n", 1) - 3)))
        points.append(values)
    return points


def in_sessions(
    database: Path, space: Space, sampler: study_schema.Sampler, sessions: list[int]
) -> list[dict[str, Any]]:
    points = []
    for count in sessions:
        study = opened(database, space, sampler)
        points += asked(study, count)
        study.close()
    return points


# --- sequences: grid, quasi-random ------------------------------------------------------------


def test_a_grid_tries_every_point_once_across_sessions(tmp_path: Path) -> None:
    everything = list(grid(FINITE))
    assert len(everything) == 19
    points = in_sessions(tmp_path / "study.db", FINITE, study_schema.GridConfig(), [5, 0, 7, 7])
    assert points[0] == FINITE.default()
    assert points[1:] == [values for values in everything if values != points[0]]
    study = opened(tmp_path / "study.db", FINITE, study_schema.GridConfig())
    assert study.reachable(40) == study.count == 19
    with pytest.raises(StudyError, match="every point of the space has been tried"):
        study.ask()
    study.close()


def test_a_grid_leaves_out_what_another_sampler_tried(tmp_path: Path) -> None:
    before = in_sessions(tmp_path / "study.db", FINITE, study_schema.RandomConfig(), [6])
    tried = {identity(FINITE, values) for values in before}
    study = opened(tmp_path / "study.db", FINITE, study_schema.GridConfig())
    total = study.reachable(100)
    assert total == 6 + 19 - len(tried)
    points = asked(study, total - 6)
    assert tried.isdisjoint(identity(FINITE, values) for values in points)
    study.close()


@pytest.mark.parametrize("sampler", [study_schema.GridConfig(), study_schema.QuasiRandomConfig()])
def test_a_sequence_cut_into_sessions_is_the_same_sequence(
    tmp_path: Path, sampler: study_schema.Sampler
) -> None:
    whole = in_sessions(tmp_path / "one.db", FINITE, sampler, [12])
    assert in_sessions(tmp_path / "two.db", FINITE, sampler, [1, 4, 7]) == whole


def test_a_point_whose_trial_was_running_is_not_tried_again(tmp_path: Path) -> None:
    study = opened(tmp_path / "study.db", FINITE, study_schema.GridConfig())
    points = [study.ask()[1] for _ in range(3)]
    study.close()
    study = opened(tmp_path / "study.db", FINITE, study_schema.GridConfig())
    assert study.ask()[1] not in points
    study.close()


def test_quasi_random_points_differ_with_the_seed_and_cover_conditional_branches(
    tmp_path: Path,
) -> None:
    study = opened(tmp_path / "study.db", FINITE, study_schema.QuasiRandomConfig(), seed=1)
    points = asked(study, 10)
    study.close()
    other = opened(tmp_path / "other.db", FINITE, study_schema.QuasiRandomConfig(), seed=2)
    assert asked(other, 10) != points
    other.close()
    assert {"depth" in values for values in points} == {True, False}


# --- samplers that learn ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sampler", "sessions"),
    [(study_schema.GpConfig(startup_trials=6), [6, 1, 1]), (study_schema.CmaEsConfig(), [6, 6, 8])],
)
def test_what_learns_goes_on_in_another_session(
    tmp_path: Path, sampler: study_schema.Sampler, sessions: list[int]
) -> None:
    if sampler.type == "cma_es":
        pytest.importorskip("cmaes")
    points = in_sessions(tmp_path / "study.db", NUMBERS, sampler, sessions)
    assert all(NUMBERS.contains(values) for values in points)
    assert len({identity(NUMBERS, values) for values in points}) == len(points)
    best = max(-abs(values["x"]) - abs(values["n"] - 3) for values in points)
    assert best > -5, "the first point has -8"


def test_cma_es_goes_on_where_a_parameter_has_one_value_only(tmp_path: Path) -> None:
    pytest.importorskip("cmaes")
    fixed = (
        Parameter("k", Float(1.0, 1.0)),
        Parameter("block", Int(1024, 1024, step=128)),
        Parameter("decay", Float(0.1, 0.1, log=True)),
    )
    space = Space((*NUMBERS.parameters, *fixed))
    sampler = study_schema.CmaEsConfig()
    points = in_sessions(tmp_path / "study.db", space, sampler, [samplers.WARM_START, 3])
    assert all(space.contains(values) for values in points)


@pytest.mark.parametrize("sessions", [[60], [30, 30]])
def test_cma_es_moves_to_where_the_constraint_holds(tmp_path: Path, sessions: list[int]) -> None:
    pytest.importorskip("cmaes")
    space = Space((Parameter("x", Float(0.0, 1.0)), Parameter("y", Float(0.0, 1.0))))
    within: list[bool] = []
    for count in sessions:
        study = opened(tmp_path / "study.db", space, study_schema.CmaEsConfig(), constraint=LIGHT)
        for _ in range(count):
            number, values = study.ask()
            excess = 10 * values["x"] - 2.0
            end = ("done", "") if excess <= 0 else ("infeasible", "constraint")
            told = ended(number, end[0], values["x"], end[1], constraints={LIGHT: excess})
            study.tell(told)
            within.append(excess <= 0)
        best = study.record().best
        study.close()
    assert sum(within[-20:]) >= 8, "of random draws a fifth would be within it"
    assert best is not None
    assert 0.15 < best.score <= 0.2


def test_no_pickle_of_a_stranger_is_loaded(tmp_path: Path) -> None:
    pytest.importorskip("cmaes")
    database = tmp_path / "study.db"
    in_sessions(database, NUMBERS, study_schema.CmaEsConfig(), [4])
    storage = optuna.storages.RDBStorage(f"sqlite:///{database}")
    theirs = optuna.load_study(study_name="study", storage=storage)
    assert not any(key.startswith("cma") for t in theirs.trials for key in t.system_attrs)
    storage.remove_session()
    storage.engine.dispose()
    study = opened(database, NUMBERS, study_schema.CmaEsConfig())
    frozen = study._study.trials[2]
    frozen._system_attrs["cma:optimizer:0"] = "not a pickle"
    study._mirror(frozen)
    asked(study, 3)
    study.close()


def test_gp_lives_with_infeasible_and_pruned_trials(tmp_path: Path) -> None:
    study = opened(tmp_path / "study.db", NUMBERS, study_schema.GpConfig(startup_trials=2))
    for state in ("infeasible", "done", "pruned", "done", "failed", "done"):
        number, values = study.ask()
        study.report(number, 1, values["x"])
        study.tell(ended(number, state, values["x"]))  # type: ignore[arg-type]
    assert NUMBERS.contains(study.ask()[1])
    study.close()


# --- what is refused, and what is said --------------------------------------------------------


def checked(sampler: study_schema.Sampler, space: Space, trials: int = 40) -> list[str]:
    return check_sampler(study_schema.StudyConfig(sampler=sampler, trials=trials), space)


@pytest.mark.parametrize(
    ("sampler", "space", "message"),
    [
        (study_schema.GridConfig(), NUMBERS, r"x is any number in -4 .. 4"),
        (
            study_schema.CmaEsConfig(),
            FINITE,
            r"cannot choose among the values of kind.*sampler.type=tpe",
        ),
        (
            study_schema.CmaEsConfig(),
            Space(
                (
                    *NUMBERS.parameters,
                    Parameter("z", Float(0.0, 1.0), when=(Condition("n", (3,)),)),
                )
            ),
            "does not support z, which only some trials have",
        ),
        (study_schema.CmaEsConfig(), Space(NUMBERS.parameters[:1]), "only 1 parameter to adapt"),
    ],
)
def test_where_a_sampler_cannot_work_it_is_refused_by_name(
    sampler: study_schema.Sampler, space: Space, message: str
) -> None:
    with pytest.raises((ConfigError, SpaceError), match=message):
        checked(sampler, space)


def test_cma_es_without_its_package_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(samplers, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'tunewright\[cmaes\]'"):
        checked(study_schema.CmaEsConfig(), NUMBERS)


@pytest.mark.parametrize(
    "sampler",
    [study_schema.TpeConfig(), study_schema.RandomConfig(), study_schema.QuasiRandomConfig()],
)
def test_what_works_on_every_space_needs_no_notice(sampler: study_schema.Sampler) -> None:
    assert checked(sampler, FINITE) == checked(sampler, NUMBERS) == []


def test_a_grid_counts_its_points_before_it_starts() -> None:
    assert checked(study_schema.GridConfig(), FINITE) == ["the grid has 19 points"]
    assert checked(study_schema.GridConfig(), FINITE, trials=8) == [
        "the grid has 19 points, and study.trials=8 tries the first of them"
    ]
    wide = Space(tuple(Parameter(f"p{n}", Int(1, 100)) for n in range(9)))
    assert checked(study_schema.GridConfig(), wide)[0].startswith(
        "the grid has more than 10000 points, and"
    )


def test_gp_says_what_it_does_not_model() -> None:
    [first, second] = checked(study_schema.GpConfig(), FINITE)
    assert "trials that run to their end" in first
    assert "draws depth at random" in second
    assert len(checked(study_schema.GpConfig(), NUMBERS)) == 1


# --- whole studies ----------------------------------------------------------------------------

GRID = {
    "inherit": False,
    "parameters": {
        "point.x": {"type": "float", "low": -1.0, "high": 1.0, "step": 1.0},
        "point.side": {"choices": ["left", "right"]},
    },
}


class Recorder(StudyCallback):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


def test_a_grid_ends_when_it_is_spent_and_is_shown_what_it_was(
    tmp_path: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    watch = Recorder()
    options = ("study.sampler.type=grid", NO_PRUNING)
    tuned(tmp_path, "study.trials=4", *options, space=GRID)
    found = tuned(tmp_path, "study.trials=40", *options, space=GRID, watch=watch)
    assert found.ending == "finished"
    points = [tuple(trial.parameters.values()) for trial in found.record.trials]
    assert len(points) == len(set(points)) == 6
    assert "the grid has 6 points" in watch.notices
    assert any(
        "no more than 6 points for trials of this study, and study.trials is 40" in n
        for n in watch.notices
    )
    url = f"sqlite:///{tmp_path}/study/study.db"
    stored = optuna.load_study(study_name="study", storage=optuna_storage(url)).user_attrs[
        "tunewright"
    ]
    assert json.loads(stored)["sampler"] == {"type": "grid"}


def test_a_grid_over_a_continuous_space_is_refused_before_the_first_trial(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"point\.x is any number"):
        tuned(tmp_path, "study.sampler.type=grid")
    assert not (tmp_path / "study/study.db").exists()


@pytest.mark.parametrize(
    ("pruner", "reason"),
    [
        (("type=median", "startup_trials=2"), "not in the best half of the finished trials"),
        (("type=percentile", "startup_trials=2"), "not in the best 25 %"),
        (("type=hyperband",), "of bracket"),
        (("type=patient", "patience=0", "wrapped.type=median"), ""),
    ],
)
def test_other_pruners_prune_within_a_study(
    tmp_path: Path, pruner: tuple[str, ...], reason: str
) -> None:
    overrides = [f"study.pruner.{field}" for field in pruner]
    found = tuned(tmp_path, "study.trials=14", "study.sampler.type=random", *overrides)
    pruned = found.record.of_state("pruned")
    assert all(reason in trial.reason for trial in pruned)
    assert all(max(trial.curve) < 8 for trial in pruned), "never at the last step"
    if "patient" not in pruner[0]:
        assert pruned
    assert found.record.of_state("done")
