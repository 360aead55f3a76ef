"""Stored runs copied to a tracker; the tracker is a double, the runs are real."""

import pytest

from tunewright import job
from tunewright.config.compose import compose
from tunewright.deliver import replay as module
from tunewright.deliver.replay import replay
from tunewright.errors import ConfigError, DataError, RunError, StudyError
from tunewright.recipes.registry import find_recipe
from tunewright.runs.atomic import write_yaml
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.progress import read_progress
from tunewright.training.trackers.tracker import TRACKERS
from tunewright.training.trackers.tracking import OFF, trackers_off


class Store:
    """What was copied, by run: the tracker and its server in one."""

    def __init__(self, options):
        self.options, self.copies = options, {}

    def start(self, run):
        self.run = run
        self.copies.setdefault(run.name, {"points": {}})

    def log(self, reports):
        points = self.copies[self.run.name]["points"]
        points |= {report.step: dict(report.metrics) for report in reports}

    def finish(self, outcome):
        self.copies[self.run.name]["outcome"] = outcome


@pytest.fixture
def stores(monkeypatch):
    """The stores that were opened; each knows the copies of all."""
    opened, copies = [], {}

    def opens(**options):
        store = Store(options)
        store.copies = copies
        opened.append(store)
        return store

    monkeypatch.setattr(module, "require", lambda names, **_: None)
    with TRACKERS.substitute("mlflow", opens):
        yield opened


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> StudyFolder:
    """Three trials, the last of which failed."""
    folder = StudyFolder(tmp_path_factory.mktemp("runs") / "study")
    write_yaml(folder.settings, {"name": "study"})
    for number in range(3):
        train(folder.trial(number), *(["faults.kind=error", "faults.epoch=2"] * (number == 2)))
    return folder


def train(folder: RunFolder, *overrides: str) -> RunFolder:
    """A run of four epochs in this process."""
    folder.write_config(compose(find_recipe("quadratic"), ["training.epochs=4", *overrides]).tree)
    folder.begin_attempt()
    job.run(folder, redirect=False)
    return folder


def test_every_trial_of_a_study_is_copied(study, stores):
    copied = []
    replayed = replay("study", to="mlflow", runs=study.path.parent, on_replayed=copied.append).runs
    assert copied == list(replayed)
    assert [run.name for run in replayed] == ["00000", "00001", "00002"]
    for run in replayed:
        copy, folder = stores[0].copies[run.name], run.folder
        stored = read_progress(folder.progress)
        assert copy["points"] == {p.step: dict(p.metrics) for p in stored}
        assert (run.steps, run.study) == (len(stored), "study")
        assert copy["outcome"] == folder.read_outcome()
        assert run.state == copy["outcome"].state
    assert [run.state for run in replayed] == ["done", "done", "failed"]


def test_one_run_by_its_folder(study, stores):
    [run] = replay(study.trial(1).path, to="mlflow").runs
    assert run.name == "00001"


def test_a_second_time_changes_nothing(study, stores):
    first = replay(study.path, to="mlflow")
    before = {name: dict(copy["points"]) for name, copy in stores[0].copies.items()}
    assert replay(study.path, to="mlflow") == first
    assert {name: copy["points"] for name, copy in stores[0].copies.items()} == before


def test_a_tracker_that_failed_is_forgotten_once_its_run_is_copied(stores, tmp_path):
    folder = train(RunFolder(tmp_path))
    off = folder.path / OFF
    off.write_text("mlflow\nwandb\nmlflow\n")
    replay(folder.path, to="mlflow")
    assert off.read_text() == "wandb\n"
    assert trackers_off([folder]) == {"wandb": 1}
    off.write_text("mlflow\n")
    replay(folder.path, to="mlflow")
    assert not off.exists()


def test_a_tracker_that_fails_again_stays_off(stores, tmp_path, monkeypatch):
    folder = train(RunFolder(tmp_path))
    (folder.path / OFF).write_text("mlflow\n")
    monkeypatch.setattr(Store, "finish", lambda *_: 1 / 0)
    with pytest.raises(RunError):
        replay(folder.path, to="mlflow")
    assert trackers_off([folder]) == {"mlflow": 1}


def test_given_options_outweigh_the_stored_ones(tmp_path, stores):
    configured = ("trackers.mlflow.uri=http://here", "trackers.mlflow.experiment=mine")
    folder = train(RunFolder(tmp_path), *configured)
    replay(folder.path, to="mlflow", options={"uri": "http://there"})
    assert stores[0].options == {"uri": "http://here", "experiment": "mine"}
    assert stores[1].options == {"uri": "http://there", "experiment": "mine"}


def test_a_server_that_only_the_folder_names_is_not_sent_to(tmp_path, stores, monkeypatch):
    folder = train(RunFolder(tmp_path), "trackers.mlflow.uri=http://here")
    stores.clear()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(StudyError, match=r"http://here, which only .*config\.yaml names"):
        replay(folder.path, to="mlflow")
    assert stores == []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://here")
    replay(folder.path, to="mlflow")
    assert stores[0].options["uri"] == "http://here"


def test_a_run_without_an_outcome_is_copied_as_killed(tmp_path, stores):
    folder = train(RunFolder(tmp_path))
    folder.outcome.unlink()
    [run] = replay(folder.path, to="mlflow").runs
    outcome = stores[0].copies[run.name]["outcome"]
    assert (outcome.state, outcome.cause) == ("failed", "killed")
    assert "no outcome" in outcome.reason


def test_what_cannot_be_replayed_says_so(study, stores, tmp_path):
    with pytest.raises(DataError, match="no run in nowhere"):
        replay("nowhere", to="mlflow", runs=tmp_path)
    with pytest.raises(ConfigError, match="Did you mean 'mlflow'"):
        replay(study.path, to="mlfow")
    with pytest.raises(ConfigError, match="urii"):
        replay(study.path, to="mlflow", options={"urii": "x"})


def test_a_missing_package_is_refused_before_anything_is_copied(study, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "tunewright\[wandb\]"'):
        replay(study.path, to="wandb")


def test_a_tracker_that_fails_ends_the_replay_with_its_words(study, stores, monkeypatch):
    def refuse(self, reports):
        raise OSError("the server\nis gone")

    monkeypatch.setattr(Store, "log", refuse)
    with pytest.raises(RunError, match=r"00000 could not be copied .*OSError: the server is gone"):
        replay(study.path, to="mlflow")
