"""Balanced trainings as runs: exact resumes, what is logged, how they fail."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tunewright import job
from tunewright.config.compose import compose
from tunewright.errors import ConfigError
from tunewright.recipes.compression.balance.task import BalancedTask, FamoTask
from tunewright.recipes.compression.data.crops import Crops
from tunewright.recipes.compression.evaluation.evaluation import evaluate
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import EndRequest, Outcome, Progress
from tunewright.search.prepare import build_checked_space, run_part, stage
from tunewright.spaces.domain import Float
from tunewright.training.checkpoint import load_weights
from tunewright.training.trackers.mlflow import acceptable_names
from tunewright.training.trackers.tracker import RunInfo

RECIPE = find_recipe("compression")
SMALL = (
    "model=hyperprior",
    "model.channels=8",
    "model.latent=12",
    "data.crop=64",
    "data.crops_per_photo=8",
    "optim.lr=2e-3",
    "training.batch_size=4",
    "training.epochs=4",
    "training.checkpoint_seconds=0",
)
FAMO = ("balance=famo", "balance.w_lr=0.05", "optim=cautious_adam")
ADAPTIVE = ("balance.schedule.type=adaptive", "balance.schedule.window=2")
LOGGED = ("gamma", "task_weights/distortion", "task_weights/bpp", "checkpoint/is_best")


class Run:
    """A run in this process, attempt after attempt."""

    def __init__(self, path: Path, *overrides: str) -> None:
        self.folder = RunFolder(path)
        self.folder.write_config(run_part(compose(RECIPE, [*SMALL, *overrides]).tree))

    def attempt(self, pause_after: int | None = None) -> Outcome:
        attempt = self.folder.begin_attempt()

        def pause() -> None:
            if read_progress(self.folder.progress)[-1].step == pause_after:
                self.folder.write_request(EndRequest("pause", attempt))

        return job.run(self.folder, threads=1, on_report=pause, redirect=False)

    @property
    def curve(self) -> list[Mapping[str, float]]:
        return [report.metrics for report in read_progress(self.folder.progress)]

    @property
    def state(self) -> dict[str, Any]:
        loaded: dict[str, Any] = torch.load(self.folder.checkpoints / "last.pt", weights_only=True)
        loaded["standing"].pop("seconds")
        return loaded


def equal(one: Any, other: Any) -> bool:
    """Whether two nested states are equal, bit for bit."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, Sequence) and not isinstance(one, str):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


@pytest.mark.parametrize(
    "options",
    [
        FAMO,
        (*FAMO, *ADAPTIVE, "balance.every=3", "training.accumulate=2", "training.ema_decay=0.9"),
        ("balance=qp", "balance.every=3"),
    ],
)
def test_two_and_two_epochs_are_four(tmp_path: Path, options: Sequence[str]) -> None:
    whole, halves = Run(tmp_path / "whole", *options), Run(tmp_path / "halves", *options)
    assert whole.attempt().state == "done"
    assert halves.attempt(pause_after=2).state == "paused"
    torch.rand(17)  # whatever the worker did in between
    assert halves.attempt().state == "done"
    assert whole.curve == halves.curve
    assert equal(whole.state, halves.state)
    best = [load_weights(run.folder.checkpoints / "best.safetensors") for run in (whole, halves)]
    assert equal(*best)
    weights = [report["task_weights/bpp"] for report in whole.curve]
    assert len(set(weights)) == 4, "the weights did not move, so that nothing was tested"


def test_a_checkpoint_that_also_has_the_last_losses_goes_on_exactly(tmp_path: Path) -> None:
    """Earlier versions stored them; they are those of the step, and no step is half done."""
    whole, halves = Run(tmp_path / "whole", *FAMO), Run(tmp_path / "halves", *FAMO)
    whole.attempt()
    halves.attempt(pause_after=2)
    file = halves.folder.checkpoints / "last.pt"
    state = torch.load(file, weights_only=True)
    state["task"]["previous_losses"] = torch.tensor([8.0, 0.5])
    torch.save(state, file)
    assert halves.attempt().state == "done"
    assert whole.curve == halves.curve
    assert equal(whole.state, halves.state)


