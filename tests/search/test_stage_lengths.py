"""A study says how its stages relate to what was typed; its shipped pruner fits them."""

from pathlib import Path

import pytest

from tunewright.errors import ConfigError
from tunewright.request import parse_request
from tunewright.search.prepare import PreparedStudy, prepare, stage

GUIDES_FILE = """\
study:
  pruner: {type: MedianPruner, n_startup_trials: 5, n_warmup_steps: 10}
hyperparameters:
  lr: {type: float, low: 5e-5, high: 5e-3, log: true}
fixed:
  epochs: EPOCHS
"""


def prepared(folder: Path, *words: str) -> PreparedStudy:
    request = parse_request(words, command="tune")
    return prepare(request.recipe, request.composed, given=request.space, runs=folder)


def told(found: PreparedStudy, *parts: str) -> list[str]:
    return [notice for notice in found.notices if all(part in notice for part in parts)]


def final_epochs(found: PreparedStudy, recipe: str) -> int:
    request = parse_request([recipe], command="tune")
    return stage(request.recipe, found.composed, "final")[1].training.epochs


@pytest.mark.parametrize(("recipe", "ships"), [("pairs", 16), ("compression", 8)])
def test_trials_are_as_long_as_was_typed_and_that_is_said(
    tmp_path: Path, recipe: str, ships: int
) -> None:
    found = prepared(tmp_path, recipe, "training.epochs=5")
    assert found.config.training.epochs == 5
    assert final_epochs(found, recipe) == 5
    [notice] = told(found, "training.epochs = 5 (override 'training.epochs=5') also applies to")
    assert f"stages.explore.training.epochs={ships} restores that" in notice
    assert told(found, "the final training is shorter") == []
    assert told(prepared(tmp_path, recipe), "also applies to") == []


@pytest.mark.parametrize(
    ("words", "trained", "searched"),
    [
        (("training.epochs=3", "stages.explore.training.epochs=6"), 3, 6),
        (("stages.final.training.epochs=4",), 4, 16),
    ],
)
def test_a_final_training_that_is_shorter_is_said(
    tmp_path: Path, words: tuple[str, ...], trained: int, searched: int
) -> None:
    found = prepared(tmp_path, "pairs", *words)
    [notice] = told(found, "the final training is shorter than the trials")
    assert f"{trained} epochs" in notice
    assert f"against {searched} (" in notice
    assert told(prepared(tmp_path, "pairs", *words, "study.final=false"), "shorter") == []


def test_the_guides_file_with_its_epochs_and_its_pruner(tmp_path: Path) -> None:
    file = tmp_path / "hyperparameters.yaml"
    file.write_text(GUIDES_FILE.replace("EPOCHS", "200"))
    found = prepared(tmp_path, "longtail", "--hp-config", str(file))
    assert (found.config.training.epochs, final_epochs(found, "longtail")) == (200, 200)
    assert found.settings.pruner["warmup_steps"] == 10
    file.write_text(GUIDES_FILE.replace("EPOCHS", "9"))
    with pytest.raises(ConfigError, match=r"median would never prune.* after 10 epochs"):
        prepared(tmp_path, "longtail", "--hp-config", str(file))


@pytest.mark.parametrize(
    ("epochs", "pruner", "said"),
    [(3, "asha", ""), (2, "asha", "min_resource=1"), (1, "none", "no")],
)
def test_a_pruner_that_only_ships_fits_what_was_typed(
    tmp_path: Path, epochs: int, pruner: str, said: str
) -> None:
    found = prepared(tmp_path, "quadratic", f"training.epochs={epochs}")
    assert found.config.study.pruner.type == found.settings.pruner["type"] == pruner
    notices = told(found, "the default pruner asha would decide too late")
    assert [said in notice for notice in notices] == ([True] if said else [])


def test_a_pruner_that_was_typed_is_refused(tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(
        "parameters: {point.x: {low: 0, high: 1}}\nsettings: {study: {pruner: {type: asha}}}\n"
    )
    for words in (["study.pruner.type=asha"], ["study.pruner.min_resource=2"], [str(space)]):
        with pytest.raises(ConfigError, match="asha would never prune"):
            prepared(tmp_path, "quadratic", "training.epochs=2", *words)


def test_a_warmup_that_is_most_of_a_stage_is_said(tmp_path: Path) -> None:
    found = prepared(tmp_path, "compression", "schedule.warmup_epochs=5")
    [notice] = told(found, "warm-up")  # 5 of 8, and of 40 in the final training
    assert "5 of the 8 epochs of the trials" in notice
    assert "override 'schedule.warmup_epochs=5'" in notice
    whole = prepared(tmp_path, "pairs", "schedule.warmup_epochs=4", "training.epochs=3")
    assert len(told(whole, "3 of the 3 epochs", "never ends")) == 2
    assert told(prepared(tmp_path, "flowers", "training.epochs=2"), "warm-up") == []
