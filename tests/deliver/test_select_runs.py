"""Which run is meant."""

import json
import os
import shutil
from pathlib import Path

import pytest
from practice.pictures.drawn import draw_set
from practice.pictures.made import made_run

import tunewright
from tunewright.deliver.select_runs import newest, of_study, resolve_runs
from tunewright.errors import DataError, UsageError
from tunewright.runs.atomic import write_json


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs, the second one newer."""
    draw_set(tmp_path / "data", (6, 6, 6))
    for age, name in enumerate(("new", "old")):
        run = made_run(tmp_path / "runs" / name, tmp_path / "data", steps=1)
        weights = run.checkpoints / "best.safetensors"
        os.utime(weights, (1e9 - age, 1e9 - age))
    return tmp_path / "runs"


@pytest.mark.parametrize("named", ["old", "{}/old", "{}/old/checkpoints/best.safetensors"])
def test_a_run_by_name_by_folder_or_by_a_file_inside(runs, named):
    named = named.format(runs)
    found = resolve_runs(named, runs=runs)
    assert found.folder == runs / "old"
    assert resolve_runs(None, checkpoint=named, runs=runs) == found
    assert found.notes == ()
    assert found.threads is None  # its executor is inline


def test_without_a_name_it_is_the_newest(runs):
    found = resolve_runs(None, runs=runs)
    assert found.folder == runs / "new"
    assert "using the newest run" in found.notes[0]


def test_a_study_stands_for_its_final_run(runs):
    study = runs / "study"
    (study / "trials").mkdir(parents=True)
    shutil.copytree(runs / "new", study / "trials" / "00001")
    write_json(study / "best_results.json", {"trial": 1})
    assert resolve_runs("study", runs=runs).folder == study / "trials" / "00001"
    shutil.copytree(runs / "old", study / "final")
    assert resolve_runs("study", runs=runs).folder == study / "final"
    weights = study / "final" / "checkpoints" / "best.safetensors"
    os.utime(weights, (2e9, 2e9))
    assert newest(runs).folder == study / "final"


def test_every_run_of_a_study_with_weights(runs):
    study = runs / "study"
    for name in ("trials/00000", "trials/00002", "final/seed-1", "final/seed-2"):
        shutil.copytree(runs / "new", study / name)
    (study / "trials" / "00001").mkdir()
    found = of_study(Path("study"), runs)
    assert found is not None
    names = [folder.path.relative_to(study).as_posix() for folder in found]
    assert names == ["trials/00000", "trials/00002", "final/seed-1", "final/seed-2"]
    assert of_study(Path("old"), runs) is None


def test_both_names_at_once_are_a_slip(runs):
    with pytest.raises(UsageError, match="one of them"):
        resolve_runs("old", checkpoint=runs / "new", runs=runs)


def test_nothing_there_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="Train one first"):
        resolve_runs(None, runs=tmp_path / "runs")


def test_the_guides_checkpoint_that_is_not_there_leads_to_the_newest(runs):
    with pytest.raises(DataError, match=f"the newest run, {runs / 'new'}"):
        resolve_runs(None, checkpoint="results/checkpoints/best_model.pt", runs=runs)


def test_checkpoints_of_others_are_not_opened(runs, tmp_path):
    file = tmp_path / "best_model.pt"
    file.write_bytes(b"a pickle that nobody opens")
    with pytest.raises(DataError, match=r"not in a run folder.*model\.weights=FILE"):
        resolve_runs(None, checkpoint=file, runs=runs)


def test_what_a_run_does_not_deliver_is_named(runs):
    last = runs / "old" / "checkpoints" / "last.pt"
    last.write_bytes(b"state")
    with pytest.raises(DataError, match=r"best\.safetensors"):
        resolve_runs(last, runs=runs)


def test_a_recipe_without_a_classifier_has_nothing_to_predict_with(runs):
    trained = tunewright.train(
        "blobs", "executor.type=inline", "training.epochs=1", name="points", runs_dir=runs
    )
    with pytest.raises(DataError, match="the recipe blobs has no classifier"):
        resolve_runs(trained.folders[0].path, runs=runs)
    assert resolve_runs(None, runs=runs).folder == runs / "new"  # though the other one is newer


def test_an_ensemble_names_its_runs_from_its_own_place(runs, tmp_path):
    stored = {"runs": ["../old", "../new"], "weights": [0.25, 0.75], "average": "geometric"}
    write_json(runs / "both" / "ensemble.json", stored)
    for named in ("both", runs / "both", runs / "both" / "ensemble.json"):
        found = resolve_runs(named, runs=runs)
        assert [one.path for one in found.members] == [runs / "old", runs / "new"]
        assert (found.weights, found.average) == ((0.25, 0.75), "geometric")
        assert found.folder == runs / "both"
    moved = runs.rename(tmp_path / "moved")
    assert resolve_runs("both", runs=moved).members[0].path == moved / "old"


@pytest.mark.parametrize(
    "stored",
    [
        {"runs": ["../old"]},
        {"runs": ["../old", "../new"], "weights": [1.0], "average": "probabilities"},
        {"runs": ["../old", "../new"], "weights": [0.4, 0.4], "average": "probabilities"},
        {"runs": [], "weights": [], "average": "probabilities"},
    ],
)
def test_half_an_ensemble_is_none(runs, stored):
    (runs / "both").mkdir()
    (runs / "both" / "ensemble.json").write_text(json.dumps(stored))
    with pytest.raises(DataError, match="is not an ensemble"):
        resolve_runs("both", runs=runs)


def test_a_name_that_is_nothing(runs):
    with pytest.raises(DataError, match="no trained run in nobody"):
        resolve_runs("nobody", runs=runs)
