"""`ensemble`: several runs as one, and the truth about the gain."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from practice.pictures.drawn import CLASSES, draw_set, draw_test
from practice.pictures.made import made_run, opened
from practice.pictures.recipe import PicturesModel

import tunewright
from tunewright.classification.inference.cached_logits import validation_labels, validation_logits
from tunewright.classification.inference.ensemble import blend
from tunewright.errors import DataError, UsageError
from tunewright.runs.atomic import read_json
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.search.reporting.trial_ensemble import MADE, store_ensemble, stored_ensemble


def quiet(_what: str, _done: int, _total: int) -> None:
    """Nothing on the terminal of the tests."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("ensemble")
    draw_set(place / "data", (40, 30, 20))
    draw_test(place / "test", 12)
    for seed in (1, 2, 3):
        made_run(place / "runs" / f"run{seed}", place / "data", seed=seed, steps=8)
    return place


@pytest.fixture
def runs(place, tmp_path) -> Path:
    shutil.copytree(place / "runs", tmp_path / "runs")
    return tmp_path / "runs"


def joined(runs: Path, *named: str, **options):
    return tunewright.ensemble(*named, runs_dir=runs, on_progress=quiet, **options)


def held(runs: Path) -> tuple[torch.Tensor, torch.Tensor]:
    members = [opened(RunFolder(runs / f"run{seed}")) for seed in (1, 2, 3)]
    return torch.stack([validation_logits(one)[0] for one in members]), validation_labels(
        members[0]
    )


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_the_mean_of_three(runs, average):
    found = joined(runs, "run1", "run2", "run3", average=average)
    logits, labels = held(runs)
    kind = "probabilities" if average == "probabilities" else "geometric"
    said = blend(logits, torch.full((3,), 1 / 3), kind).argmax(1)
    assert found.accuracy == pytest.approx(float((said == labels).double().mean()))
    assert found.runs == ("../run1", "../run2", "../run3")
    assert found.weights == pytest.approx([1 / 3] * 3)
    assert found.gain["low"] <= found.gain["value"] <= found.gain["high"]
    stored = json.loads((runs / "ensemble" / "ensemble.json").read_text())
    assert stored | {"notes": []} == found.as_json()


def test_an_ensemble_is_a_run_to_predict(runs, place, tmp_path):
    joined(runs, "run1", "run2", name="two")
    shares = {}
    for name in ("run1", "run2", "two"):
        tunewright.predict(
            name,
            data=place / "test",
            output=tmp_path / "p.csv",
            probabilities=tmp_path / f"{name}.csv",
            runs_dir=runs,
            on_progress=quiet,
        )
        with (tmp_path / f"{name}.csv").open(newline="") as stream:
            shares[name] = np.array([row[1:] for row in list(csv.reader(stream))[1:]], dtype=float)
    np.testing.assert_allclose(shares["two"], (shares["run1"] + shares["run2"]) / 2, atol=1e-5)


def test_equal_models_gain_nothing_and_say_so(runs):
    shutil.copytree(runs / "run1", runs / "copy")
    found = joined(runs, "run1", "copy")
    assert found.gain["value"] == 0.0
    assert found.verdict.startswith("no gain")
    assert found.gain["p_value"] == 1.0


def test_weights_and_selection_leave_out_what_harms(runs, place, tmp_path):
    made_run(runs / "blind", place / "data", seed=9, steps=1)
    for method in ("weighted", "greedy"):
        found = joined(runs, "run1", "run2", "blind", method=method)
        assert found.method == method
        weights = {Path(one["run"]).name: one["weight"] for one in found.members}
        assert weights["blind"] < 0.2
        assert sum(found.weights) == pytest.approx(1.0)
        assert len(found.runs) == sum(weight > 0 for weight in weights.values())


def test_a_study_stands_for_all_of_its_trials_with_weights(runs):
    trials = runs / "study" / "trials"
    for number, name in enumerate(("run1", "run2", "run3")):
        shutil.copytree(runs / name, trials / f"{number:05d}")
    (trials / "00003").mkdir()
    found = joined(runs, "study", method="greedy")
    assert [Path(one["run"]).name for one in found.members] == ["00000", "00001", "00002"]


def test_runs_of_other_classes_are_refused(runs, tmp_path):
    draw_set(tmp_path / "sides", (20, 20), sides=True)
    made_run(runs / "sides", tmp_path / "sides", steps=1)
    with pytest.raises(DataError, match="do not have the same classes"):
        joined(runs, "run1", "sides")


@pytest.fixture
def study(runs) -> StudyFolder:
    """Three trials that kept weights, and a fourth that did not."""
    folder = StudyFolder(runs / "st")
    for number, name in enumerate(("run1", "run2", "run3", "run1")):
        shutil.copytree(runs / name, folder.trial(number).path)
    shutil.rmtree(folder.trial(3).checkpoints)
    return folder


def test_a_study_stands_for_its_trials_which_are_selected_greedily(runs, study):
    found = joined(runs, "st")
    assert found.method == "greedy"
    assert found.weights == joined(runs, "run1", "run2", "run3", method="greedy", name="g").weights
    assert all(name.startswith("../st/trials/0000") for name in found.runs)
    shown = stored_ensemble(study, MADE)
    assert shown["folder"] == str(runs / "ensemble")
    assert {one["trial"] for one in shown["members"]} <= {0, 1, 2}
    assert shown["gain"]["value"] == found.gain["value"]
    # With other runs beside it nobody asked for a selection.
    assert joined(runs, "st", "run1", name="m").method == "mean"


