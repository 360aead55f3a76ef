"""A study whose space changes goes on: what is kept, what is not, and that nothing is lost."""

import json
import random
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from practice.quadratic.studies import rows, tuned

import tunewright
from tunewright.config.compose import compose
from tunewright.errors import StudyError
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import Trial
from tunewright.search import explore, prepare
from tunewright.search.callbacks import StudyCallback
from tunewright.search.loop.study_loop import StudyLoop
from tunewright.search.stages import TuneResult
from tunewright.search.study.optuna_types import DROPPED
from tunewright.search.study.study import Study, load_record
from tunewright.search.transfer import change_space, publish
from tunewright.search.transfer.change_space import rebase as rebased
from tunewright.search.transfer.stored_trials import stored_study
from tunewright.search.transfer.trial_matching import coerce_foreign
from tunewright.spaces.domain import Categorical, Domain, Float, Int
from tunewright.spaces.rules import Condition, ForbidRule
from tunewright.spaces.sample import draw
from tunewright.spaces.space import Parameter, Space
from tunewright.spaces.specification import specification

NO_PRUNING = "study.pruner.type=none"
X = {"type": "float", "low": -5.0, "high": 5.0}
Y = {"type": "float", "low": -5.0, "high": 5.0}
SIDE = {"choices": ["left", "right"]}


class Heard(StudyCallback):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


def space(**rest: Any) -> dict[str, Any]:
    """A space file of its own: parameters by their last name, and rules."""
    rules = {key: rest.pop(key) for key in ("forbid", "derived") if key in rest}
    return {
        "inherit": False,
        "parameters": {f"point.{name}": fields for name, fields in rest.items()},
        **rules,
    }


def searched(
    runs: Path, wanted: Mapping[str, Any], *overrides: str, trials: int = 8
) -> tuple[TuneResult, list[str]]:
    heard, count = Heard(), f"study.trials={trials}"
    found = tuned(
        runs, count, NO_PRUNING, "training.epochs=2", *overrides, space=wanted, watch=heard
    )
    return found, heard.notices


def params(found: TuneResult) -> dict[int, dict[str, Any]]:
    return {trial.number: dict(trial.parameters) for trial in found.record.trials}


def assert_folders_agree(found: TuneResult) -> None:
    """Each trial's folder holds the configuration that its stored parameters say."""
    for trial in found.record.trials:
        point = found.folder.trial(trial.number).read_config()["point"]
        for path, value in trial.parameters.items():
            assert point[path.removeprefix("point.")] == value


def test_trials_that_fit_are_kept_under_their_numbers_and_the_rest_leave_theirs_empty(
    tmp_path: Path,
) -> None:
    before, _ = searched(tmp_path, space(x=X, side=SIDE), trials=12)
    narrow = space(x={"type": "float", "low": -1.0, "high": 3.0}, side=SIDE)
    after, notices = searched(tmp_path, narrow, trials=12)
    old, new = params(before), params(after)
    fitting = {n: values for n, values in old.items() if -1.0 <= values["point.x"] <= 3.0}
    assert 0 < len(fitting) < 12, "the example says something"
    assert {n: v for n, v in new.items() if n < 12} == fitting
    assert len(after.record.trials) == 12, "dropped trials do not count: the total is reached"
    assert set(new) - set(fitting) == set(range(12, 24 - len(fitting))), "no number is used twice"
    assert_folders_agree(after)
    scores = {t.number: (t.state, t.score, t.curve, t.seconds) for t in before.record.trials}
    for trial in after.record.trials:
        if trial.number in fitting:
            assert scores[trial.number] == (trial.state, trial.score, trial.curve, trial.seconds)
    told = "\n".join(notices)
    dropped = 12 - len(fitting)
    assert f"{len(fitting)} of 12 trials fit and are kept, {dropped} do not" in told
    assert f"not kept, {dropped}: point.x outside -1 .. 3" in told
    assert str(tmp_path / "study/study-1.db") in told
    kept, _ = load_record(f"sqlite:///{tmp_path}/study/study-1.db", None)
    assert kept == before.record
    assert "high: 5.0" in (tmp_path / "study/space-1.yaml").read_text()
    assert "high: 3.0" in (tmp_path / "study/space.yaml").read_text()


