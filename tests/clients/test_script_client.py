"""The client beside a script: nothing outside of a study, the trial's values inside."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tunewright import client


@pytest.fixture
def trial(tmp_path, monkeypatch):
    """The files of a trial, as the study writes them; returns what the client has told."""
    told = {
        "params": {"optim": {"lr": 0.1, "name": "sgd"}, "depth": 3},
        "seed": 7,
        "epochs": 5,
        "run_dir": str(tmp_path / "output"),
        "checkpoints": str(tmp_path / "checkpoints"),
        "reports": str(tmp_path / "reports.jsonl"),
        "request": str(tmp_path / "request.json"),
        "attempt": 2,
    }
    (tmp_path / "trial.json").write_text(json.dumps(told))
    monkeypatch.setenv(client.VARIABLE, str(tmp_path / "trial.json"))

    def lines():
        text = (tmp_path / "reports.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    return lines


def request(folder: Path, kind: str, attempt: int) -> None:
    (folder / "request.json").write_text(json.dumps({"kind": kind, "attempt": attempt}))


def test_nothing_happens_outside_of_a_study(monkeypatch, tmp_path):
    monkeypatch.delenv(client.VARIABLE, raising=False)
    assert not client.in_study()
    params = client.params({"lr": 0.1}, depth=3)
    assert (params["lr"], params["depth"], dict(params)) == (0.1, 3, {"lr": 0.1, "depth": 3})
    client.report(1, loss=0.5)
    assert client.should_stop() == ""
    assert client.checkpoint_dir() is None
    assert client.checkpoint_dir(tmp_path) == tmp_path
    assert (client.seed(), client.epochs(9), client.run_dir()) == (0, 9, None)


def test_a_study_that_is_gone_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv(client.VARIABLE, str(tmp_path / "nothing.json"))
    assert client.params(lr=0.1) == {"lr": 0.1}
    client.report(1, loss=0.5)


def test_parameters_lie_over_defaults_and_tell_what_is_read(trial):
    params = client.params(depth=1, width=8, optim={"lr": 1.0, "momentum": 0.9})
    assert params["optim"]["lr"] == params["optim.lr"] == 0.1
    assert params["optim.momentum"] == 0.9
    assert params.get("width") == 8
    assert params.get("nothing", 4) == 4
    with pytest.raises(KeyError):
        params["optim.nothing"]
    asked = [line["asked"][0] for line in trial()]
    assert asked == ["optim.lr", "optim.momentum", "width"]
    assert {**client.params()}["depth"] == 3
    assert json.loads(json.dumps(client.params()))["optim"]["name"] == "sgd"
    asked = [line["asked"][0] for line in trial()]
    assert set(asked) == {"optim.lr", "optim.momentum", "width", "optim.name", "depth"}


def test_numbers_of_any_library_are_reported(trial):
    client.report(np.int64(3), {"a": np.float32(0.5), "text": "x"}, b=True, c=float("nan"))
    [line] = trial()
    assert line["step"] == 3
    assert line["metrics"]["a"] == 0.5
    assert set(line["metrics"]) == {"a", "b", "c"}


def test_only_the_first_process_reports(trial, monkeypatch, tmp_path):
    monkeypatch.setenv("RANK", "1")
    client.report(1, loss=0.5)
    assert trial() == []
    request(tmp_path, "prune", 2)
    client._Trial._known = None
    with pytest.raises(client.Stop):
        client.report(2, loss=0.5)


def test_a_request_stops_at_the_next_report(trial, tmp_path):
    client.report(1, loss=0.5)
    request(tmp_path, "pause", 1)  # meant for an attempt before this one
    client._Trial._known = None
    client.report(2, loss=0.5)
    request(tmp_path, "pause", 2)
    client._Trial._known = None
    assert client.should_stop() == "pause"
    client._Trial._known = None
    with pytest.raises(SystemExit) as stopped:
        client.report(3, loss=0.5)
    assert stopped.value.code == 0
    assert [line["step"] for line in trial()] == [1, 2, 3]


def test_the_folder_of_checkpoints_is_made(trial, tmp_path):
    assert client.checkpoint_dir() == tmp_path / "checkpoints"
    assert (tmp_path / "checkpoints").is_dir()
    assert client.run_dir() == tmp_path / "output"
    assert (client.seed(), client.epochs()) == (7, 5)


def test_a_copy_needs_nothing_but_the_standard_library(tmp_path):
    shutil.copy(client.__file__, tmp_path / "tuning.py")
    script = "import tuning; p = tuning.params(lr=1); tuning.report(1, loss=p['lr']); print(p)"
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "{'lr': 1}\n"


def test_its_import_is_quick_and_brings_nothing_along():
    script = (
        "import sys, time; began = time.process_time(); import tunewright.client; "
        "print(time.process_time() - began); "
        "foreign = {m.partition('.')[0] for m in sys.modules} - sys.stdlib_module_names; "
        "print(*sorted(foreign - {'__main__', 'tunewright'}), file=sys.stderr)"
    )
    took = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-S", "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": str(Path(client.__file__).parents[1])},
        )
        took.append(float(done.stdout))
    assert done.stderr.split() == []
    assert min(took) < 0.05
