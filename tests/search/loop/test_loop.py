"""Whole searches in this process: what is found, pruned, counted, and survives."""

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from practice.quadratic.recipe import Point
from practice.quadratic.run import score
from practice.quadratic.studies import rows, tuned

from tunewright.errors import ConfigError, StudyError
from tunewright.runs.folder import StudyFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import Trial
from tunewright.search.callbacks import StudyCallback, StudyProgress
from tunewright.search.signals import Interrupted
from tunewright.search.stages import TuneResult
from tunewright.search.study.study import Study

NO_PRUNING = "study.pruner.type=none"
RUNGS = "study.pruner.min_resource=2"


class Recorder(StudyCallback):
    """Keeps what a study said."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.trials: list[Trial] = []
        self.standings: list[StudyProgress] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def on_trial_end(self, trial: Trial, standing: StudyProgress) -> None:
        self.trials.append(trial)
        self.standings.append(standing)


def states(found: TuneResult) -> list[str]:
    return [trial.state for trial in found.record.trials]


def test_the_optimum_is_found_better_than_by_chance(tmp_path: Path) -> None:
    found = tuned(tmp_path, "study.trials=40", "training.epochs=2", NO_PRUNING)
    assert states(found) == ["done"] * 40
    assert found.record.best is not None
    chance = []
    for seed in range(200):
        draw = random.Random(seed)
        points = [
            Point(x=draw.uniform(-5, 5), y=draw.uniform(-5, 5), side=draw.choice(["left", "right"]))
            for _ in range(40)
        ]
        chance.append(max(score(point, 2) for point in points))
    beaten = sum(found.record.best.score > by_chance for by_chance in chance)
    assert beaten >= 140, f"better than {beaten} of 200 random searches"


def test_a_share_of_the_trials_to_be_pruned_runs_on(tmp_path: Path) -> None:
    words = ("study.trials=16", "training.epochs=9", RUNGS, "study.audit_pruning=0.5")
    found = tuned(tmp_path, *words)
    audited = [trial for trial in found.record.trials if trial.audited is not None]
    assert 2 <= len(audited) <= 12
    assert found.record.of_state("pruned"), "the others are stopped"
    assert {trial.audited for trial in audited} <= {2, 4, 8}, "where they would have been stopped"
    assert {(trial.state, max(trial.curve)) for trial in audited} == {("done", 9)}
    whole = tuned(tmp_path / "all", *words[:3], "study.audit_pruning=1.0")
    assert states(whole) == ["done"] * 16


def test_random_search_and_no_pruner(tmp_path: Path) -> None:
    found = tuned(tmp_path, "study.trials=6", "study.sampler.type=random", NO_PRUNING)
    assert states(found) == ["done"] * 6


def test_the_default_pruner_prunes_and_keeps_the_best(tmp_path: Path) -> None:
    found = tuned(tmp_path, "study.trials=16", "training.epochs=9")
    pruned = found.record.of_state("pruned")
    assert 4 <= len(pruned) <= 13
    assert {max(trial.curve) for trial in pruned} <= {1, 2, 4, 8}, "stopped at rungs only"
    assert all("not among the best 1/2 at rung" in trial.reason for trial in pruned)
    done = found.record.of_state("done")
    assert all(max(trial.curve) == 9 for trial in done)
    best_of_all = max(found.record.trials, key=lambda trial: trial.curve[1])
    assert found.record.best == best_of_all, "these curves do not cross"


@pytest.mark.parametrize(
    ("kind", "state", "cause", "reason"),
    [
        ("diverged", "infeasible", "diverged", "the loss is not a finite number at step 7"),
        ("out of memory", "infeasible", "out of memory", "the machine could not give"),
        ("out of device memory", "infeasible", "out of memory", "more were asked for on the GPU"),
        ("error", "failed", "error", "ValueError: a bug in the recipe"),
        ("no goal", "failed", "error", "the goal val_score was not measured"),
    ],
)
def test_a_fault_ends_its_trial_with_the_reason_and_never_the_study(
    tmp_path: Path, kind: str, state: str, cause: str, reason: str
) -> None:
    found = tuned(
        tmp_path, "study.trials=8", f"faults.kind='{kind}'", "faults.from_x=0.0", NO_PRUNING
    )
    assert len(found.record.trials) == 8
    for trial in found.record.trials:
        if trial.parameters["point.x"] >= 0.0:
            assert (trial.state, trial.cause) == (state, cause)
            assert reason in trial.reason
        else:
            assert trial.state == "done"
    assert {"done", state} == set(states(found))
    summary = json.loads(found.folder.summary.read_text())
    assert summary["failures_by_cause"] == {cause: states(found).count(state)}
    assert sum(summary["by_state"].values()) == 8


def test_a_study_in_which_everything_fails_ends_in_order(tmp_path: Path) -> None:
    found = tuned(tmp_path, "study.trials=3", "faults.kind=error", "study.final=true")
    assert states(found) == ["failed"] * 3
    assert found.ending == "finished"
    assert found.final is None
    assert not found.folder.best_config.exists()


def test_trials_is_the_total_also_after_a_resume(tmp_path: Path) -> None:
    assert len(tuned(tmp_path, "study.trials=3").record.trials) == 3
    first = rows(tmp_path / "study/study.db", "SELECT * FROM trials")
    assert len(tuned(tmp_path, "study.trials=3").record.trials) == 3
    assert rows(tmp_path / "study/study.db", "SELECT * FROM trials") == first, "nothing to do"
    found = tuned(tmp_path, "study.trials=5")
    assert [trial.number for trial in found.record.trials] == [0, 1, 2, 3, 4]
    assert rows(tmp_path / "study/study.db", "SELECT * FROM trials")[:3] == first


def test_losers_keep_no_checkpoints_and_the_best_keeps_its_own(tmp_path: Path) -> None:
    found = tuned(tmp_path, "study.trials=8")
    kept = sorted((tmp_path / "study/trials").glob("*/checkpoints"))
    assert found.record.best is not None
    assert kept == [found.folder.trial(found.record.best.number).checkpoints]


def test_what_a_kill_left_of_a_loser_goes_with_the_next_session(tmp_path: Path) -> None:
    found = tuned(tmp_path, "study.trials=4", NO_PRUNING)
    assert found.record.best is not None
    loser = next(t.number for t in found.record.trials if t.number != found.record.best.number)
    left = found.folder.trial(loser).checkpoints / "best.safetensors"
    left.parent.mkdir()
    left.touch()
    tuned(tmp_path, "study.trials=4", NO_PRUNING)
    assert not left.exists()
    assert found.folder.trial(found.record.best.number).checkpoints.exists()


def test_each_end_is_told_once_with_where_the_study_stands(tmp_path: Path) -> None:
    watch = Recorder()
    found = tuned(tmp_path, "study.trials=6", watch=watch)
    assert tuple(watch.trials) == tuple(found.record.trials) or [
        (t.number, t.state, t.score, t.curve) for t in watch.trials
    ] == [(t.number, t.state, t.score, t.curve) for t in found.record.trials]
    assert [standing.ended for standing in watch.standings] == [1, 2, 3, 4, 5, 6]
    assert watch.standings[-1].total == 6
    best = watch.standings[-1].best
    assert best is not None
    assert found.record.best is not None
    assert best.number == found.record.best.number


def test_optuna_opens_the_study(
    tmp_path: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    found = tuned(tmp_path, "study.trials=5")
    url = f"sqlite:///{tmp_path}/study/study.db"
    study = optuna.load_study(study_name="study", storage=optuna_storage(url))
    assert len(study.trials) == 5
    assert found.record.best is not None
    assert study.best_trial.number == found.record.best.number
    assert rows(tmp_path / "study/study.db", "SELECT COUNT(*) FROM trials") == [(5,)]


def test_the_goal_may_be_another_metric_and_smaller_better(tmp_path: Path) -> None:
    found = tuned(tmp_path, "study.trials=6", "goal=val_loss")
    assert found.record.direction == "min"
    best = found.record.best
    assert best is not None
    assert best.score == min(t.score for t in found.record.of_state("done"))


def test_the_winner_is_trained_in_full_and_its_config_alone_repeats_it(tmp_path: Path) -> None:
    found = tuned(
        tmp_path, "study.trials=4", "study.final=true", "stages.explore.training.epochs=3"
    )
    assert found.final is not None
    assert found.record.best is not None
    stored = found.final.folders[0].read_config()
    assert stored["training"]["epochs"] == 8
    for path, value in found.record.best.parameters.items():
        assert stored["point"][path.removeprefix("point.")] == value
    point = Point(**stored["point"])
    assert found.final.scores == (score(point, 8),)


# --- sessions that were cut short -------------------------------------------------------------


class Unplugged(Exception):
    """Stands for the death of the coordinator at a certain call."""


def cut(monkeypatch: pytest.MonkeyPatch, method: str, call: int, *, after: bool) -> None:
    """Let the coordinator die at the `call`-th `method` of its study, before or after it."""
    original = getattr(Study, method)
    calls = [0]

    def cutting(self: Study, *arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == call and not after:
            raise Unplugged
        result = original(self, *arguments, **named)
        if calls[0] == call:
            raise Unplugged
        return result

    monkeypatch.setattr(Study, method, cutting)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("method", "call"), [("ask", 3), ("report", 1), ("report", 9), ("tell", 1), ("tell", 4)]
)
def test_a_coordinator_that_dies_anywhere_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, call: int, after: bool
) -> None:
    with monkeypatch.context() as patched:
        cut(patched, method, call, after=after)
        with pytest.raises(Unplugged):
            tuned(tmp_path, "study.trials=6")
    reported = {
        folder.name: {
            p.step: p.metrics["val_score"] for p in read_progress(folder / "progress.jsonl")
        }
        for folder in (tmp_path / "study/trials").iterdir()
    }
    finished = rows(tmp_path / "study/study.db", "SELECT * FROM trials WHERE state != 'RUNNING'")
    found = tuned(tmp_path, "study.trials=6")
    assert len(found.record.trials) == 6
    assert set(states(found)) <= {"done", "pruned"}
    for trial in found.record.trials:
        for step, value in reported.get(f"{trial.number:05d}", {}).items():
            assert trial.curve[step] == value
    now = rows(tmp_path / "study/study.db", "SELECT * FROM trials")
    assert set(finished) <= set(now)


def test_a_storage_that_fails_in_a_report_ends_the_session_and_not_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inline, the report is made inside the training: it must not fail for it."""

    def down(self: Study, number: int, step: int, value: float) -> None:
        raise StudyError("the storage does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(Study, "report", down)
        with pytest.raises(StudyError, match="does not answer"):
            tuned(tmp_path, "study.trials=3")
    assert states(tuned(tmp_path, "study.trials=3", NO_PRUNING)) == ["done"] * 3


def test_ctrl_c_says_how_to_resume_and_the_trial_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Study.report

    def pressed(self: Study, number: int, step: int, value: float) -> None:
        original(self, number, step, value)
        if (number, step) == (1, 3):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Study, "report", pressed)
        with pytest.raises(Interrupted, match=r"same command again.*total stays 3"):
            tuned(tmp_path, "study.trials=3", NO_PRUNING)
    found = tuned(tmp_path, "study.trials=3", NO_PRUNING)
    assert states(found) == ["done"] * 3
    lines = (tmp_path / "study/trials/00001/progress.jsonl").read_text().splitlines()
    starts = [json.loads(line) for line in lines if "resumed_from" in line]
    assert starts == [{"attempt": 1, "resumed_from": 0}, {"attempt": 2, "resumed_from": 2}]