def test_optuna_opens_the_new_study_and_its_joint_space_is_whole(
    tmp_path: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    searched(tmp_path, space(x=X, side=SIDE))
    changed = space(
        x={"type": "float", "low": -4.0, "high": 4.5}, side={"choices": ["right", "left"]}
    )
    found, _ = searched(tmp_path, changed, trials=9)
    study = optuna.load_study(
        study_name="study", storage=optuna_storage(f"sqlite:///{found.folder.database}")
    )
    assert [trial.number for trial in study.trials] == list(range(len(study.trials)))
    kinds = {
        path: {repr(trial.distributions[path]) for trial in study.trials if trial.params}
        for path in ("point.x", "point.side")
    }
    assert all(len(distributions) == 1 for distributions in kinds.values()), kinds
    empty = [trial for trial in study.trials if DROPPED in trial.user_attrs]
    assert all(trial.state == TrialState.FAIL and not trial.params for trial in empty)
    drawn = [trial for trial in study.trials if "rebased_from" in trial.user_attrs]
    assert all(trial.user_attrs["rebased_from"] == trial.number for trial in drawn)
    assert len(drawn) + len(empty) == 8


@pytest.mark.parametrize(
    "changed",
    [
        space(x=X, side={"choices": ["right", "left"]}),
        space(x=X, side={"choices": ["right"]}),
        space(x={"choices": [-4.0, -3.0, 0.0, 1.0]}, side=SIDE),
        space(x={"type": "float", "low": 0.5, "high": 5.0, "log": True}, side=SIDE),
        space(x={"type": "float", "low": -5.0, "high": 5.0, "step": 0.5}, side=SIDE),
        space(y=Y, side={"choices": ["right"]}),
        space(y=Y),
        space(x=X, side=SIDE, y=Y, forbid=[{"point.side": "left"}]),
        space(x={**X, "when": {"point.side": "left"}}, side=SIDE),
        space(x=X, derived={"point.y": "point.x / 2"}),
    ],
)
def test_every_kind_of_change_goes_on(tmp_path: Path, changed: dict[str, Any]) -> None:
    searched(tmp_path, space(x=X, side=SIDE), trials=6)
    found, notices = searched(tmp_path, changed, trials=7)
    assert any("the space has changed" in notice for notice in notices)
    assert {trial.state for trial in found.record.trials} == {"done"}
    assert len(found.record.trials) == 7
    assert_folders_agree(found)
    again, notices = searched(tmp_path, changed, trials=8)
    assert not any("the space has changed" in notice for notice in notices)
    assert len(again.record.trials) == 8


def test_a_new_parameter_gets_the_value_that_the_old_runs_used(tmp_path: Path) -> None:
    searched(tmp_path, space(x=X), trials=4)
    found, _ = searched(tmp_path, space(x=X, y=Y), trials=4)
    assert [trial.parameters["point.y"] for trial in found.record.trials] == [4.0] * 4
    outside = space(x=X, y={"type": "float", "low": -5.0, "high": 3.0})
    found, notices = searched(tmp_path, outside, trials=4)
    assert min(params(found)) == 4
    assert "  not kept, 4: point.y outside -5 .. 3" in notices


def test_a_parameter_that_is_gone_must_have_had_the_value_that_stands_now(tmp_path: Path) -> None:
    before, _ = searched(tmp_path, space(x=X, side=SIDE), trials=8)
    right = [n for n, values in params(before).items() if values["point.side"] == "right"]
    found, notices = searched(tmp_path, space(x=X), trials=8)
    assert [n for n in params(found) if n < 8] == right
    assert f"  not kept, {8 - len(right)}: point.side was left and is right here" in notices


def test_a_value_set_by_hand_in_place_of_a_searched_one_is_no_refusal(tmp_path: Path) -> None:
    searched(tmp_path, space(x=X, side=SIDE), trials=6)
    found, _ = searched(tmp_path, space(x=X), "point.side=left", trials=6)
    folder = found.folder
    assert all(
        folder.trial(t.number).read_config()["point"]["side"] == "left" for t in found.record.trials
    )
    assert any(number < 6 for number in params(found))


def test_a_space_that_comes_back_brings_its_trials_back(tmp_path: Path) -> None:
    wide, narrow = space(x=X), space(x={"type": "float", "low": 0.0, "high": 0.5})
    before, _ = searched(tmp_path, wide, trials=5)
    between, _ = searched(tmp_path, narrow, trials=5)
    assert min(params(between)) >= 1, "hardly anything fitted"
    after, notices = searched(tmp_path, wide, trials=5)
    told = "\n".join(notices)
    assert "0 do not" in told
    assert params(after) == params(before) | params(between)
    trials = {trial.number: trial for trial in after.record.trials}
    assert all(trials[trial.number] == trial for trial in before.record.trials)
    assert {file.name for file in (tmp_path / "study").glob("study*.db")} == {
        "study.db",
        "study-1.db",
        "study-2.db",
    }


def test_the_pruner_and_the_summary_do_not_see_what_was_dropped(tmp_path: Path) -> None:
    searched(tmp_path, space(x=X), trials=6)
    found, _ = searched(tmp_path, space(x={"type": "float", "low": 0.9, "high": 1.1}), trials=3)
    kept = params(found)
    stored = stored_study(f"sqlite:///{found.folder.database}", "study")
    assert stored.settings is not None
    study = Study(
        f"sqlite:///{found.folder.database}",
        "study",
        stored.settings,
        Space((Parameter("point.x", Float(0.9, 1.1)),)),
    )
    assert set(study.curves) == set(kept)
    assert study.count == 3
    assert study.running() == []
    study.close()


def test_a_lost_database_of_a_rebased_study_is_made_again(tmp_path: Path) -> None:
    searched(tmp_path, space(x=X), trials=5)
    narrow = {"type": "float", "low": -4.5, "high": 2.0}
    found, _ = searched(tmp_path, space(x=narrow, y=Y), trials=5)
    repaired = tunewright.repair("study", runs_dir=tmp_path)
    assert (repaired.added, repaired.filled, repaired.differing) == ((), (), ())
    found.folder.database.unlink()
    tunewright.repair("study", runs_dir=tmp_path)
    record, _ = load_record(f"sqlite:///{found.folder.database}", "study")
    again = {trial.number: (trial.parameters, trial.score) for trial in record.trials}
    assert again == {t.number: (t.parameters, t.score) for t in found.record.trials}


def test_another_configuration_is_refused_also_with_another_space(tmp_path: Path) -> None:
    searched(tmp_path, space(x=X), trials=2)
    with pytest.raises(StudyError, match=r"another configuration: training\.epochs was 2"):
        searched(tmp_path, space(y=Y), "training.epochs=5")
    with pytest.raises(StudyError, match="has the goal"):
        searched(tmp_path, space(y=Y), "goal=val_loss")
    assert not (tmp_path / "study/study-1.db").exists()


def test_a_trial_without_its_folder_is_judged_by_what_the_study_stored(tmp_path: Path) -> None:
    searched(tmp_path, space(x=X), trials=3)
    first, *others = (tmp_path / "study/trials").glob("*/config.yaml")
    first.write_text("{ torn")
    for file in others:
        file.unlink()
    found, _ = searched(tmp_path, space(x=X, y=Y), trials=3)
    assert [trial.parameters["point.y"] for trial in found.record.trials] == [4.0] * 3
    found, notices = searched(tmp_path, space(x=X), "point.y=1.0", trials=3)
    assert min(params(found)) == 3
    assert "  not kept, 3: point.y was 4.0 and is 1.0 here" in notices


def test_a_trial_that_lacked_memory_is_judged_by_what_was_asked_of_it(tmp_path: Path) -> None:
    found, _ = searched(tmp_path, space(x=X), trials=2)
    folder = found.folder.trial(1)
    tree = folder.read_config()
    tree["training"]["accumulate"] = 4
    folder.write_config(tree)
    lacks = {"asked": 1, "lacks": [], "rung": None}
    (folder.path / "memory.json").write_text(json.dumps(lacks))
    after, _ = searched(tmp_path, space(x=X, y=Y), trials=2)
    assert [trial.number for trial in after.record.trials] == [0, 1]


def test_of_trials_that_become_one_point_the_one_that_says_most_stays(tmp_path: Path) -> None:
    searched(tmp_path, space(x={"choices": [1.0, 2.0]}, side=SIDE), trials=4)
    database = tmp_path / "study/study.db"
    stored = stored_study(f"sqlite:///{database}", "study")
    # Two trials that ran the same: as if the sides had made no difference.
    for number in range(4):
        folder = StudyFolder(tmp_path / "study").trial(number)
        text = folder.config.read_text()
        folder.config.write_text(text.replace("side: left", "side: right"))
    wanted = space(x={"choices": [1.0, 2.0]})
    found, notices = searched(tmp_path, wanted, trials=2)
    assert len(stored.trials) == 4
    assert sorted(v["point.x"] for v in params(found).values()) == [1.0, 2.0]
    assert "  not kept, 2: the same point again" in notices


# --- trials that were running -----------------------------------------------------------------


def interrupted(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study whose third trial stopped after a few epochs, as on a kill."""

    def asked(self: Any, executor: Any, stop: Any) -> Any:
        number, values = self.study.ask()
        folder = self.search.folder.trial(number)
        folder.write_config(self.search.configure(values))
        folder.begin_attempt()
        raise KeyboardInterrupt

    searched(runs, space(x=X), trials=2)
    with monkeypatch.context() as patch:
        patch.setattr(StudyLoop, "run", asked)
        with pytest.raises(Exception, match="stopped"):
            searched(runs, space(x=X), trials=3)
    assert rows(runs / "study/study.db", "SELECT state FROM trials WHERE number = 2") == [
        ("RUNNING",)
    ]


def test_a_trial_that_was_running_is_taken_up_when_it_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tmp_path, monkeypatch)
    found, _ = searched(tmp_path, space(x=X, y=Y), trials=3)
    assert [trial.number for trial in found.record.trials] == [0, 1, 2]
    assert [trial.state for trial in found.record.trials] == ["done"] * 3
    assert found.folder.trial(2).attempt == 2


def test_a_running_trial_that_does_not_fit_leaves_no_zombie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tmp_path, monkeypatch)
    elsewhere = {"type": "float", "low": 4.99, "high": 5.0}
    found, _ = searched(tmp_path, space(x=elsewhere), trials=2)
    assert sorted(params(found)) == [3, 4]
    states = rows(found.folder.database, "SELECT number, state FROM trials ORDER BY number")
    assert [state for _, state in states] == ["FAIL"] * 3 + ["COMPLETE"] * 2
    back, _ = searched(tmp_path, space(x=X), trials=5)
    assert back.folder.trial(2).attempt == 2, "it comes back with its space"
    assert sorted(params(back)) == [0, 1, 2, 3, 4]


# --- where the old study is kept, and kills ---------------------------------------------------


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.mark.parametrize(
    "step",
    [
        "set_study_attr",
        "publish",
        *(
            pytest.param(step, marks=pytest.mark.slow)
            for step in ("match_trials", "write_yaml", "keep_copy", "after publish", "study files")
        ),
    ],
)
def test_a_kill_at_any_step_leaves_one_whole_study_and_the_same_command_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before, _ = searched(tmp_path, space(x=X), trials=6)
    narrow = space(x={"type": "float", "low": -4.5, "high": 2.0})
    module, name = (
        (explore, "_write_study_files") if step == "study files" else (change_space, step)
    )
    name = "publish" if step == "after publish" else name
    original = getattr(module, name)

    def killed(*arguments: Any, **options: Any) -> Any:
        if step == "after publish":
            original(*arguments, **options)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, name, killed)
        with pytest.raises(Killed):
            searched(tmp_path, narrow, trials=7)
    record, _ = load_record(f"sqlite:///{tmp_path}/study/study.db", None)
    if step in ("after publish", "study files"):
        assert 0 < len(record.trials) < 6
        assert all(trial in before.record.trials for trial in record.trials)
    else:
        assert record == before.record
    after, _ = searched(tmp_path, narrow, trials=7)
    assert len(after.record.trials) == 7
    assert_folders_agree(after)
    kept = sorted(file.name for file in (tmp_path / "study").glob("s*-*"))
    assert kept == ["space-1.yaml", "study-1.db"], "kept once"
    old, _ = load_record(f"sqlite:///{tmp_path}/study/study-1.db", None)
    assert old == before.record


def test_a_kill_in_the_middle_of_the_transaction_leaves_the_old_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, _ = searched(tmp_path, space(x=X), trials=4)
    original = publish.copy_tables

    def torn(source: Any, target: Any) -> None:
        original(source, target)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(publish, "copy_tables", torn)
        with pytest.raises(Killed):
            searched(tmp_path, space(x=X, y=Y), trials=4)
    record, _ = load_record(f"sqlite:///{tmp_path}/study/study.db", None)
    assert record == before.record


def test_in_a_database_of_several_studies_the_old_one_stays_under_a_free_name(
    tmp_path: Path,
) -> None:
    storage = f"study.storage='sqlite:///{tmp_path}/shared.db'"
    for name in ("study", "study-1"):
        searched(tmp_path, space(x=X), storage, f"study.name={name}", trials=3)
    neighbour, _ = load_record(f"sqlite:///{tmp_path}/shared.db", "study-1")
    before, _ = load_record(f"sqlite:///{tmp_path}/shared.db", "study")
    found, notices = searched(tmp_path, space(x=X, y=Y), storage, trials=4)
    assert len(found.record.trials) == 4
    assert load_record(f"sqlite:///{tmp_path}/shared.db", "study-1")[0] == neighbour
    kept, _ = load_record(f"sqlite:///{tmp_path}/shared.db", "study-2")
    assert kept.trials == before.trials
    assert any("the study 'study-2' of the same database" in notice for notice in notices)
    assert not list(tmp_path.glob("shared-*"))


def test_somebody_faster_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched(tmp_path, space(x=X), trials=2)
    original = change_space.publish

    def late(*arguments: Any, **options: Any) -> None:
        with closing(sqlite3.connect(tmp_path / "study/study.db")) as connection, connection:
            connection.execute("UPDATE studies SET study_name = 'gone'")
        original(*arguments, **options)

    monkeypatch.setattr(change_space, "publish", late)
    with pytest.raises(StudyError, match="changed by another process"):
        searched(tmp_path, space(x=X, y=Y), trials=2)


# --- any space into any other -----------------------------------------------------------------

NAMES = ("point.x", "point.y", "point.side")


@st.composite
def domains(draw_: Any, name: str) -> Domain:
    if name == "point.side":
        return Categorical(
            draw_(st.sampled_from([("left", "right"), ("right", "left"), ("left",)]))
        )
    low = draw_(st.sampled_from([-5.0, -2.0, 0.5]))
    high = draw_(st.sampled_from([1.0, 2.5, 5.0]))
    match draw_(st.integers(0, 3)):
        case 0:
            return Categorical(tuple(draw_(st.permutations([low, high, 0.75]))))
        case 1:
            return Float(low, high, log=low > 0)
        case 2:
            return Float(low, high, step=0.25)
    return Float(low, high)


@st.composite
def spaces(draw_: Any) -> Space:
    names = draw_(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    parameters: list[Parameter] = []
    for name in names:
        when: tuple[Condition, ...] = ()
        if parameters and draw_(st.booleans()):
            other = draw_(st.sampled_from(parameters))
            ends = other.domain.ends
            when = (Condition(other.path, among=(ends[0],)),)
        parameters.append(Parameter(name, draw_(domains(name)), None, when))
    forbid: tuple[ForbidRule, ...] = ()
    if draw_(st.booleans()):
        path = draw_(st.sampled_from(names))
        bad = {"point.side": Condition("point.side", among=("left",))}
        forbid = (ForbidRule((bad.get(path, Condition(path, bounds={"above": 0.9})),)),)
    derived = {"point.y": "point.x / 2"} if names == ["point.x"] and draw_(st.booleans()) else {}
    fixed = {"point.x": -4.0, "point.y": 4.0, "point.side": "right"}
    return Space(tuple(parameters), forbid, derived, fixed)


def prepared_with(folder: Path, wanted: Space, known: Any = None) -> prepare.PreparedStudy:
    recipe = find_recipe("quadratic")
    if not PREPARED:
        composed = compose(recipe, ["study.name=study", "executor.type=inline"])
        PREPARED.append(prepare.prepare(recipe, composed, given=None, runs=folder / "none"))
    one = PREPARED[0]
    settings_ = replace(one.settings, space=specification(wanted))
    place = StudyFolder(folder)
    return replace(
        one,
        url=f"sqlite:///{place.database}",
        folder=place,
        space=wanted,
        settings=settings_,
        known=known,
        changed=("the space",),
    )


PREPARED: list[prepare.PreparedStudy] = []


@pytest.mark.slow
@settings(max_examples=20)
@given(data=st.data())
def test_any_space_into_any_other(data: st.DataObject, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("any")
    recipe = find_recipe("quadratic")
    old, new = data.draw(spaces()), data.draw(spaces())
    rng = random.Random(data.draw(st.integers(0, 99)))
    one = prepared_with(folder, old)
    if draw(old, rng) is None or draw(new, rng) is None:
        return
    study = Study(one.url, "study", one.settings, old)
    began: dict[int, dict[str, Any]] = {}
    for _ in range(data.draw(st.integers(0, 6))):
        try:
            number, values = study.ask()
        except StudyError:
            break  # every point of a small space has been tried
        began[number] = values
        one.folder.trial(number).write_config(prepare.run_tree(recipe, one, values))
        state = data.draw(st.sampled_from(["done", "pruned", "infeasible", "failed", "running"]))
        study.report(number, 1, 0.5)
        if state != "running":
            _tell(study, number, state)
    before = {trial.number: trial for trial in study.record().trials}
    study.close()
    two = prepared_with(folder, new, known=one.settings)
    rebased(recipe, two, StudyCallback())
    study = Study(two.url, "study", two.settings, new)
    try:
        after = {trial.number: trial for trial in study.record().trials}
        assert after.keys() <= before.keys()
        for number, trial in after.items():
            assert new.contains(trial.parameters), (trial.parameters, new)
            assert (trial.state, trial.score, trial.curve) == (
                before[number].state,
                before[number].score,
                before[number].curve,
            )
            ran = one.folder.trial(number).read_config()
            assert prepare.run_tree(recipe, two, trial.parameters) == ran
        fits = {
            number
            for number, values in began.items()
            if _point_of(one, recipe, values) in _reachable(two, recipe, one, values)
        }
        assert {n for n in fits if n not in after} <= _repeats(one, two, recipe, began, after)
        number, values = study.ask()
        assert number == len(began), "no number is used again"
        assert new.contains(values)
    except StudyError as error:
        assert "every point" in str(error)  # noqa: PT017
    finally:
        study.close()


def _tell(study: Study, number: int, state: str) -> None:
    score = 0.5 if state == "done" else None
    study.tell(Trial(number, state, {}, score, {}))  # type: ignore[arg-type]


def _point_of(prepared: prepare.PreparedStudy, recipe: Any, values: Mapping[str, Any]) -> str:
    return str(prepare.run_tree(recipe, prepared, values)["point"])


def _reachable(
    new: prepare.PreparedStudy, recipe: Any, old: prepare.PreparedStudy, values: Mapping[str, Any]
) -> list[str]:
    """The one point that a run can be in the new space, by brute force over its values."""
    point = prepare.run_tree(recipe, old, values)["point"]
    drawn = new.space.draw(lambda p: point[p.path.removeprefix("point.")])
    return [_point_of(new, recipe, drawn)] if new.space.contains(drawn) else []


def _repeats(
    old: prepare.PreparedStudy,
    new: prepare.PreparedStudy,
    recipe: Any,
    began: Mapping[int, Mapping[str, Any]],
    after: Mapping[int, Trial],
) -> set[int]:
    """Trials that ran what a kept one ran."""
    kept = {_point_of(new, recipe, trial.parameters) for trial in after.values()}
    return {n for n, values in began.items() if _point_of(old, recipe, values) in kept}


def test_whole_numbers_and_floats_that_mean_the_same_are_the_same() -> None:
    assert coerce_foreign(Int(1, 8), 3.0) == 3
    assert isinstance(coerce_foreign(Int(1, 8), 3.0), int)
    assert isinstance(coerce_foreign(Float(1.0, 8.0), 3), float)
    assert coerce_foreign(Int(1, 8), 3.5) == 3.5
    assert coerce_foreign(Categorical((True, 1)), True) is True
