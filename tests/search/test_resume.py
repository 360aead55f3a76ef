"""A stopped training goes on from its folder, and nothing in its configuration may differ."""

from collections.abc import Callable
from pathlib import Path

import pytest
from practice.quadratic.studies import tuned

import tunewright
from tunewright.cli import main
from tunewright.errors import DataError, RunError, StudyError, UsageError
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import EndRequest
from tunewright.search.callbacks import StudyCallback
from tunewright.search.loop.lease import FolderLock
from tunewright.search.signals import Interrupted
from tunewright.training.reporter import Reporter

INLINE = "executor.type=inline"


class Heard(StudyCallback):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunFolder]:
    """Trains a run that is asked for a pause after two epochs."""

    def asked(self: Reporter) -> EndRequest | None:
        steps = [progress.step for progress in read_progress(self.folder.progress)]
        return EndRequest("pause", self.attempt) if max(steps, default=0) >= 2 else None

    def train(recipe: str, *words: str) -> RunFolder:
        often = "training.checkpoint_seconds=0.0"
        with monkeypatch.context() as patched:
            patched.setattr(Reporter, "request", asked)
            with pytest.raises(Interrupted):
                tunewright.train(recipe, INLINE, often, *words, name="run", runs_dir=tmp_path)
        return RunFolder(tmp_path / "run")

    return train


Stopped = Callable[..., RunFolder]


def test_a_real_training_ends_as_if_it_had_not_been_stopped(
    tmp_path: Path, stopped: Stopped
) -> None:
    words = ("training.epochs=5", "training.checkpoint_seconds=0.0")
    whole = tunewright.train("blobs", INLINE, *words, name="whole", runs_dir=tmp_path)
    folder = stopped("blobs", "training.epochs=5")
    outcome = folder.read_outcome()
    assert outcome is not None
    assert outcome.state == "paused"
    found = tunewright.train(INLINE, resume="run", runs_dir=tmp_path)
    assert found.folders[0].path == folder.path
    assert found.outcomes[0].metrics == whole.outcomes[0].metrics
    steps = [progress.step for progress in read_progress(folder.progress)]
    assert folder.attempt == 2
    assert steps == [1, 2, 3, 4, 5]
    assert '"resumed_from": 2' in folder.progress.read_text()


@pytest.mark.parametrize("named", ["run", "{runs}/run"])
def test_a_run_is_named_or_shown(tmp_path: Path, stopped: Stopped, named: str) -> None:
    stopped("quadratic")
    run = named.format(runs=tmp_path)
    assert tunewright.train(INLINE, resume=run, runs_dir=tmp_path).outcomes[0].state == "done"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["point.x=2.0"], r"point\.x was -4\.0 and is now 2\.0"),
        (["training.epochs=9", "seed=1"], r"configuration: seed was 42 and is now 1: expected"),
        (["training.epochs=9", "training.clip_norm=2"], r"training\.clip_norm was 1\.0 and is"),
        (["training.checkpoint_seconds=3.0"], r"checkpoint_seconds was 0\.0 and is now 3\.0"),
        (["trackers.tensorboard={}"], r"trackers.tensorboard was None and is now {}"),
        (["optim=sgd"], r"optim\.type was adamw and is now sgd"),
    ],
)
def test_another_configuration_is_refused_with_the_keys(
    tmp_path: Path, stopped: Stopped, words: list[str], told: str
) -> None:
    folder = stopped("quadratic")
    before = folder.config.read_bytes()
    with pytest.raises(
        UsageError, match=rf"{told}.*To train it anew: tunewright train .*config\.yaml"
    ):
        tunewright.train(INLINE, *words, resume="run", runs_dir=tmp_path)
    assert folder.config.read_bytes() == before
    assert folder.attempt == 1


def test_the_same_value_again_and_where_it_trains_are_no_change(
    tmp_path: Path, stopped: Stopped
) -> None:
    stopped("quadratic")
    found = tunewright.train(
        "quadratic", INLINE, "point.x=-4.0", "executor.threads=1", resume="run", runs_dir=tmp_path
    )
    assert found.outcomes[0].state == "done"


