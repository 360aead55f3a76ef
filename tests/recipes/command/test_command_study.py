"""A script is tuned as a recipe is: real processes, pruned, with two metrics, on two workers."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tunewright
from tunewright.runs.folder import RunFolder
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


SLOW = """
import os, sys, time
import tunewright.client as tw
lr, folder = tw.params()["optim.lr"], tw.checkpoint_dir()
state = folder / "epoch"
begun = int(state.read_text()) if state.exists() else 0
for epoch in range(begun + 1, 13):
    time.sleep(0.25)
    with open(sys.argv[1], "a") as log:
        log.write(f"{os.environ['TUNEWRIGHT_RUN_DIR']} {epoch}\\n")
    (folder / "new").write_text(str(epoch))
    os.replace(folder / "new", state)  # a kill never leaves half of it
    tw.report(epoch, acc=lr)
"""

TUNE = """
import sys, tunewright
tunewright.tune(
    "command", "training.epochs=12", "study.pruner.type=none", "script.grace_seconds=2",
    space={"optim.lr": {"type": "float", "low": 0.001, "high": 1.0}}, goal="acc:max",
    trials=4, jobs=2, name="study", runs_dir=sys.argv[1], script=sys.argv[2:],
)
"""


def scripts_of(file: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if len(words) > 1 and words[1] == str(file).encode():
                found.append(int(process.name))
    return found


@pytest.mark.slow
def test_a_killed_coordinator_takes_its_scripts_along_and_the_study_goes_on(tmp_path):
    file, log, runs = tmp_path / "train.py", tmp_path / "log", tmp_path / "runs"
    file.write_text(SLOW)
    words = [sys.executable, "-c", TUNE, str(runs), sys.executable, str(file), str(log)]
    coordinator = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    until(lambda: log.exists() and log.read_text().count(" 3\n") == 2, 120)
    coordinator.kill()
    coordinator.wait()
    until(lambda: not scripts_of(file), 10)
    before = log.read_text().count("\n")
    subprocess.run(words, check=True, timeout=200, stderr=subprocess.DEVNULL)
    study = tunewright.analyze("study", runs_dir=runs)
    ends = [(trial.state, trial.reason) for trial in study.record.trials]
    assert ends == [("done", "")] * 4
    lines = log.read_text().splitlines()
    assert before >= 6
    assert len(lines) <= 4 * 12 + 2  # an epoch that was not yet stored is trained again
    for trial in study.record.trials:  # a kill between saving and reporting loses that report
        missing = set(range(1, 13)) - set(trial.curve)
        assert len(missing) <= 1
        assert missing <= set(range(3, 12))


@pytest.mark.slow
def test_sigterm_reaches_the_scripts_and_the_trials_go_on(tmp_path):
    file, log, runs = tmp_path / "train.py", tmp_path / "log", tmp_path / "runs"
    file.write_text(SLOW)
    words = [sys.executable, "-c", TUNE, str(runs), sys.executable, str(file), str(log)]
    coordinator = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    until(lambda: log.exists() and log.read_text().count(" 2\n") == 2, 120)
    coordinator.terminate()
    assert coordinator.wait(30) != 0
    coordinator.stderr.close()
    assert scripts_of(file) == []
    outcomes = [RunFolder(trial).read_outcome() for trial in (runs / "study/trials").iterdir()]
    assert [outcome.state for outcome in outcomes] == ["paused", "paused"]
    subprocess.run(words, check=True, timeout=200, stderr=subprocess.DEVNULL)
    assert len(tunewright.analyze("study", runs_dir=runs).record.of_state("done")) == 4
    assert len(log.read_text().splitlines()) == 48  # each stopped after a report


def until(holds, seconds):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_plan_measures_a_script_to_its_first_report(tmp_path):
    file = tmp_path / "train.py"
    file.write_text(
        "import time\n"
        "for epoch in range(1, 101):\n"
        "    time.sleep(0.3)\n"
        "    print(f'epoch={epoch} acc=0.5')\n"
    )
    planned = tunewright.plan(
        "command",
        "training.epochs=100",
        "study.pruner.type=none",
        space=SPACE,
        goal="acc:max",
        trials=10,
        jobs=1,
        runs_dir=tmp_path,
        script=[sys.executable, str(file), "{optim.lr}"],
    )
    assert planned.step_seconds >= 0.3
    assert planned.search_seconds > 10 * 100 * 0.3


def test_a_script_has_the_device_of_its_slot(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-one,GPU-two")
    file = tmp_path / "train.py"
    file.write_text(
        "import os, time\n"
        "with open(os.environ['TUNEWRIGHT_RUN_DIR'] + '/device', 'w') as device:\n"
        "    device.write(os.environ['CUDA_VISIBLE_DEVICES'])\n"
        "time.sleep(0.5)\n"
        "print('acc=1')\n"
    )
    tuned = tunewright.tune(
        "command",
        space=SPACE,
        goal="acc:max",
        trials=4,
        jobs=2,
        runs_dir=tmp_path,
        script=[sys.executable, str(file), "{optim.lr}"],
    )
    folders = [tuned.folder.trial(number).path for number in range(4)]
    assert {(folder / "output" / "device").read_text() for folder in folders} == {
        "GPU-one",
        "GPU-two",
    }