def test_late_lines_of_an_earlier_attempt_are_not_taken_for_the_new_one(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        tuned(tmp_path, "study.trials=1", NO_PRUNING, watch=PressesCtrlC())
    progress = tmp_path / "study/trials/00000/progress.jsonl"
    folder = StudyFolder(tmp_path / "study").trial(0)
    assert folder.attempt == 1

    class Late(StudyCallback):
        """Writes as an old worker would, when the new attempt has begun."""

        def on_trial_start(self, number: int, values: Mapping[str, Any], where: str) -> None:
            line = {"attempt": 1, "step": 8, "metrics": {"val_score": 99.0}}
            with progress.open("a") as stream:
                stream.write(json.dumps(line | {"seconds": 1.0, "memory_mib": 1.0}) + "\n")

    found = tuned(tmp_path, "study.trials=1", NO_PRUNING, watch=Late())
    [trial] = found.record.trials
    assert trial.state == "done"
    assert 99.0 not in trial.curve.values()


class PressesCtrlC(StudyCallback):
    """Presses Ctrl-C when the first trial starts."""

    def on_trial_start(self, number: int, values: Mapping[str, Any], where: str) -> None:
        raise KeyboardInterrupt


def test_a_decision_to_prune_outlives_the_coordinator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunewright.runs.folder import RunFolder
    from tunewright.runs.record import EndRequest

    original = RunFolder.write_request

    def cutting(self: RunFolder, request: EndRequest) -> None:
        original(self, request)
        raise Unplugged

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "write_request", cutting)
        with pytest.raises(Unplugged):
            tuned(tmp_path, "study.trials=12", RUNGS)
    running = rows(tmp_path / "study/study.db", "SELECT number FROM trials WHERE state='RUNNING'")
    [(number,)] = running
    found = tuned(tmp_path, "study.trials=12", RUNGS)
    assert found.record.trials[number].state == "pruned"
    assert max(found.record.trials[number].curve) == 2


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("goal=val_loss", StudyError, "has the goal 'val_score'"),
        ("training.epochs=20", StudyError, "begun with another configuration: training.epochs"),
        ("faults.kind=error", StudyError, "begun with another configuration: faults.kind"),
        ("goal=val_scor", ConfigError, "Did you mean 'val_score'"),
        ("study.pruner.min_resource=8", ConfigError, "would never prune"),
        ("study.jobs=2", ConfigError, "executor.type=inline, which has one process"),
    ],
)
def test_what_would_spoil_the_comparison_is_refused(
    tmp_path: Path, override: str, error: type[Exception], message: str
) -> None:
    tuned(tmp_path, "study.trials=2")
    with pytest.raises(error, match=message):
        tuned(tmp_path, "study.trials=4", override)
    assert rows(tmp_path / "study/study.db", "SELECT COUNT(*) FROM trials") == [(2,)]


def test_without_a_space_the_study_goes_on_in_the_one_it_has(tmp_path: Path) -> None:
    narrow = {"parameters": {"point.x": {"type": "float", "low": 0.0, "high": 2.0}}}
    tuned(tmp_path, "study.trials=2", space=narrow)
    found = tuned(tmp_path, "study.trials=3")
    assert all(0.0 <= trial.parameters["point.x"] <= 2.0 for trial in found.record.trials)


def test_a_trial_that_takes_too_long_is_ended_at_its_next_report(tmp_path: Path) -> None:
    found = tuned(
        tmp_path,
        "study.trials=1",
        "epoch_seconds=0.05",
        "executor.trial_timeout=0.12",
        "training.epochs=100",
        NO_PRUNING,
    )
    [trial] = found.record.trials
    assert (trial.state, trial.cause) == ("failed", "timed out")
    assert trial.reason == "did not finish within 0.12 s"
    assert len(trial.curve) < 20, "the training did not run on"