def test_what_was_decided_for_auto_is_auto(tmp_path: Path, stopped: Stopped) -> None:
    folder = stopped("blobs")
    assert folder.read_config()["training"]["precision"] != "auto"
    found = tunewright.train(
        INLINE, "training.precision=auto", resume=folder.path, runs_dir=tmp_path
    )
    assert found.outcomes[0].state == "done"


def test_each_seed_goes_on(tmp_path: Path, stopped: Stopped) -> None:
    folder = stopped("quadratic", "seeds=[1,2]")
    found = tunewright.train(INLINE, resume="run", runs_dir=tmp_path)
    assert [place.path for place in found.folders] == [
        folder.path / "seed-1",
        folder.path / "seed-2",
    ]


def test_what_has_ended_is_told_again(tmp_path: Path) -> None:
    first = tunewright.train("quadratic", INLINE, name="run", runs_dir=tmp_path)
    heard = Heard()
    again = tunewright.train(INLINE, resume="run", runs_dir=tmp_path, watch=heard)
    assert again == first
    assert any("is complete" in notice for notice in heard.notices)


@pytest.mark.parametrize("seeds", ["[]", "[1,2]"])
def test_a_finished_run_trains_longer(tmp_path: Path, seeds: str) -> None:
    words = ("schedule=constant", f"seeds={seeds}")
    whole = tunewright.train(
        "blobs", INLINE, *words, "training.epochs=7", name="whole", runs_dir=tmp_path
    )
    tunewright.train("blobs", INLINE, *words, "training.epochs=4", name="run", runs_dir=tmp_path)
    (tmp_path / "run" / "evaluation.json").write_text("{}")
    heard = Heard()
    found = tunewright.train(
        INLINE, "training.epochs=7", resume="run", runs_dir=tmp_path, watch=heard
    )
    assert found.scores == whole.scores
    assert [one.metrics for one in found.outcomes] == [one.metrics for one in whole.outcomes]
    assert [p.step for p in read_progress(found.folders[0].progress)] == [*range(1, 8)]
    for folder in {RunFolder(tmp_path / "run"), *found.folders}:
        assert folder.read_config()["training"]["epochs"] == 7
    assert not (tmp_path / "run" / "evaluation.json").exists()
    assert any("to write it anew: tunewright evaluate" in text for text in heard.notices)
    [notice] = [text for text in heard.notices if "learning rate" in text]
    assert notice.startswith("training.epochs was 4 and is now 7: the schedule (constant)")
    assert "was 0.01 at the end of epoch 4; it is about 0.01 as epoch 5 begins, and 0.01" in notice
    again = tunewright.train(INLINE, resume="run", runs_dir=tmp_path)
    assert again.outcomes == found.outcomes


def test_a_cosine_that_had_ended_says_what_the_rate_does_now(tmp_path: Path) -> None:
    words = ("schedule.warmup_fraction=0", "schedule.warmup_epochs=null")
    tunewright.train("blobs", INLINE, *words, name="run", runs_dir=tmp_path)
    heard = Heard()
    found = tunewright.train(
        INLINE, "training.epochs=8", resume="run", runs_dir=tmp_path, watch=heard
    )
    [notice] = [text for text in heard.notices if "learning rate" in text]
    reports = {p.step: p.lr for p in read_progress(found.folders[0].progress)}
    assert reports[4] is not None
    assert (
        f"was {reports[4]:.3g} at the end of epoch 4; it is about 0.005 as epoch 5 begins" in notice
    )
    assert f"{0.005 / reports[4]:.3g} times as much, and 0 at the end" in notice
    assert reports[5] is not None
    assert reports[4] < reports[5] < 0.005


def test_a_stopped_run_trains_longer(tmp_path: Path, stopped: Stopped) -> None:
    stopped("blobs", "training.epochs=5")
    heard = Heard()
    found = tunewright.train(
        INLINE, "training.epochs=6", resume="run", runs_dir=tmp_path, watch=heard
    )
    assert found.folders[0].read_config()["training"]["epochs"] == 6
    assert any("at the end of epoch 2; it is about" in text for text in heard.notices)