@pytest.mark.slow
def test_a_killed_process_goes_on_exactly(tmp_path: Path) -> None:
    whole = Run(tmp_path / "whole", *FAMO, *ADAPTIVE, "training.epochs=8")
    whole.attempt()
    killed = Run(tmp_path / "killed", *FAMO, *ADAPTIVE, "training.epochs=8")
    killed.folder.begin_attempt()
    code = (
        "import sys; from pathlib import Path; from tunewright import job; "
        "from tunewright.runs.folder import RunFolder; "
        "job.run(RunFolder(Path(sys.argv[1])), threads=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(killed.folder.path)])
    deadline = time.monotonic() + 120
    while len(read_progress(killed.folder.progress)) < 3 and time.monotonic() < deadline:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 3 <= len(killed.curve) < 8
    assert killed.attempt().state == "done"
    assert killed.curve == whole.curve
    assert equal(killed.state, whole.state)


def test_gamma_and_weights_are_logged_and_drawn(tmp_path: Path) -> None:
    run = Run(tmp_path, *FAMO, "balance.schedule.type=linear", "balance.schedule.final=0.002")
    outcome = run.attempt()
    curve = run.curve
    assert [report["gamma"] for report in curve] == pytest.approx([0.003, 0.00275, 0.0025, 0.00225])
    for report in curve:
        weights = report["task_weights/distortion"], report["task_weights/bpp"]
        assert sum(weights) == pytest.approx(1.0)
        # The loss that is reported and compared is the plain one.
        plain = report["train_distortion"] + report["train_bpp"]
        assert report["train_loss"] == pytest.approx(plain, rel=1e-4)
    best = list(itertools.accumulate((report["val_loss"] for report in curve), min))
    expected = [report["val_loss"] == least for report, least in zip(curve, best, strict=True)]
    assert [report["checkpoint/is_best"] == 1.0 for report in curve] == expected
    assert outcome.state == "done"
    evaluation = evaluate(tmp_path)
    assert "curves.html" in evaluation["files"]
    page = (tmp_path / "curves.html").read_text().replace(r"\u002f", "/")
    for name in LOGGED:
        assert f'"{name}"' in page.replace(r"\"", '"'), name


def test_the_plain_loss_logs_none_of_it(tmp_path: Path) -> None:
    run = Run(tmp_path, "training.epochs=1")
    run.attempt()
    assert not set(LOGGED) & run.curve[0].keys()


class Recorder:
    """A tracker that keeps what it is sent."""

    def __init__(self) -> None:
        self.reports: list[Progress] = []

    def start(self, run: RunInfo) -> None:
        pass

    def log(self, reports: Sequence[Progress]) -> None:
        self.reports += reports

    def finish(self, outcome: Outcome) -> None:
        pass


def test_trackers_get_gamma_and_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr(job, "make_trackers", lambda _: {"recorder": recorder})
    run = Run(tmp_path, *FAMO, "training.epochs=2")
    run.attempt()
    assert [report.step for report in recorder.reports] == [1, 2]
    for report, line in zip(recorder.reports, run.curve, strict=True):
        assert report.metrics == line
        assert {*LOGGED} <= report.metrics.keys()
    # MLflow is the one that restricts names: it takes these as they are.
    assert acceptable_names(LOGGED) == {name: name for name in LOGGED}


# --- steps that are not finite --------------------------------------------------------------------


def poison(monkeypatch: pytest.MonkeyPatch, bad: Callable[[int], bool]) -> list[dict[str, Any]]:
    """Replace the crops of some steps, counted from 0, by NaN; return the task's states by step."""
    states: list[dict[str, Any]] = []
    steps = itertools.count()
    whole, backward = Crops.epoch, FamoTask.backward

    def epoch(self: Crops, number: int) -> Any:
        for batch in whole(self, number):
            poisoned = self.order.batching.shuffle and bad(next(steps))
            yield torch.full_like(batch, torch.nan) if poisoned else batch

    def watched(self: FamoTask, model: Any, batches: Any, context: Any) -> Any:
        states.append(
            {
                "weights": [p.detach().clone() for p in model.parameters()],
                "moments": [v.clone() for s in context.optimizer.state.values() for v in s.values()
                            if isinstance(v, Tensor)],
                "task": torch_copy(self.state_dict()),
            }
        )  # fmt: skip
        return backward(self, model, batches, context)

    monkeypatch.setattr(Crops, "epoch", epoch)
    monkeypatch.setattr(FamoTask, "backward", watched)
    return states


def torch_copy(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.clone()
    if isinstance(state, Mapping):
        return {key: torch_copy(value) for key, value in state.items()}
    return [torch_copy(value) for value in state] if isinstance(state, list | tuple) else state


def test_a_step_that_is_not_finite_moves_nothing_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = poison(monkeypatch, lambda step: step in (1, 2, 5))
    run = Run(tmp_path, *FAMO, "training.epochs=2")
    outcome = run.attempt()
    assert outcome.state == "done"
    assert equal(states[1], states[2])
    assert equal(states[2], states[3])
    assert equal(states[5], states[6])
    assert not equal(states[3], states[4])
    per_epoch = len(states) // 2
    expected = [sum(step // per_epoch == epoch for step in (1, 2, 5)) for epoch in (0, 1)]
    assert [report.get("skipped_steps", 0) for report in run.curve] == expected
    assert any("3 of 8 steps were left out" in note for note in outcome.notes)
    assert all(torch.isfinite(torch.tensor(list(report.values()))).all() for report in run.curve)


def test_three_in_a_row_end_the_run_as_diverged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, lambda step: step >= 2)
    outcome = Run(tmp_path, *FAMO).attempt()
    assert (outcome.state, outcome.cause) == ("failed", "diverged")
    assert "3 steps in a row, the last one step 5" in outcome.reason
    assert "optim.lr" in outcome.reason


def test_weights_that_stay_with_one_task_are_a_named_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = FamoTask.on_epoch

    def collapse(self: FamoTask, model: Any, clock: Any) -> None:
        begin(self, model, clock)
        if clock.epoch == 1:
            self.task_weights.logits.copy_(torch.tensor([-4.0, 4.0]))

    monkeypatch.setattr(FamoTask, "on_epoch", collapse)
    run = Run(tmp_path, *FAMO, "balance.gamma=1e-6")
    outcome = run.attempt()
    assert (outcome.state, outcome.cause) == ("failed", "task weights collapsed")
    assert "bpp had more than 0.99 of the weight in every step of epoch 2" in outcome.reason
    assert "balance.gamma" in outcome.reason
    assert len(run.curve) == 1


def test_a_weight_that_is_large_for_a_part_of_an_epoch_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = BalancedTask._count
    steps = itertools.count()

    def alternate(self: BalancedTask, weights: Tensor) -> None:
        least = 0.98 if next(steps) % 4 == 3 else 0.999
        count(self, torch.tensor([least, 1 - least], dtype=torch.float64))

    monkeypatch.setattr(BalancedTask, "_count", alternate)
    assert Run(tmp_path, *FAMO).attempt().state == "done"


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["gamma", "w_lr"])
@pytest.mark.parametrize("value", ["-0.001", "0", "nan", "inf", "fast", "true", "null"])
def test_gamma_and_w_lr_are_positive_numbers(key: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(RECIPE, ["balance=famo", f"balance.{key}={value}"])
    message = str(caught.value)
    assert message.startswith(f"balance.{key} = ")
    assert f"override 'balance.{key}={value}'" in message
    assert "expected" in message


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "x"])
def test_every_is_a_count(value: str) -> None:
    for kind in ("famo", "qp"):
        with pytest.raises(ConfigError, match=r"balance\.every"):
            compose(RECIPE, [f"balance={kind}", f"balance.every={value}"])


def test_a_key_of_another_kind_and_an_unknown_kind_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"balance\.gamma"):
        compose(RECIPE, ["balance=qp", "balance.gamma=0.003"])
    with pytest.raises(ConfigError, match="none, famo, qp"):
        compose(RECIPE, ["balance.type=fam"])