def test_members_without_weights_are_named(runs, study):
    member = {"trial": 3, "name": "trial 3", "score": 0.9, "weight": 1.0, "has_weights": False}
    gain = dict.fromkeys(("value", "low", "high", "ensemble", "single", "pictures"), 1)
    store_ensemble(study, {"gain": gain, "best": member, "members": [member], "candidates": 4})
    [note] = joined(runs, "st").notes
    assert note.startswith("trial 3 would be in the best ensemble")
    assert "study.keep_weights=4" in note


def test_a_study_with_one_trials_weights_says_what_to_set(runs, study):
    for number in (1, 2):
        shutil.rmtree(study.trial(number).checkpoints)
    with pytest.raises(DataError, match="1 run") as error:
        joined(runs, "st")
    assert "study.keep_weights=8" in error.value.remedy
    assert "tunewright train" in error.value.remedy
    assert "--trial 0" in error.value.remedy


def test_runs_of_another_split_are_refused(runs, place):
    made_run(runs / "elsewhere", place / "data", steps=1, split_seed=5)
    with pytest.raises(DataError, match="different pictures"):
        joined(runs, "run1", "elsewhere")


@pytest.mark.parametrize("named", [["run1"], ["run1", "run1"], []])
def test_one_run_is_no_ensemble(runs, named):
    with pytest.raises(DataError, match="two runs or more"):
        joined(runs, *named)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"method": "gredy"}, "Did you mean 'greedy'"),
        ({"average": "median"}, "one of probabilities, logits, geometric"),
        ({"max_size": "big"}, "a size such as 500MB"),
        ({"max_latency": "soon"}, "a time such as 100ms"),
    ],
)
def test_slips_are_named(runs, options, text):
    with pytest.raises(UsageError, match=text):
        joined(runs, "run1", "run2", **options)


def test_size_and_latency_of_all_are_judged(runs):
    found = joined(runs, "run1", "run2", max_size=6000, max_latency="1e9ms")
    costs = found.costs
    assert costs["passed"] == {"size": False, "size_half": False, "latency": True}
    assert costs["bytes"]["float32"] == 2 * 4916 or costs["bytes"]["float32"] > 6000
    assert costs["latency"]["runs"] >= 100


def test_the_same_again_has_the_same_folder_and_others_a_new_one(runs):
    assert joined(runs, "run1", "run2").folder == runs / "ensemble"
    assert joined(runs, "run1", "run2").folder == runs / "ensemble"
    assert joined(runs, "run1", "run3").folder == runs / "ensemble-2"
    with pytest.raises(DataError, match="something else"):
        joined(runs, "run2", "run3", name="ensemble")


def test_a_soup_is_a_run(runs, place, tmp_path):
    shutil.copytree(runs / "run1", runs / "copy")
    found = joined(runs, "run1", "copy", method="soup")
    folder = RunFolder(runs / "soup")
    assert found.gain["value"] == 0.0
    assert found.verdict.startswith("no gain")
    ours, first = opened(folder).model.state_dict(), opened(RunFolder(runs / "run1")).model
    assert all(torch.equal(ours[name], t) for name, t in first.state_dict().items())
    assert (read_json(folder.path / "soup.json") or {})["method"] == "soup"
    options = {"data": place / "test", "runs_dir": runs, "on_progress": quiet}
    tunewright.predict("soup", output=tmp_path / "a.csv", **options)
    tunewright.predict("run1", output=tmp_path / "b.csv", **options)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    result = tunewright.evaluate(runs / "soup")
    assert result.metrics["accuracy"] == pytest.approx(found.accuracy)


def test_a_greedy_soup_of_strangers_is_the_best_of_them(runs):
    """Networks that started apart have no weights between them; nothing is stirred in."""
    found = joined(runs, "run1", "run2", "run3", method="greedy-soup")
    weights = [one["weight"] for one in found.members]
    assert sum(weights) == pytest.approx(1.0)
    assert found.gain["pictures"] < len(held(runs)[1])  # judged on the other half
    assert found.gain["low"] <= found.gain["value"] <= found.gain["high"]


def test_a_soup_of_other_architectures_is_refused(runs, place):
    made_run(runs / "wide", place / "data", steps=1, model=PicturesModel(width=9))
    with pytest.raises(DataError, match=r"differ in architecture.*--method mean"):
        joined(runs, "run1", "wide", method="soup")
    found = joined(runs, "run1", "wide")
    assert found.classes == tuple(CLASSES)


def test_a_name_is_kept_for_what_was_made_by_it(runs):
    joined(runs, "run1", "run2", name="two")
    before = (runs / "two" / "ensemble.json").read_text()
    with pytest.raises(DataError, match="two holds something else"):
        joined(runs, "run1", "run2", name="two", average="logits")
    assert (runs / "two" / "ensemble.json").read_text() == before
    assert joined(runs, "run1", "run2", name="two").folder == runs / "two"