@pytest.mark.parametrize(
    ("begun", "words", "expected"),
    [
        ([], ["training.epochs=3"], r"begun with 4.*tunewright train .*training\.epochs=3"),
        (["training.keep_last=0"], ["training.epochs=9"], r"no last\.pt.*keep_last=1"),
        (
            ["training.patience=1", "training.min_delta=9"],
            ["training.epochs=9"],
            r"stopped by patience after epoch 2 of 4.*Add training\.patience=2",
        ),
    ],
)
def test_a_run_that_cannot_train_longer_is_left_alone(
    tmp_path: Path, begun: list[str], words: list[str], expected: str
) -> None:
    tunewright.train("blobs", INLINE, *begun, name="run", runs_dir=tmp_path)
    folder = RunFolder(tmp_path / "run")
    before = folder.config.read_bytes(), folder.outcome.read_bytes()
    with pytest.raises((UsageError, DataError), match=expected):
        tunewright.train(INLINE, *words, resume="run", runs_dir=tmp_path)
    assert (folder.config.read_bytes(), folder.outcome.read_bytes()) == before


def test_an_early_stop_goes_on_with_more_patience(tmp_path: Path) -> None:
    early = ("training.patience=1", "training.min_delta=9")
    tunewright.train("blobs", INLINE, *early, name="run", runs_dir=tmp_path)
    more = ("training.patience=null", "training.epochs=6")
    found = tunewright.train(INLINE, *more, resume="run", runs_dir=tmp_path)
    ending = found.endings[0]
    assert ending is not None
    assert (ending.epochs, ending.whole) == (6, True)


def test_a_failed_run_is_tried_again(tmp_path: Path) -> None:
    faults = ("faults.kind=error", "faults.epoch=3", "faults.first_attempts=1")
    with pytest.raises(RunError, match="a bug in the recipe"):
        tunewright.train("quadratic", INLINE, *faults, name="run", runs_dir=tmp_path)
    found = tunewright.train(INLINE, resume="run", runs_dir=tmp_path)
    assert found.outcomes[0].state == "done"


def test_a_final_training_goes_on_by_itself(tmp_path: Path) -> None:
    tuned(tmp_path, "study.trials=2", "study.final=true")
    final = RunFolder(tmp_path / "study/final")
    final.outcome.unlink()
    found = tunewright.train(INLINE, resume=final.path, runs_dir=tmp_path)
    assert found.outcomes[0].state == "done"
    lock = FolderLock(tmp_path / "study")
    try:
        with pytest.raises(StudyError, match="process"):
            tunewright.train(INLINE, resume=final.path, runs_dir=tmp_path)
    finally:
        lock.release()


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("study", r"is a study: expected the folder of a run\. .*final training is .*final"),
        ("study/trials/00000", r"is a trial of a study.*tunewright train .*config\.yaml"),
        ("nothing", r"no run 'nothing' in "),
    ],
)
def test_what_is_no_run_is_refused(tmp_path: Path, run: str, message: str) -> None:
    tuned(tmp_path, "study.trials=1")
    with pytest.raises(UsageError, match=message):
        tunewright.train(INLINE, resume=run, runs_dir=tmp_path)


def test_the_run_has_its_configuration(tmp_path: Path, stopped: Stopped) -> None:
    stopped("quadratic")
    for options in ({"name": "other"}, {"config": "a.yaml"}, {"config_name": "a"}):
        with pytest.raises(UsageError, match="expected the run alone"):
            tunewright.train(resume="run", runs_dir=tmp_path, **options)
    with pytest.raises(UsageError, match=r"mine\.yaml and --resume together"):
        tunewright.train("mine.yaml", resume="run", runs_dir=tmp_path)


def test_as_it_is_typed(
    stopped: Stopped, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = stopped("quadratic")
    typed = ["tunewright", "train", "--resume", str(folder.path), INLINE]
    monkeypatch.setattr("sys.argv", typed)
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code
    assert "trained in full" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", [*typed, "point.x=0.0"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "point.x was -4.0 and is now 0.0" in capsys.readouterr().err