@pytest.mark.parametrize(("kind", "searched"), [("famo", True), ("qp", False), ("none", False)])
def test_a_study_searches_gamma_and_w_lr_where_the_balance_is_famo(
    kind: str, searched: bool
) -> None:
    composed = compose(RECIPE, [f"balance={kind}"])
    tree, config = stage(RECIPE, composed, "explore")
    space, _ = build_checked_space(RECIPE, composed, tree, config, None)
    drawn = space.default()
    assert drawn is not None
    found = {path: value for path, value in drawn.items() if path.startswith("balance.")}
    assert found == ({"balance.gamma": 0.003, "balance.w_lr": 0.025} if searched else {})
    if searched:
        gamma, w_lr = space["balance.gamma"].domain, space["balance.w_lr"].domain
        assert isinstance(gamma, Float)
        assert isinstance(w_lr, Float)
        assert (gamma.low, gamma.high, gamma.log) == (0.0005, 0.015, True)
        assert (w_lr.low, w_lr.high, w_lr.log) == (0.01, 0.05, False)


def test_a_study_may_draw_any_gamma_of_its_range() -> None:
    """The final gamma is never above the drawn one, unless somebody sets it."""
    for schedule in ("linear", "hpcm", "fixed"):
        typed = ["balance=famo", f"balance.schedule.type={schedule}", "balance.gamma=0.0007"]
        composed = compose(RECIPE, typed)
        tree, config = stage(RECIPE, composed, "explore")
        space, _ = build_checked_space(RECIPE, composed, tree, config, None)
        assert space.broken_rule({"balance.gamma": 0.0007}) is None
