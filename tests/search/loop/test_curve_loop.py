"""Searches with the sampler curves: trials are paused at rungs, stored so, and go on."""

import signal
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from practice.quadratic.studies import rows, tuned
from shell_study import Shell, until

import tunewright
from tunewright.errors import ConfigError
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.search.callbacks import StudyCallback, StudyProgress
from tunewright.search.signals import Interrupted
from tunewright.search.stages import TuneResult

CURVES = "study.sampler.type=curves"


def ends(found: TuneResult) -> Counter[tuple[str, int]]:
    return Counter((t.state, max(t.curve, default=0)) for t in found.record.trials)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> TuneResult:
    folder = tmp_path_factory.mktemp("curves")
    return tuned(folder, CURVES, "study.trials=20", "training.epochs=12")


def test_trials_end_at_their_rungs_and_the_best_ones_at_the_last_step(study: TuneResult) -> None:
    counts = ends(study)
    assert counts.keys() == {("pruned", 1), ("pruned", 4), ("done", 12)}
    assert counts["done", 12] == 3
    assert counts["pruned", 4] in (2, 3), "a quarter of 20 came to the second rung, or one less"
    reasons = {t.reason for t in study.record.of_state("pruned")}
    assert reasons == {
        f"paused at {step} of 12; others were predicted to end better" for step in (1, 4)
    }


def test_a_trial_goes_on_as_the_same_trial_from_its_checkpoint(study: TuneResult) -> None:
    for trial in study.record.of_state("done"):
        folder = study.folder.trial(trial.number)
        assert _steps(study, trial.number) == list(range(1, 13)), "no step was made twice"
        assert folder.attempt in (2, 3), "from rung to rung, or to the end at once"


class StopAfter(StudyCallback):
    """Interrupts the study, as Ctrl-C does, after so many trials have started."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def on_progress(self, progress: StudyProgress) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


def test_paused_trials_are_running_ones_to_others_and_say_where_they_wait(
    tmp_path: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    words = (CURVES, "study.trials=20", "training.epochs=12")
    with pytest.raises(Interrupted):
        tuned(tmp_path, *words, watch=StopAfter(9))
    database = next(tmp_path.rglob("study.db"))
    storage = optuna_storage(f"sqlite:///{database}")
    stored = optuna.load_study(study_name=None, storage=storage)
    waiting = [t for t in stored.trials if t.user_attrs.get("paused")]
    assert len(waiting) >= 5
    assert {t.state.name for t in waiting} == {"RUNNING"}
    assert {t.user_attrs["paused"] for t in waiting} == {"at 1 of 12"}
    watch = StopAfter(0)
    found = tuned(tmp_path, *words, watch=watch)
    assert ends(found).keys() == {("pruned", 1), ("pruned", 4), ("done", 12)}
    assert len(found.record.trials) == 20
    assert not any("resuming trial" in text for text in watch.notices), "none was cut off"


def test_a_changed_space_keeps_the_trials_that_wait_and_their_curves(tmp_path: Path) -> None:
    words = (CURVES, "study.trials=16", "training.epochs=12")
    with pytest.raises(Interrupted):
        tuned(tmp_path, *words, watch=StopAfter(9), space=_across(4.0))
    before = {p.parent.name: p.read_text() for p in tmp_path.rglob("trials/*/progress.jsonl")}
    assert len(before) >= 5
    found = tuned(tmp_path, *words, space=_across(5.0))
    assert len(found.record.trials) == 16
    assert ends(found)["done", 12] == 3
    after = {p.parent.name: p.read_text() for p in tmp_path.rglob("trials/*/progress.jsonl")}
    assert all(after[name].startswith(text) for name, text in before.items())


def _across(width: float) -> dict[str, object]:
    return {"parameters": {"point.x": {"type": "float", "low": -width, "high": width}}}


def test_a_pruner_beside_it_is_refused_and_the_shipped_one_is_left_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the sampler curves together with the pruner median"):
        tuned(tmp_path, CURVES, "study.pruner.type=median")
    found = tuned(tmp_path, CURVES, "study.pruner.type=none", "study.trials=2")
    assert len(found.record.trials) == 2


def test_what_it_cannot_do_falls_back_to_tpe_with_a_notice(tmp_path: Path) -> None:
    watch = StopAfter(0)
    found = tuned(tmp_path, CURVES, "study.trials=2", "training.epochs=1", watch=watch)
    assert ends(found) == {("done", 1): 2}
    assert any("two epochs or more: the sampler is tpe here" in text for text in watch.notices)


def test_states_beyond_the_quota_are_removed_and_a_trial_without_its_own_starts_again(
    tmp_path: Path,
) -> None:
    watch = StopAfter(0)
    words = ("study.trials=20", "training.epochs=12", "study.paused_gib=0.00000003")  # 32 bytes
    found = tuned(tmp_path, CURVES, *words, watch=watch)
    assert ends(found)["done", 12] == 3, "the curves are kept"
    assert any("paused trials are more than 32 bytes" in text for text in watch.notices)
    assert any("starts again: the state" in text for text in watch.notices)
    written = [path.read_text() for path in found.folder.path.glob("trials/*/progress.jsonl")]
    assert max(text.count('"step": 1,') for text in written) >= 2, "one began twice"


def _steps(found: TuneResult, number: int) -> list[int]:
    return [progress.step for progress in read_progress(found.folder.trial(number).progress)]


def test_trials_of_unknown_length_are_left_to_tpe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rung is a share of a training; of a million steps nobody would come to the first one."""

    def objective(params: Mapping[str, float], report: Callable[[int, float], None]) -> float:
        report(1, params["x"])
        return params["x"]

    tunewright.tune(
        objective,
        CURVES,
        "executor.type=inline",
        space={"x": {"type": "float", "low": 0.0, "high": 1.0}},
        goal="value:max",
        trials=2,
        runs_dir=tmp_path,
    )
    assert "needs training.epochs, the steps of a whole trial: the sampler is tpe here" in (
        " ".join(capsys.readouterr().err.split())
    )


