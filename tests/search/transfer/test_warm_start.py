"""A new study that starts from another one, from a CSV file, or from any Optuna storage."""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial
from practice.functions import parabola
from practice.quadratic.studies import rows

import tunewright
from tunewright.cli import main
from tunewright.errors import DataError, StudyError, TunewrightError
from tunewright.request import parse_request
from tunewright.runs.atomic import read_yaml
from tunewright.search import stages
from tunewright.search.callbacks import StudyCallback
from tunewright.search.prepare import prepare
from tunewright.search.stages import TuneResult
from tunewright.search.storage.urls import without_password
from tunewright.search.transfer.sources import any_storage, place_name
from tunewright.search.transfer.trial_matching import Mismatch, match_trials

FAST = ("quadratic", "executor.type=inline", "study.pruner.type=none", "training.epochs=2")
SPACE = """
inherit: false
parameters:
  point.x: { type: float, low: -5.0, high: 5.0 }
  point.side: { type: categorical, choices: [left, right] }
"""


class Heard(StudyCallback):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a space of two parameters."""
    monkeypatch.chdir(tmp_path)
    Path("space.yaml").write_text(SPACE)
    return tmp_path


def tuned(
    name: str, *overrides: str, space: str | None = "space.yaml", **options: Any
) -> tuple[TuneResult, str]:
    heard = Heard()
    options = {"trials": 2, **options}
    words = () if options.pop("alone", False) else FAST
    found = tunewright.tune(
        *words,
        *overrides,
        "study.final=false",
        name=name,
        space=None if space is None else Path(space),
        watch=heard,
        **options,
    )
    return found, "\n".join(heard.notices)


def carried(found: TuneResult) -> dict[str, Mapping[str, Any]]:
    return {t.imported_from: t.parameters for t in found.record.trials if t.imported_from}


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


# --- from another study -----------------------------------------------------------------------


def test_the_best_of_several_studies_are_tried_first_also_where_their_trials_do_not_fit(
    here: Path,
) -> None:
    best = {}
    for name, words in {"one": (), "two": (), "three": ("training.epochs=3",)}.items():
        found, _ = tuned(name, *words, "study.seed=" + str(len(best)), trials=4)
        assert found.record.best is not None
        best[name] = dict(found.record.best.parameters)
    words = ("training.epochs=4", "study.sampler.type=curves")
    options: dict[str, Any] = {"from_": ["one", Path("two"), "three"], "trials": 3}
    new, told = tuned("new", *words, **options)
    assert "starting at the best configuration of one" in told
    assert "the best configuration of three is tried early" in told
    assert [dict(t.parameters) for t in new.record.own] == list(best.values())
    assert [t.good for t in new.record.own] == ["", "best of two", "best of three"]
    again, _ = tuned("new", *words, **{**options, "trials": 4})
    assert len(again.record.own) == 4, "the same sources resume, and nothing is tried twice"
    stored = read_yaml(again.folder.space)["good"]
    assert [one["name"] for one in stored] == ["best of two", "best of three"]


def test_the_trials_of_a_study_are_carried_and_do_not_count(here: Path) -> None:
    one, _ = tuned("one", trials=5)
    two, told = tuned("two", from_="one", trials=3)
    assert "5 of 5 trials of one are imported" in told
    assert "starting at the best configuration of one" in told
    assert [t.number for t in two.record.trials] == list(range(8))
    assert carried(two) == {f"one/{t.number}": t.parameters for t in one.record.trials}
    for old, new in zip(one.record.trials, two.record.trials, strict=False):
        assert (old.state, old.score, old.curve) == (new.state, new.score, new.curve)
    assert len(two.record.own) == 3
    assert sorted(f.name for f in (here / "runs/two/trials").iterdir()) == [
        "00005",
        "00006",
        "00007",
    ]
    assert not {str(t.parameters) for t in two.record.own} & {
        str(t.parameters) for t in one.record.trials
    }
    shown = tunewright.analyze("two").overview
    assert (shown.trials, shown.carried, shown.by_state["done"]) == (3, 5, 3)
    marks = {row["trial"]: row.get("carried") for row in shown.top}
    assert marks[0] == "one/0"
    assert marks[7] is None
    summary = json.loads(two.folder.summary.read_text())
    assert (summary["trials"], summary["carried"]) == (3, 5)


def test_going_on_with_or_without_the_source_takes_nothing_twice(here: Path) -> None:
    tuned("one", trials=3)
    tuned("two", from_="one", trials=1)
    for options in ({"from_": "one"}, {}, {"from_": "runs/one"}, {"from_": "one"}):
        two, told = tuned("two", trials=2, **options)
        assert len(two.record.trials) == 5
        assert "carried over" not in told
    shutil.rmtree("runs/one")
    two, _ = tuned("two", from_="one", trials=3)
    assert len(two.record.trials) == 6, "it is not needed any more"
    tuned("three", trials=1)
    with pytest.raises(StudyError, match="'two' was begun without three"):
        tuned("two", from_="three")
    with pytest.raises(StudyError, match="cannot start from itself"):
        tuned("two", from_="two")


def test_a_carried_best_is_the_winner_of_the_new_study(here: Path) -> None:
    one, _ = tuned("one", trials=8)
    assert one.record.best is not None
    Path("far.yaml").write_text(SPACE.replace("low: -5.0", "low: -6.0").replace("-6.0", "-5.0"))
    two = tunewright.tune(
        *FAST, space=Path("space.yaml"), name="two", from_="one", trials=1, watch=StudyCallback()
    )
    best = two.record.best
    assert best is not None
    assert best.score == max(one.record.best.score, two.record.own[0].score)
    if best.imported_from:
        assert best.parameters == one.record.best.parameters
    config = read_yaml(two.folder.best_config)
    assert config["point"]["x"] == best.parameters["point.x"]
    assert two.final is not None
    assert two.final.scores == (pytest.approx(best.score),)


def test_configurations_of_carried_trials_are_saved_and_train(here: Path) -> None:
    text = SPACE + "derived: { point.y: point.x / 2 }\n"
    Path("derived.yaml").write_text(text)
    tuned("one", space="derived.yaml", trials=4)
    tuned("two", space="derived.yaml", from_="one", trials=1)
    looked = tunewright.analyze("two")
    files = looked.save_configs(5)
    for file, trial in zip(files, looked.record.rank_trials(), strict=True):
        point = read_yaml(file)["point"]
        assert point["x"] == trial.parameters["point.x"]
        assert point["y"] == point["x"] / 2


def test_what_does_not_fit_is_told_and_the_best_is_the_first_trial(here: Path) -> None:
    one, _ = tuned("one", trials=4)
    two, told = tuned("two", "training.epochs=3", from_="one", trials=1)
    assert "0 of 4 trials of one are imported" in told
    assert "not imported, 4: training.epochs was 2 and is 3 here" in told
    assert one.record.best is not None
    assert [t.parameters for t in two.record.trials] == [one.record.best.parameters]
    three, told = tuned("three", "goal=val_loss", from_="one", trials=1)
    assert "4: its goal is val_score, and here it is val_loss" in told
    assert not carried(three)
    Path("other.yaml").write_text(SPACE.replace("high: 5.0", "high: -4.5"))
    four, told = tuned("four", space="other.yaml", from_="one", trials=1)
    assert "as close as the space allows (point.x = " in told
    assert "point.x outside -5 .. -4.5" in told
    assert all(t.parameters["point.x"] <= -4.5 for t in four.record.trials)


def test_a_study_is_found_by_name_folder_file_and_address(here: Path) -> None:
    tuned("one", trials=2)
    database = here / "runs/one/study.db"
    for number, source in enumerate(
        ["one", "runs/one", str(database), f"sqlite:///{database}#one", f"sqlite:///{database}"]
    ):
        found, _ = tuned(f"new{number}", from_=source, trials=1)
        assert list(carried(found)) == ["one/0", "one/1"], source
    with pytest.raises(StudyError, match="Did you mean 'one'"):
        tuned("x", from_="onne")
    with pytest.raises(StudyError, match=r"study 'other' in .*expected one of one"):
        tuned("x", from_=f"sqlite:///{database}#other")
    assert not (here / "runs/x/study.db").exists()


def test_a_study_alone_brings_its_configuration_and_space(here: Path) -> None:
    tuned("one", "point.y=1.0", trials=3)
    two, told = tuned("two", alone=True, space=None, from_="one", trials=2)
    assert "3 of 3 trials of one are imported" in told
    assert set(two.record.own[0].parameters) == {"point.x", "point.side"}
    assert two.folder.trial(3).read_config()["point"]["y"] == 1.0
    Path("narrow.yaml").write_text(SPACE.replace("high: 5.0", "high: 0.0"))
    three, _ = tuned("three", alone=True, space="narrow.yaml", from_="one", trials=1)
    assert all(t.parameters["point.x"] <= 0.0 for t in three.record.trials)


def test_another_recipe_is_refused(here: Path) -> None:
    tunewright.tune(
        parabola,
        {"x": {"low": 0.0, "high": 1.0}},
        "executor.type=inline",
        trials=1,
        name="f",
        watch=StudyCallback(),
    )
    with pytest.raises(StudyError, match="belongs to the recipe 'function'"):
        tuned("two", from_="f")


def test_functions_start_from_functions(here: Path) -> None:
    def tune(name: str, **options: Any) -> TuneResult:
        space = {"x": {"low": 0.0, "high": 1.0}}
        inline = "executor.type=inline"
        return tunewright.tune(
            parabola, space, inline, goal="value:min", name=name, watch=StudyCallback(), **options
        )

    one = tune("one", trials=4)
    two = tune("two", from_="one", trials=2)
    assert list(carried(two).values()) == [t.parameters for t in one.record.trials]
    Path("past.csv").write_text("x,value\n0.25,0.0625\n0.5,0.25\n")
    three = tune("three", imports=["past.csv"], trials=1)
    assert [t.score for t in three.record.trials][:2] == [0.0625, 0.25]


@pytest.mark.parametrize("moment", ["before", pytest.param("after", marks=pytest.mark.slow)])
def test_a_kill_while_trials_are_carried_doubles_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    class Killed(BaseException):
        pass

    tuned("one", trials=3)
    original = stages.import_trials

    def killed(*arguments: Any) -> None:
        if moment == "after":
            original(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(stages, "import_trials", killed)
        with pytest.raises(Killed):
            tuned("two", from_="one", trials=2)
    two, _ = tuned("two", from_="one", trials=2)
    assert list(carried(two)) == ["one/0", "one/1", "one/2"]
    assert len(two.record.own) == 2


def test_a_rebase_keeps_what_was_carried(here: Path) -> None:
    tuned("one", trials=4)
    tuned("two", from_="one", trials=1)
    Path("more.yaml").write_text(SPACE + "  point.y: { type: float, low: -5.0, high: 5.0 }\n")
    again, told = tuned("two", space="more.yaml", trials=1)
    assert "5 of 5 trials fit" in told
    assert {m: p["point.y"] for m, p in carried(again).items()} == {
        f"one/{n}": 4.0 for n in range(4)
    }
    assert len(again.record.own) == 1


# --- from a CSV file --------------------------------------------------------------------------


def imported(text: str, **options: Any) -> tuple[TuneResult, str]:
    Path("past.csv").write_text(text)
    return tuned("new", imports=["past.csv"], **options)


def test_a_csv_with_paths_aliases_and_optunas_columns(here: Path) -> None:
    found, told = imported(
        "number,value,params_x,point.side,state,duration,user_attrs_note,colour\n"
        "0,-3.5,1.5,right,COMPLETE,0 days,a,red\n"
        "7,-9,-1e-1,LEFT,complete,0 days,b,red\n"
        "8,-4,2,left,PRUNED,,,\n"
        "9,,3,left,FAIL,,,\n"
        "10,-1,7,left,COMPLETE,,,\n"
        "11,,0.5,left,RUNNING,,,\n"
        "12,,0.5,left,COMPLETE,,,\n",
        trials=1,
    )
    assert carried(found) == {
        "past.csv/1": {"point.x": 1.5, "point.side": "right"},
        "past.csv/3": {"point.x": 2.0, "point.side": "left"},
        "past.csv/4": {"point.x": 3.0, "point.side": "left"},
    }
    assert [t.state for t in found.record.trials][:3] == ["done", "pruned", "failed"]
    assert found.record.trials[0].score == -3.5
    for line in (
        "3 of 7 trials of past.csv are imported",
        "1: point.x outside -5 .. 5",
        "1: point.side outside left | right",  # its spelling is no other choice's
        "1: it has not ended",
        "1: it has no score",
        "ignored: colour, unknown to quadratic",
    ):
        assert line in told


def test_the_score_is_named_by_the_goal_or_plainly(here: Path) -> None:
    for number, name in enumerate(("val_score", "score", "value")):
        Path("past.csv").write_text(f"x;side;{name}\n1;left;-2.5\n".replace("side", "point.side"))
        found, _ = tuned(f"new{number}", imports=["past.csv"], trials=1)
        assert found.record.trials[0].score == -2.5


def test_a_setting_that_is_not_searched_must_be_as_it_is_here(here: Path) -> None:
    _, told = imported(
        "x,point.side,training.epochs,value\n1,left,2,-1\n2,left,3,-2\n3,left,,-3\n", trials=1
    )
    assert "2 of 3 trials of past.csv" in told
    assert "1: training.epochs was 3 and is 2 here" in told


def test_what_a_trial_does_not_tell_is_the_default_with_a_notice(here: Path) -> None:
    found, told = imported("x,point.side,value\n1,right,-1\n2,,-2\n3,,-3\n", trials=1)
    assert "3 of 3 trials of past.csv are imported" in told
    assert "point.side is unknown for 2 of them: its default, right, is taken" in told
    assert carried(found)["past.csv/2"] == {"point.x": 2.0, "point.side": "right"}


def test_inert_parameters_do_not_block(here: Path) -> None:
    inert = "  point.y: { type: float, low: -5.0, high: 5.0, inert: it is a constant }\n"
    Path("space.yaml").write_text(SPACE + inert)
    rows = "x,point.side,point.y,value\n1,left,2,-1\n2,left,4,-2\n3,right,,-3\n"
    found, told = imported(rows, trials=1)
    assert "3 of 3 trials of past.csv are imported" in told
    assert "values of point.y are set aside: inert here" in told
    assert set(carried(found)["past.csv/2"]) == {"point.x", "point.side"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "x,point.side,loss\n1,left,2\n",
            "has the columns x, point.side, loss: .*val_score or score or value",
        ),
        (
            "point.side,value\nup,2\nup,3\n",
            "no trial of .* fits .*2: point.side outside left",
        ),
        ("x,point.side,value\n9,left,1\n", "no trial of .* fits .*1: point.x outside -5 .. 5"),
        ("x,point.side,value\n", "it holds none"),
        ("", "a header and rows"),
        ("x,point.side,value\n1,left\n", "row 1 of past.csv has 2 cells: expected 3"),
        ("x,point.side,value\n1,left,good\n", "value = 'good' in row 1 .*expected a number"),
        ("x,point.x,value\n1,1,1\n", "x and point.x are the same parameter"),
        ("x,x,value\n1,1,1\n", "has a duplicate column"),
        ("x,value,state\n1,1,HAPPY\n", "state = 'happy' in row 1"),
        ('x,point.side,value\n1,"left,2\n2,right,3\n', "line 2 of past.csv has a quote"),
        ('x;point.side;value\n1;left;2\n2;"right;3\n3;left";4\n', "line 3 of past.csv has"),
    ],
)
def test_a_csv_that_says_nothing_is_refused(here: Path, text: str, complaint: str) -> None:
    with pytest.raises((DataError, StudyError), match=complaint):
        imported(text)
    assert not (here / "runs/new/study.db").exists()


def test_a_csv_of_optunas_own_making(
    here: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    one, _ = tuned("one", trials=3)
    study = optuna.load_study(
        study_name="one", storage=optuna_storage(f"sqlite:///{one.folder.database}")
    )
    header = ["number", "value", "datetime_start", "params_point.x", "params_point.side", "state"]
    lines = [
        [t.number, t.value, t.datetime_start, *t.params.values(), t.state.name]
        for t in study.trials
    ]
    table = [header, *lines]
    found, _ = imported("".join(",".join(map(str, line)) + "\n" for line in table), trials=1)
    assert list(carried(found).values()) == [t.parameters for t in one.record.trials]


# --- from any Optuna storage ------------------------------------------------------------------

X = FloatDistribution(-10.0, 10.0)
SIDE = CategoricalDistribution(["left", "right", "up"])


def foreign(storage: Any, name: str = "theirs", direction: str = "maximize") -> None:
    if isinstance(storage, str):
        storage = RDBStorage(storage)  # a URL would open one that nobody can close
    study = optuna.create_study(storage=storage, study_name=name, direction=direction)
    study.set_user_attr("note", "theirs")

    def add(x: float, side: str, state: TrialState, value: float | None = None) -> None:
        study.add_trial(
            create_trial(
                state=state,
                value=value,
                params={"x": x, "point.side": side},
                distributions={"x": X, "point.side": SIDE},
                intermediate_values={1: -9.0} if state == TrialState.PRUNED else {},
                user_attrs={"secret": "attribute", "cause": "error"},
                system_attrs={"cma:optimizer": "8004952e"},
            )
        )

    add(1.0, "left", TrialState.COMPLETE, -2.0)
    add(2.0, "right", TrialState.PRUNED, -9.0)
    add(3.0, "left", TrialState.FAIL)
    add(9.0, "left", TrialState.COMPLETE, -3.0)
    add(4.0, "up", TrialState.COMPLETE, -3.0)
    add(1.0, "left", TrialState.COMPLETE, -2.5)
    study.ask()
    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.engine.dispose()


def test_any_optuna_database_is_read_and_left_as_it_was(
    here: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    foreign("sqlite:///theirs.db")
    before = digest(Path("theirs.db"))
    found, told = tuned("new", imports=["theirs.db"], trials=1)
    assert digest(Path("theirs.db")) == before
    assert {f.name for f in here.iterdir()} >= {"theirs.db"}
    assert [f.name for f in here.glob("theirs.db?*")] == []
    assert carried(found) == {
        "theirs/0": {"point.x": 1.0, "point.side": "left"},
        "theirs/1": {"point.x": 2.0, "point.side": "right"},
        "theirs/2": {"point.x": 3.0, "point.side": "left"},
    }
    assert [t.state for t in found.record.trials][:3] == ["done", "pruned", "failed"]
    assert [t.score for t in found.record.trials][:3] == [-2.0, None, None]
    assert all(not t.curve for t in found.record.trials[:3]), "their steps are not ours"
    for line in (
        "3 of 7",
        "outside -5 .. 5",
        "outside left | right",
        "the same point",
        "not ended",
    ):
        assert line in told
    own = optuna.load_study(
        study_name="new", storage=optuna_storage(f"sqlite:///{found.folder.database}")
    )
    for trial in own.trials[:3]:
        assert set(trial.user_attrs) == {"imported_from"}
        assert not [key for key in trial.system_attrs if key.startswith("cma")]
    assert "note" not in own.user_attrs


def test_addresses_journals_and_names(here: Path) -> None:
    journal = JournalStorage(JournalFileBackend("theirs.log"))
    foreign(journal)
    before = digest(Path("theirs.log"))
    found, _ = tuned("a", imports=["theirs.log"], trials=1)
    assert len(carried(found)) == 3
    assert digest(Path("theirs.log")) == before
    foreign("sqlite:///theirs.db")
    foreign("sqlite:///theirs.db", "second")
    with pytest.raises(StudyError, match=r"expected one of (second|theirs), (second|theirs)"):
        tuned("b", imports=["theirs.db"])
    found, _ = tuned("b", imports=["sqlite:///theirs.db#second"], trials=1)
    assert set(carried(found)) == {"second/0", "second/1", "second/2"}
    found, told = tuned("c", imports=["theirs.db#second", "theirs.db#theirs"], trials=1)
    assert set(carried(found)) == {"second/0", "second/1", "second/2"}
    assert "0 of 7 trials of theirs are imported" in told, "they are there already"


def test_choices_that_are_stored_as_texts_are_read(
    here: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    text = SPACE.replace("choices: [left, right]", "choices: [right, left]")
    Path("space.yaml").write_text(
        text + "  faults.first_attempts: { choices: [1, 2, 1000000] }\n"
        "  training.precision: { choices: [fp32, bf16] }\n"
    )
    study = optuna.create_study(
        storage=optuna_storage("sqlite:///theirs.db"), study_name="t", direction="maximize"
    )
    study.add_trial(
        create_trial(
            value=-1.0,
            params={
                "point.x": 1,
                "point.side": '"left"',
                "faults.first_attempts": "2",
                "training.precision": "bf16",
            },
            distributions={
                "point.x": IntDistribution(0, 3),
                "point.side": CategoricalDistribution(['"left"', '"right"']),
                "faults.first_attempts": CategoricalDistribution(["1", "2"]),
                "training.precision": CategoricalDistribution(["fp32", "bf16"]),
            },
        )
    )
    found, _ = tuned("new", imports=["theirs.db"], trials=1)
    assert carried(found) == {
        "t/0": {
            "point.x": 1.0,
            "point.side": "left",
            "faults.first_attempts": 2,
            "training.precision": "bf16",
        }
    }


def test_a_guides_names_and_words_are_understood(
    here: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    choices = {
        "head_type": ["siglip", "clip", "attention", "mlp"],
        "hidden_dim": [128, 256],
        "loss_type": ["sigmoid_infonce", "softmax_infonce", "queue_infonce"],
        "batch_size": [128, 256, 4096],
    }
    kinds: dict[str, Any] = {name: CategoricalDistribution(c) for name, c in choices.items()}
    kinds["learning_rate"] = FloatDistribution(1e-5, 1e-2, log=True)
    study = optuna.create_study(
        storage=optuna_storage("sqlite:///optuna_study.db"),
        study_name="theirs",
        direction="maximize",
    )
    for batch_size in (128, 4096):
        values = {
            "head_type": "clip",
            "hidden_dim": 256,
            "loss_type": "softmax_infonce",
            "batch_size": batch_size,
            "learning_rate": 1e-3,
        }
        study.add_trial(create_trial(value=0.3, params=values, distributions=kinds))
    lines = [f"  {name}: {{choices: {json.dumps(c)}}}" for name, c in choices.items()]
    lines += ["  learning_rate: {low: 1e-5, high: 1e-2, log: true}", "inherit: false", ""]
    own = "parameters:\n" + "\n".join(lines).replace("[128, 256, 4096]", "[128, 256]")
    Path("space.yaml").write_text(own)
    request = parse_request(("pairs", "space.yaml"), command="tune", settings={"study.name": "new"})
    prepared = prepare(request.recipe, request.composed, given=request.space, runs=here)
    source = any_storage("optuna_study.db", request.recipe, prepared)
    matches = match_trials(request.recipe, prepared, [candidate for _, candidate in source.trials])
    assert matches[0] == {
        "model.type": "clip",
        "model.hidden_dim": 256,
        "loss.type": "softmax",
        "training.batch_size": 128,
        "optim.lr": 1e-3,
    }
    assert matches[1] == Mismatch("training.batch_size outside 128 | 256")
    assert source.ignored == ()


def test_what_cannot_be_taken_is_refused(
    here: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    foreign("sqlite:///down.db", direction="minimize")
    with pytest.raises(StudyError, match="has the direction min: expected max"):
        tuned("new", imports=["down.db"])
    optuna.create_study(
        storage=optuna_storage("sqlite:///two.db"), directions=["maximize", "minimize"]
    )
    with pytest.raises(StudyError, match="has the direction max, min"):
        tuned("new", imports=["two.db"])
    foreign("sqlite:///theirs.db")
    with pytest.raises(StudyError, match=r"made by another program.*--import theirs.db"):
        tuned("new", from_="theirs.db")
    with closing(sqlite3.connect("plain.db")) as connection, connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    before = digest(Path("plain.db"))
    with pytest.raises(StudyError, match=r"plain.db holds no study"):
        tuned("new", imports=["plain.db"])
    assert digest(Path("plain.db")) == before
    Path("noise.db").write_bytes(b"\x80\x04pickled?")
    with pytest.raises(StudyError, match="expected a SQLite database, an Optuna journal"):
        tuned("new", imports=["noise.db"])
    Path("torn.db").write_bytes(Path("theirs.db").read_bytes()[:9000])
    with pytest.raises(StudyError, match=r"torn.db .*malformed|torn.db cannot be read"):
        tuned("new", imports=["torn.db"])
    with pytest.raises(StudyError, match="does not exist"):
        tuned("new", imports=["nowhere.db"])
    assert not Path("nowhere.db").exists()
    with pytest.raises(StudyError, match="name the same source twice"):
        tuned("new", imports=["theirs.db", f"sqlite:///{here}/theirs.db"])


def test_one_of_our_own_studies_can_be_imported_as_well(here: Path) -> None:
    tuned("one", trials=3)
    tuned("two", "training.epochs=3", trials=2)
    found, _ = tuned("new", imports=["runs/one/study.db"], trials=1)
    assert list(carried(found)) == ["one/0", "one/1", "one/2"]
    with pytest.raises(StudyError, match=r"no trial of .*two.* fits.*training.epochs was 3"):
        tuned("other", imports=["runs/two/study.db"])


def test_several_sources_at_once(here: Path) -> None:
    tuned("one", trials=2)
    Path("past.csv").write_text("x,point.side,value\n1.25,left,-1\n")
    foreign("sqlite:///theirs.db")
    found, _ = tuned("new", from_="one", imports=["past.csv", "theirs.db"], trials=2)
    assert list(carried(found)) == [
        "one/0",
        "one/1",
        "past.csv/1",
        "theirs/0",
        "theirs/1",
        "theirs/2",
    ]
    assert [n for (n,) in rows(found.folder.database, "SELECT number FROM trials")] == list(
        range(8)
    )


def test_several_goals_and_constraints(here: Path) -> None:
    words = ("goal=[val_score,val_loss]", "study.constraints=['val_loss<=60']")
    one, _ = tuned("one", *words, trials=4)
    two, _ = tuned("two", *words, from_="one", trials=1)
    for old, new in zip(one.record.trials, two.record.trials, strict=False):
        assert (old.state, old.score, old.others) == (new.state, new.score, new.others)
        assert old.constraints == new.constraints
    Path("past.csv").write_text("x,point.side,score,val_loss\n1,left,-3,3\n2,left,-4,\n")
    three, told = tuned("three", *words, imports=["past.csv"], trials=1)
    assert "not imported, 1: it has no score" in told
    assert (three.record.trials[0].score, three.record.trials[0].others) == (-3.0, {"val_loss": 3})
    four, told = tuned("four", words[0], from_="one", trials=1)
    assert "4: its constraints are ['val_loss <= 60'], here []" in told
    assert not carried(four)


def test_a_repair_leaves_carried_trials_alone(here: Path) -> None:
    tuned("one", trials=3)
    tuned("two", from_="one", trials=2)
    found = tunewright.repair("two")
    assert (found.rebuilt, found.added, found.filled, found.differing) == ("", (), (), ())


def test_the_command_line_has_both(here: Path, monkeypatch: Any, capsys: Any) -> None:
    tuned("one", trials=2)
    Path("past.csv").write_text("x,point.side,value\n1.25,left,-1\n")
    words = ["tune", "--from", "one", "--import", "past.csv", "--name", "two", "--trials", "1"]
    monkeypatch.setattr("sys.argv", ["tunewright", *words, "study.final=false"])
    try:
        main()
    except SystemExit as left:
        assert left.code in (0, None), capsys.readouterr()  # noqa: PT017
    printed = " ".join(capsys.readouterr().out.split())
    assert "2 of 2 trials of one are imported" in printed
    assert "1 of 1 trials of past.csv are imported" in printed
    assert len(tunewright.analyze("two").record.trials) == 4


def test_no_password_is_shown_or_kept() -> None:
    url = "postgresql://tuner:secret@host/name"
    assert place_name(url, "one") == "postgresql://tuner@host/name#one"
    assert without_password(f"{url}#one") == "postgresql://tuner@host/name#one"
    assert without_password("runs@home/one") == "runs@home/one"


def test_errors_are_of_ours(here: Path) -> None:
    with pytest.raises(TunewrightError, match="no study 'gone'"):
        tuned("new", alone=True, from_="gone")
