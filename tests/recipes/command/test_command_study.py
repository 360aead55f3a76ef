"""A script is tuned as a recipe is: real processes, pruned, with two metrics, on two workers."""

import sys
from pathlib import Path

import pytest

import tunewright
from tunewright.runs.progress import read_progress

SPACE = {"optim.lr": {"type": "float", "low": 0.001, "high": 1.0, "log": True}}

PRINTS = """
import sys, time
lr = float(sys.argv[1])
for epoch in range(1, 11):
    accuracy = 1 - abs(lr - 0.1) - 0.5 / epoch
    print(f"epoch={epoch} val_loss={1 - accuracy} val_accuracy={accuracy}")
    time.sleep(0.06)
"""

CLIENT = """
import time
import tunewright.client as tw
lr = tw.params()["optim.lr"]
for epoch in range(1, 11):
    accuracy = 1 - abs(lr - 0.1) - 0.5 / epoch
    tw.report(epoch, val_loss=1 - accuracy, val_accuracy=accuracy)
    time.sleep(0.06)
"""


@pytest.mark.parametrize(
    ("script", "arguments"), [(PRINTS, ["{optim.lr}"]), (CLIENT, [])], ids=["printed", "client"]
)
def test_a_script_is_pruned_on_two_workers(tmp_path, script, arguments):
    file = tmp_path / "train.py"
    file.write_text(script)
    tuned = tunewright.tune(
        "command",
        "training.epochs=10",
        space=SPACE,
        goal=["val_accuracy:max", "val_loss:min"],
        trials=10,
        jobs=2,
        name="study",
        runs_dir=tmp_path / "runs",
        script=[sys.executable, str(file), *arguments],
    )
    best, pruned = tuned.record.best, tuned.record.of_state("pruned")
    assert pruned
    assert all(max(trial.curve) < 10 for trial in pruned)
    assert best.score == pytest.approx(0.95 - abs(best.parameters["optim.lr"] - 0.1))
    assert best.others["val_loss"] == pytest.approx(1 - best.score)
    reports = read_progress(tuned.folder.trial(best.number).progress)
    assert [report.step for report in reports] == list(range(1, 11))
    assert set(reports[0].metrics) == {"val_accuracy", "val_loss"}
    assert Path(tuned.folder.best_config).exists()