def test_a_finite_space_that_is_used_up(tmp_path: Path) -> None:
    space = {
        "side": {"type": "categorical", "choices": ["left", "right"]},
        "x": {"type": "int", "low": 0, "high": 2},
    }

    def objective(params: dict[str, object], report: object) -> float:
        for step in range(1, 9):
            report(step, float(params["x"]))  # type: ignore[operator, arg-type]
        return float(params["x"])  # type: ignore[arg-type]

    found = tunewright.tune(
        objective,
        CURVES,
        "training.epochs=8",
        "executor.type=inline",
        space=space,
        goal="value:max",
        trials=50,
        runs_dir=tmp_path,
    )
    assert len(found.record.trials) == 6
    assert len(found.record.of_state("done")) >= 3
    assert found.record.best is not None
    assert found.record.best.score == 2


def _has_reported(shell: Shell, count: int) -> bool:
    return len(shell.reported()) >= count


@pytest.mark.slow
def test_kills_at_each_moment_of_a_pause_and_a_promotion_lose_nothing(shell: Shell) -> None:
    words = ["--trials", "12", "epoch_seconds=0.05", "training.epochs=8", CURVES]
    reported: set[tuple[int, int, float]] = set()
    for moment in range(1, 9):
        process = shell.start(*words)
        until(partial(_has_reported, shell, 3 * moment), seconds=60)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        until(lambda: not shell.processes(), seconds=10)
        reported |= shell.reported()
    shell.finish(*words)
    states = shell.states()
    assert sorted(states) == list(range(12)), "none was lost, none counted twice"
    assert Counter(states.values())["COMPLETE"] >= 3
    assert set(states.values()) <= {"COMPLETE", "PRUNED"}
    assert reported <= shell.stored()
    for number in (n for n, state in states.items() if state == "COMPLETE"):
        folder = RunFolder(shell.study / f"trials/{number:05d}")
        assert {p.step for p in read_progress(folder.progress)} == set(range(1, 9))
    paused = rows(
        shell.study / "study.db",
        "SELECT COUNT(*) FROM trial_user_attributes WHERE key = 'paused'",
    )
    assert paused
