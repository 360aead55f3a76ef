"""The ensemble of a search's trials: its gain where errors differ, damaged files, too few."""

import pytest
import torch
from safetensors.torch import save_file

from tunewright.classification.inference.trial_ensemble import PredictedRun, select_trials
from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import StudyRecord, Trial
from tunewright.search.reporting.trial_ensemble import (
    candidates,
    describe_ensemble,
    measure_trial_ensemble,
    stored_ensemble,
)

ROWS, CLASSES = 400, 4


def keep(path, logits, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"logits": logits, "labels": labels}, path)


def study(folder, members=5, noise=1.6, alike=False, several=False):
    """Trials whose errors are independent, or the same."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (ROWS,), generator=generator)
    truth = torch.nn.functional.one_hot(labels, CLASSES).float()
    if several:
        truth = (torch.rand(ROWS, CLASSES, generator=generator) < 0.3).float()
    shared = torch.randn(ROWS, CLASSES, generator=generator)
    for number in range(members):
        own = shared if alike else torch.randn(ROWS, CLASSES, generator=generator)
        logits = 2 * truth + (noise + 0.05 * number) * own
        keep(folder.trial(number).predictions, logits, truth.bool() if several else labels)
    trials = tuple(Trial(n, "done", {"x": n}, 0.9 - n / 100, {}) for n in range(members))
    return StudyRecord("s", "longtail", "val_accuracy", "max", trials)


@pytest.mark.parametrize("several", [False, True])
def test_independent_errors_gain_and_the_interval_says_so(tmp_path, several):
    folder = StudyFolder(tmp_path)
    found = select_trials(candidates(folder, study(folder, several=several)))
    gain = found["gain"]
    assert found["metric"] == ("map" if several else "accuracy")
    assert gain["low"] > 0
    assert gain["value"] == pytest.approx(gain["ensemble"] - gain["single"])
    assert len(found["members"]) > 1
    assert sum(one["weight"] for one in found["members"]) == pytest.approx(1.0)


def test_the_same_errors_gain_nothing(tmp_path):
    folder = StudyFolder(tmp_path)
    gain = select_trials(candidates(folder, study(folder, alike=True)))["gain"]
    assert gain["low"] <= 0 <= gain["high"]


def test_the_gain_is_not_that_of_the_rows_that_chose(tmp_path):
    """Among trials that know nothing, selection finds accuracy in the rows it has seen."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(CLASSES, (60,), generator=generator)
    runs = []
    for number in range(30):
        runs.append(PredictedRun(number, tmp_path / f"{number}.safetensors"))
        keep(runs[-1].path, torch.randn(60, CLASSES, generator=generator), labels)
    found = select_trials(runs)
    assert found["score"] > 0.42  # chance is .25
    assert found["gain"]["ensemble"] < 0.35
    assert found["gain"]["low"] <= 0


def test_damaged_and_foreign_files_are_named_and_left_out(tmp_path):
    folder = StudyFolder(tmp_path)
    record = study(folder)
    folder.trial(1).predictions.write_bytes(b"not a file of tensors")
    keep(folder.trial(2).predictions, torch.zeros(7, CLASSES), torch.zeros(7, dtype=torch.int64))
    keep(folder.trial(3).predictions, torch.full((ROWS, CLASSES), torch.nan),
         torch.zeros(ROWS, dtype=torch.int64))  # fmt: skip
    found = select_trials(candidates(folder, record))
    assert found["candidates"] == 2
    notes = " | ".join(found["notes"])
    for number, why in ((1, "cannot be read"), (2, "is not that of trial 0"), (3, "no table")):
        assert f"trial {number} is left out" in notes
        assert why.replace("no table", "not a table") in notes


def test_too_few_predictions(tmp_path):
    folder = StudyFolder(tmp_path)
    record = study(folder, members=1)
    assert select_trials(candidates(folder, record))["gain"] is None
    assert measure_trial_ensemble(folder, record, _inline()) is None
    folder.trial(0).predictions.unlink()
    assert candidates(folder, record) == []
    assert stored_ensemble(folder) is None
    assert stored_ensemble(None) is None


def test_what_is_stored_says_who_has_weights(tmp_path):
    folder = StudyFolder(tmp_path)
    record = study(folder)
    weights = folder.trial(0).checkpoints / "best.safetensors"
    weights.parent.mkdir()
    weights.touch()
    found = measure_trial_ensemble(folder, record, _inline())
    assert stored_ensemble(folder) == found
    assert {one["trial"] for one in found["members"] if one["has_weights"]} <= {0}
    assert "over the best one, trial" in describe_ensemble(found)
    for text in ("{", '{"gain": 1}', '{"gain": {"value": 1}}'):
        (folder.path / "trial_ensemble.json").write_text(text)
        assert stored_ensemble(folder) is None


def test_seeds_of_a_trial_are_candidates_of_their_own(tmp_path):
    folder = StudyFolder(tmp_path)
    record = study(folder, members=1)
    keep(folder.trial(0).by_seed(43).predictions, torch.zeros(ROWS, CLASSES),
         torch.zeros(ROWS, dtype=torch.int64))  # fmt: skip
    assert [one.name for one in candidates(folder, record)] == ["trial 0", "trial 0, seed 43"]


def _inline():
    from tunewright.config.schema import ExecutorConfig

    return ExecutorConfig(type="inline")
