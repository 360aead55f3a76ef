"""A search around a file that a study left: in that study's space, from that file's values."""

from pathlib import Path
from typing import Any

import pytest

import tunewright
from tunewright.request import parse_request
from tunewright.runs.atomic import read_yaml, write_yaml
from tunewright.search.prepare import PreparedStudy, prepare, run_tree
from tunewright.search.stages import TuneResult

SPACE = {
    "inherit": False,
    "parameters": {
        "point.x": {"type": "float", "low": 2.0, "high": 4.0, "default": 3.5},
        "point.side": {"type": "categorical", "choices": ["left"]},
    },
}
TYPED = ("executor.type=inline", "training.epochs=5", "stages.explore.training.epochs=3")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> TuneResult:
    """Of `quadratic`, in a space of its own, with a y that was typed."""
    runs = tmp_path_factory.mktemp("runs")
    typed = (*TYPED, "point.y=-3", "study.pruner.type=median", "study.sampler.type=random")
    made = tunewright.tune("quadratic", *typed, space=SPACE, trials=3, name="own", runs_dir=runs)
    tunewright.analyze("own", runs_dir=runs).save_configs(2)
    return made


def around(file: Path, *words: str) -> PreparedStudy:
    request = parse_request([str(file), *words], command="tune")
    return prepare(request.recipe, request.composed, given=request.space, runs=file.parent / "new")


def run_of(found: PreparedStudy, file: Path, values: dict[str, Any]) -> Any:
    return run_tree(parse_request([str(file)], command="tune").recipe, found, values)


@pytest.mark.parametrize("name", ["best_config.yaml", "top_configs/02.yaml"])
def test_the_space_is_the_studys_and_the_first_trial_the_files(
    study: TuneResult, name: str
) -> None:
    file = study.folder.path / name
    found, written = around(file), read_yaml(file)
    assert {p.path: str(p.domain) for p in found.space.parameters} == {
        "point.x": "2 .. 4",
        "point.side": "left",
    }
    first = found.space.default()
    assert first == {"point.x": written["point"]["x"], "point.side": "left"}
    assert first["point.x"] != 3.5  # the default of the study, which the file outweighs
    ran = run_of(found, file, first)
    assert ran["point"] == written["point"]
    assert ran["point"]["y"] == -3.0
    assert found.name == f"own-around-{'best' if 'best' in name else '02'}"
    expected = "with the search space of the study that wrote it"
    assert any(expected in notice for notice in found.notices)


def test_the_stages_and_the_pruner_are_the_studys(study: TuneResult) -> None:
    found = around(study.folder.path / "best_config.yaml", "study.name=mine")
    assert (found.name, found.config.training.epochs) == ("mine", 3)
    assert found.composed.config.training.epochs == 5
    assert found.config.study.pruner.type == "median"


def test_what_is_typed_now_outweighs_the_study(study: TuneResult) -> None:
    file = study.folder.path / "best_config.yaml"
    found = around(file, "training.epochs=4", "point.x=3.25", "study.pruner.type=none")
    assert (found.config.training.epochs, found.composed.config.training.epochs) == (4, 4)
    assert [p.path for p in found.space.parameters] == ["point.side"]
    assert run_of(found, file, {"point.side": "left"})["point"]["x"] == 3.25


def test_what_was_changed_in_the_file_holds(study: TuneResult) -> None:
    file = study.folder.path / "best_config.yaml"
    changed = read_yaml(file)
    changed["point"] |= {"x": 4.5, "y": 1.25}
    changed["training"]["epochs"] = 7
    edited = study.folder.path / "edited.yaml"
    write_yaml(edited, changed)
    found = around(edited)
    assert (found.config.training.epochs, found.composed.config.training.epochs) == (7, 7)
    assert found.space.default() == {"point.x": 4.0, "point.side": "left"}
    [outside] = [n for n in found.notices if "lies outside of the searched" in n]
    assert "point.x = 4.5" in outside
    assert "edited.yaml" in outside
    assert run_of(found, edited, {"point.x": 4.0, "point.side": "left"})["point"]["y"] == 1.25


def test_a_trials_own_configuration_is_of_the_study_too(study: TuneResult) -> None:
    assert study.record.best is not None
    file = study.folder.trial(study.record.best.number).config
    found = around(file)
    assert "point.y" not in found.space
    assert found.space.default() == dict(study.record.best.parameters)
    assert found.name == "own-around-config"


def test_a_space_of_ones_own_is_the_space(study: TuneResult, tmp_path: Path) -> None:
    file, mine = study.folder.path / "best_config.yaml", tmp_path / "mine.yaml"
    parameters = {"point.y": {"type": "float", "low": -5.0, "high": 0.0}}
    write_yaml(mine, {"inherit": False, "parameters": parameters})
    found = around(file, str(mine))
    assert [p.path for p in found.space.parameters] == ["point.y"]
    assert found.space.default() == {"point.y": -3.0}


def test_the_command_space_shows_what_would_be_searched(study: TuneResult) -> None:
    checked = tunewright.space(str(study.folder.path / "best_config.yaml"))
    space, notices = checked.space, checked.notices
    assert {p.path for p in space.parameters} == {"point.x", "point.side"}
    assert any("searching around" in notice for notice in notices)


def test_it_runs_and_is_resumed(study: TuneResult, tmp_path: Path) -> None:
    words = (str(study.folder.path / "best_config.yaml"), "executor.type=inline")
    assert study.record.best is not None
    for trials in (1, 2):
        found = tunewright.tune(*words, trials=trials, name="NEW", runs_dir=tmp_path)
        assert found.record.trials[0].parameters == study.record.best.parameters
        assert len(found.record.trials) == trials
    assert all(2.0 <= trial.parameters["point.x"] <= 4.0 for trial in found.record.trials)


def test_a_copy_elsewhere_begins_at_its_values_in_the_recipes_space(
    study: TuneResult, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.yaml"
    copy.write_text((study.folder.path / "best_config.yaml").read_text())
    found, written = around(copy), read_yaml(copy)
    assert found.space.default() == {f"point.{k}": v for k, v in written["point"].items()}
    assert "point.y" in found.space


def test_a_study_that_does_not_say_what_it_was_is_a_name_alone(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "study.yaml").write_text("name: own\n")
    file = tmp_path / "own" / "best_config.yaml"
    file.write_text("recipe: quadratic\npoint: {x: 2.0}\n")
    found = around(file)
    assert found.space.default() == {"point.x": 2.0, "point.y": 4.0, "point.side": "right"}
    assert not any("in the space of the study" in notice for notice in found.notices)


def test_a_study_file_of_ones_own_is_no_study(tmp_path: Path) -> None:
    write_yaml(tmp_path / "study.yaml", {"study": {"name": "x"}, "hyperparameters": {}})
    (tmp_path / "mine.yaml").write_text("recipe: quadratic\npoint: {x: 2.0}\n")
    found = around(tmp_path / "mine.yaml")
    assert found.name == "quadratic"
    assert not any("searching around" in notice for notice in found.notices)
