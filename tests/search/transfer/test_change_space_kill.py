"""A real process, really killed while it rebases: the storage holds one whole study, always."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from practice.quadratic.studies import rows, tuned

from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import Trial
from tunewright.search.study.study import Study, load_record
from tunewright.search.transfer.stored_trials import stored_study
from tunewright.spaces.domain import Float
from tunewright.spaces.space import Parameter, Space

pytestmark = pytest.mark.slow
TRIALS = 80
WIDE = {
    "inherit": False,
    "parameters": {"point.x": {"type": "float", "low": -5.0, "high": 5.0}},
}
SCRIPT = """
import sys
from pathlib import Path
from practice.quadratic.studies import tuned
low, high = float(sys.argv[2]), float(sys.argv[3])
space = {"inherit": False, "parameters": {"point.x": {"type": "float", "low": low, "high": high}}}
print("go", flush=True)
tuned(Path(sys.argv[1]), "study.trials=1", "study.pruner.type=none", space=space)
"""


def begun(runs: Path) -> None:
    """A study of many trials, which nobody had to train."""
    tuned(runs, "study.trials=1", "study.pruner.type=none", space=WIDE)
    folder = StudyFolder(runs / "study")
    url = f"sqlite:///{folder.database}"
    stored = stored_study(url, "study")
    assert stored.settings is not None
    study = Study(url, "study", stored.settings, Space((Parameter("point.x", Float(-5.0, 5.0)),)))
    tree = folder.trial(0).read_config()
    for _ in range(1, TRIALS):
        number, values = study.ask()
        point = {**tree["point"], "x": values["point.x"]}
        folder.trial(number).write_config({**tree, "point": point})
        study.report(number, 1, values["point.x"])
        study.tell(Trial(number, "done", values, values["point.x"], {}))
    study.close()


def test_a_kill_anywhere_in_a_rebase_leaves_a_whole_study(tmp_path: Path) -> None:
    begun(tmp_path)
    folder, url = tmp_path / "study", f"sqlite:///{tmp_path}/study/study.db"
    whole, _ = load_record(url, "study")
    chance, seconds = random.Random(0), 4.0
    changed = 0
    for count in range(10):
        low = chance.choice([-5.0, -4.0, -2.0, 0.0])
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path), str(low), str(5.0 - count / 100)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        began = time.monotonic()
        if count == 0:
            printed, _ = process.communicate(timeout=120)  # how long it takes by itself
            assert process.returncode == 0, printed
            seconds = time.monotonic() - began
        else:
            time.sleep(chance.uniform(0.0, seconds))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        record, _ = load_record(url, "study")
        stored = stored_study(url, "study")
        assert stored.settings is not None
        wanted = stored.settings.space["parameters"]["point.x"]
        changed += wanted["high"] == 5.0 - count / 100
        assert rows(folder / "study.db", "PRAGMA integrity_check") == [("ok",)]
        assert rows(folder / "study.db", "SELECT COUNT(*) FROM studies") == [(1,)]
        numbers = rows(folder / "study.db", "SELECT number FROM trials ORDER BY number")
        assert [number for (number,) in numbers][:TRIALS] == list(range(TRIALS))
        for trial in record.trials:
            x = trial.parameters["point.x"]
            assert wanted["low"] <= x <= wanted["high"]
            if trial.number < TRIALS:
                assert trial == whole.trials[trial.number]
    assert changed >= 1, "the first one was let to its end"
    found = tuned(tmp_path, "study.trials=1", "study.pruner.type=none", space=WIDE)
    assert found.record.trials[:TRIALS] == whole.trials, "all are back with their space"
    for file in folder.glob("study-*.db"):
        kept, _ = load_record(f"sqlite:///{file}", "study")
        assert kept.trials
    copies = sorted(int(f.stem.partition("-")[2]) for f in folder.glob("study-*.db"))
    assert copies == list(range(1, len(copies) + 1))
