"""The one trainer: a resume is the same training, and each option does what it says."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from practice.blobs.setup import BlobsMetrics, BlobsTask, make_setup
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tunewright import job
from tunewright.config.compose import compose
from tunewright.errors import ConfigError, DataError, Diverged
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import EndRequest, Outcome
from tunewright.search.prepare import run_part
from tunewright.training.checkpoint import load_weights, read_best
from tunewright.training.randomness import seed_all
from tunewright.training.reporter import Reporter
from tunewright.training.task import Batch, Clock, Loss, Setup
from tunewright.training.trainer import TrainingPlan, train

CPU = torch.device("cpu")
EVERY_EPOCH = "training.checkpoint_seconds=0"
HARD = ("training.ema_decay=0.9", "training.accumulate=2", "training.clip_norm=0.5")


class Run:
    """A run of `blobs` in this process, attempt after attempt."""

    def __init__(self, path: Path, *overrides: str) -> None:
        self.folder = RunFolder(path)
        self.config = compose(find_recipe("blobs"), overrides).config
        self.setups: list[Setup] = []

    def attempt(self, *, ask: tuple[str, int] | None = None, **replaced: Any) -> Outcome:
        """ask: a request that is made when so many epochs were reported."""
        reporter: Reporter
        attempt = self.folder.begin_attempt()

        def heard() -> None:
            if ask and read_progress(self.folder.progress)[-1].step == ask[1]:
                self.folder.write_request(EndRequest(ask[0], attempt))  # type: ignore[arg-type]

        reporter = Reporter(self.folder, attempt, heard)
        torch.set_num_threads(1)
        seed_all(self.config.seed)
        setup = replace(make_setup(self.config, CPU), **replaced)  # type: ignore[arg-type]
        self.setups.append(setup)
        plan = TrainingPlan(self.config, *find_recipe("blobs").goal(self.config.goal))
        try:
            return train(setup, plan, reporter, self.folder)
        finally:
            reporter.close()

    @property
    def state(self) -> dict[str, Any]:
        loaded: dict[str, Any] = torch.load(self.folder.checkpoints / "last.pt", weights_only=True)
        return loaded

    @property
    def curve(self) -> list[Mapping[str, float]]:
        return [report.metrics for report in read_progress(self.folder.progress)]


class Keeps(BlobsMetrics):
    """Keeps the accuracy of its pass."""

    def predictions_to_keep(self) -> dict[str, Tensor]:
        return {"accuracy": torch.tensor(self.compute()["accuracy"])}


@pytest.mark.parametrize("ask", [None, ("pause", 3)])
def test_the_best_epochs_predictions_are_kept_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: tuple[str, int] | None
) -> None:
    monkeypatch.setattr(BlobsTask, "metrics", lambda self: Keeps())
    run = Run(tmp_path, EVERY_EPOCH, "training.epochs=6", "training.keep_predictions=true")
    if ask is not None:
        run.attempt(ask=ask)
    outcome = run.attempt()
    kept = load_file(run.folder.predictions)
    assert float(kept["accuracy"]) == pytest.approx(outcome.metrics["val_accuracy"])
    other = Run(tmp_path / "other", "training.epochs=1")
    other.attempt()
    assert not other.folder.predictions.exists()


def differing(one: Any, other: Any, path: str = "") -> list[str]:
    """The places at which two nested states are not equal, bit for bit."""
    if isinstance(one, Tensor):
        return [] if torch.equal(one, other) else [path]
    if isinstance(one, Mapping):
        assert one.keys() == other.keys()
        return [d for key in one for d in differing(one[key], other[key], f"{path}.{key}")]
    if isinstance(one, Sequence) and not isinstance(one, str):
        assert len(one) == len(other)
        pairs = enumerate(zip(one, other, strict=True))
        return [d for i, (a, b) in pairs for d in differing(a, b, f"{path}.{i}")]
    return [] if one == other else [path]


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
@pytest.mark.parametrize("options", [(), HARD, ("optim=sgd", "schedule.warmup_steps=5")])
def test_two_and_two_epochs_are_four(tmp_path: Path, options: Sequence[str], schedule: str) -> None:
    """Weights, average, optimiser, dropout, batch norm, task and generators, bit for bit."""
    options = [f"schedule={schedule}", EVERY_EPOCH, *options]
    whole = Run(tmp_path / "whole", *options)
    assert whole.attempt().state == "done"
    halves = Run(tmp_path / "halves", *options)
    assert halves.attempt(ask=("pause", 2)).state == "paused"
    torch.rand(17)  # whatever the worker did in between
    outcome = halves.attempt()
    assert outcome.state == "done"
    ignored = {".standing.seconds"}
    assert set(differing(whole.state, halves.state)) <= ignored
    assert whole.curve == halves.curve
    best = [run.folder.checkpoints / "best.safetensors" for run in (whole, halves)]
    assert differing(*map(load_weights, best)) == []
    assert read_best(best[0]) == read_best(best[1])


def test_a_kill_between_two_checkpoints_repeats_epochs_and_changes_nothing(
    tmp_path: Path,
) -> None:
    whole = Run(tmp_path / "whole", EVERY_EPOCH)
    whole.attempt()
    killed = Run(tmp_path / "killed", EVERY_EPOCH)

    class Kill(BaseException):
        pass

    class Dies(BlobsTask):
        def on_valid(self, scores: Mapping[str, float], clock: Clock) -> None:
            if clock.epoch == 3:
                raise Kill

    with pytest.raises(Kill):
        killed.attempt(task=Dies())
    assert len(killed.curve) == 2
    killed.attempt()
    assert killed.curve == whole.curve
    assert set(differing(whole.state, killed.state)) <= {".standing.seconds"}
    lines = killed.folder.progress.read_text().splitlines()
    starts = [json.loads(line) for line in lines if "resumed_from" in line]
    assert [start["resumed_from"] for start in starts] == [0, 2]


def test_a_run_that_ended_and_lost_its_outcome_ends_the_same_again(tmp_path: Path) -> None:
    run = Run(tmp_path, EVERY_EPOCH)
    first = run.attempt()
    again = run.attempt()
    assert (again.state, again.best_step, again.metrics) == (
        "done",
        first.best_step,
        first.metrics,
    )
    assert len(run.curve) == 4


def test_dropout_differs_between_epochs_and_seeds_but_not_between_runs(tmp_path: Path) -> None:
    one, same = Run(tmp_path / "1"), Run(tmp_path / "2")
    other = Run(tmp_path / "3", "seed=43")
    for run in (one, same, other):
        run.attempt()
    assert one.curve == same.curve
    assert one.curve != other.curve


def test_micro_batches_make_the_same_step(tmp_path: Path) -> None:
    """Without batch norm and dropout, which see the micro-batch, the gradient is the same."""
    weights = []
    for accumulate in (1, 4):
        run = Run(tmp_path / str(accumulate), f"training.accumulate={accumulate}")
        seed_all(1)
        model = nn.Linear(2, 3)
        run.attempt(model=model, task=Plain())
        assert run.state["standing"]["step"] == 4 * 6
        weights.append(model.weight.detach())
    assert torch.allclose(*weights, atol=1e-6)


def test_a_last_step_with_fewer_micro_batches_is_a_step(tmp_path: Path) -> None:
    run = Run(tmp_path, "training.accumulate=4", "training.epochs=1", "training.batch_size=64")
    steps: list[int] = []

    class Counts(BlobsTask):
        def after_step(self, model: nn.Module, batches: Sequence[Batch], loss: Loss) -> None:
            steps.append(len(batches))

    run.attempt(task=Counts())  # 96 rows in micro-batches of 16
    assert steps == [4, 2]


def test_the_loss_of_an_epoch_is_the_mean_over_its_rows(tmp_path: Path) -> None:
    """Over micro-batches and steps of different sizes: 10 and 7 rows, then a last step of 3."""

    class Uneven:
        def __len__(self) -> int:
            return 3

        def epoch(self, epoch: int) -> Iterator[Batch]:
            return zip(points.split([10, 7, 3]), classes.split([10, 7, 3]), strict=True)

    points, classes = torch.randn(20, 2), torch.arange(20) % 3
    points[17:] *= 20.0
    run = Run(tmp_path, "training.accumulate=2", "training.epochs=1", "optim.lr=1e-12")
    model = nn.Linear(2, 3)
    expected = F.cross_entropy(model(points), classes).item()
    run.attempt(model=model, task=Plain(), train=Uneven())
    assert run.curve[0]["train_loss"] == pytest.approx(expected, rel=1e-5)
    assert run.curve[0]["train_plain"] == pytest.approx(expected, rel=1e-5)


class Plain(BlobsTask):
    """Without the weights that follow the training."""

    def after_step(self, model: nn.Module, batches: Sequence[Batch], loss: Loss) -> None:
        pass


class LeavesOut(BlobsTask):
    """Leaves out steps that are not finite: those in `bad`, counted from 1."""

    skips_bad_steps = True

    def __init__(self, *bad: int) -> None:
        super().__init__()
        self.bad = bad

    def backward(self, model: nn.Module, batches: Any, context: Any) -> Loss:
        loss = super().backward(model, batches, context)
        return loss._replace(total=loss.total * math.nan) if self.due(context) else loss

    def due(self, context: Any) -> bool:
        return context.clock.step + 1 in self.bad

    def epoch_values(self, *, is_best: bool) -> Mapping[str, float]:
        return {"best": float(is_best)}


def test_a_task_can_leave_out_steps_that_are_not_finite(tmp_path: Path) -> None:
    """They are counted over pauses, too; by default the first one ends the run."""
    run = Run(tmp_path, EVERY_EPOCH)
    run.attempt(task=LeavesOut(1, 2, 11, 12, 14), ask=("pause", 2))
    outcome = run.attempt(task=LeavesOut(1, 2, 11, 12, 14))
    assert outcome.state == "done"
    assert [report.get("skipped_steps") for report in run.curve] == [2.0, 2.0, 1.0, None]
    assert outcome.notes[-1].startswith("5 of 24 steps were left out")
    assert all(math.isfinite(report["train_loss"]) for report in run.curve)
    other = Run(tmp_path / "ends")
    with pytest.raises(Diverged, match="not a finite number at step 2"):
        other.attempt(task=type("Ends", (LeavesOut,), {"skips_bad_steps": False})(2))


def test_three_steps_in_a_row_that_are_not_finite_end_the_run(tmp_path: Path) -> None:
    """Also where a pause lies between them."""
    run = Run(tmp_path, EVERY_EPOCH)
    bad = LeavesOut(12, 13, 14)
    run.attempt(task=bad, ask=("pause", 2))
    with pytest.raises(Diverged, match="in 3 steps in a row, the last one step 14"):
        run.attempt(task=bad)


def test_a_task_can_log_more_of_an_epoch(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.attempt(task=LeavesOut())
    accuracies = [report["val_accuracy"] for report in run.curve]
    best = [accuracy > max(accuracies[:i], default=-1.0) for i, accuracy in enumerate(accuracies)]
    assert [report["best"] == 1.0 for report in run.curve] == best


@pytest.mark.parametrize(("clip", "limit"), [("0.01", 0.0101), ("null", math.inf)])
def test_the_gradient_is_clipped_to_its_norm(tmp_path: Path, clip: str, limit: float) -> None:
    norms: list[float] = []

    def look(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norms.append(float(torch.nn.utils.get_total_norm([p.grad for p in parameters])))

    hook = register_optimizer_step_pre_hook(look)
    try:
        Run(tmp_path, f"training.clip_norm={clip}", "training.epochs=1").attempt()
    finally:
        hook.remove()
    assert len(norms) == 6
    assert max(norms) <= limit
    assert min(norms) > 0.0


def test_the_learning_rate_follows_the_schedule_of_the_full_horizon(tmp_path: Path) -> None:
    run = Run(tmp_path, "schedule=linear", "schedule.warmup_fraction=0.0", EVERY_EPOCH)
    run.attempt(ask=("pause", 2))
    groups = run.state["optimizer"]["param_groups"]
    assert [group["lr"] for group in groups] == pytest.approx([0.01 * (1 - 11 / 24)] * 2)


def test_each_epoch_tells_the_learning_rate_of_its_last_step(tmp_path: Path) -> None:
    run = Run(tmp_path, "schedule=linear", "schedule.warmup_epochs=2", EVERY_EPOCH)
    run.attempt(ask=("pause", 3))
    run.attempt()
    reports = read_progress(run.folder.progress)
    after = [1 - 5 / 12, 1 - 11 / 12]  # of the 12 steps of two epochs after the warm-up
    assert [report.lr for report in reports] == pytest.approx(
        [0.005, 0.01, *(0.01 * f for f in after)]
    )
    assert all("lr" not in report.metrics for report in reports)


def test_the_average_of_weights_is_what_is_measured_and_kept(tmp_path: Path) -> None:
    run = Run(tmp_path, "training.ema_decay=0.35", EVERY_EPOCH, "training.epochs=1")
    seen: list[dict[str, Tensor]] = []

    class Watches(BlobsTask):
        def after_step(self, model: nn.Module, batches: Sequence[Batch], loss: Loss) -> None:
            super().after_step(model, batches, loss)
            seen.append(deepcopy(model.state_dict()))

    seed_all(1)
    model = make_setup(run.config, CPU).model  # type: ignore[arg-type]
    expected = deepcopy(model.state_dict())
    run.attempt(model=model, task=Watches())
    for n, state in enumerate(seen):
        decay = min(0.35, (1 + n) / (10 + n))
        for name in ("0.weight", "1.bias", "1.running_mean", "1.running_var"):
            expected[name] = decay * expected[name] + (1 - decay) * state[name]
    average = run.state["average"]
    for name in ("0.weight", "1.bias", "1.running_mean", "1.running_var"):
        assert torch.allclose(average[f"module.{name}"], expected[name], atol=1e-6), name
    assert average["module.1.num_batches_tracked"] == 6
    assert not torch.equal(average["module.0.weight"], run.state["model"]["0.weight"])
    kept = load_weights(run.folder.checkpoints / "best.safetensors")
    assert torch.equal(kept["0.weight"], average["module.0.weight"])
    assert torch.equal(kept["1.running_mean"], average["module.1.running_mean"])


def test_an_average_of_an_older_version_is_taken_up(tmp_path: Path) -> None:
    """Which copied the first weights and all buffers; the names in its state are the same."""
    run = Run(tmp_path, "training.ema_decay=0.999", EVERY_EPOCH)
    run.attempt(ask=("pause", 2))
    state = run.state
    model = make_setup(run.config, CPU).model  # type: ignore[arg-type]
    model.load_state_dict(state["model"])
    old = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    for _ in range(12):
        old.update_parameters(model)
    assert old.state_dict().keys() == state["average"].keys()
    torch.save(state | {"average": old.state_dict()}, run.folder.checkpoints / "last.pt")
    assert run.attempt().state == "done"
    assert run.state["average"]["n_averaged"] == 24


def test_a_short_run_with_a_long_average_is_near_the_one_without(tmp_path: Path) -> None:
    words = ("training.epochs=3", "optim.lr=0.05")
    plain = Run(tmp_path / "plain", *words).attempt()
    averaged = Run(tmp_path / "averaged", *words, "training.ema_decay=0.9999").attempt()
    assert plain.metrics["val_accuracy"] > 0.7
    assert averaged.metrics["val_accuracy"] > plain.metrics["val_accuracy"] - 0.1
    assert plain.notes == ()
    [note] = averaged.notes
    assert "averages over about 10,000 steps, and this run has 18" in note


def test_a_run_that_is_all_warmup_says_so(tmp_path: Path) -> None:
    run = Run(tmp_path, "training.epochs=3", "schedule.warmup_steps=1000").attempt()
    [note] = run.notes
    assert "18 of the 18 steps of this run are warm-up" in note


def test_early_stopping_waits_for_its_patience_and_keeps_the_best(tmp_path: Path) -> None:
    run = Run(tmp_path, "training.patience=2", "training.epochs=20", "optim.lr=1e-9")

    losses = iter([0.9, 0.5, 0.6, 0.7, 0.1])

    class Told(BlobsMetrics):
        def compute(self) -> dict[str, float]:
            return {"loss": next(losses), "accuracy": 0.0}

    class TellsLosses(BlobsTask):
        def metrics(self) -> BlobsMetrics:
            return Told()

    outcome = run.attempt(task=TellsLosses())
    assert outcome.state == "done"
    assert (outcome.best_step, outcome.metrics["val_loss"]) == (2, 0.5)
    assert len(run.curve) == 4


def test_a_rounding_wakes_no_hope(tmp_path: Path) -> None:
    run = Run(tmp_path, "training.patience=2", "training.epochs=20", "optim.lr=1e-9", EVERY_EPOCH)

    class Told(BlobsMetrics):
        def compute(self) -> dict[str, float]:
            return {"loss": 0.3 - 1e-16 * len(run.curve), "accuracy": 0.0}

    class TellsLosses(BlobsTask):
        def metrics(self) -> BlobsMetrics:
            return Told()

    run.attempt(task=TellsLosses())
    assert len(run.curve) == 3


@pytest.mark.parametrize(("min_delta", "epochs"), [(0.0, 7), (0.05, 3), (0.5, 3)])
def test_patience_may_ask_for_more_than_a_little_while_the_best_is_the_best(
    tmp_path: Path, min_delta: float, epochs: int
) -> None:
    run = Run(
        tmp_path,
        "training.patience=2",
        f"training.min_delta={min_delta}",
        "training.epochs=20",
        "optim.lr=1e-9",
        EVERY_EPOCH,
    )
    losses = [0.9, 0.88, 0.86, 0.84, 0.82, 0.83, 0.83, 0.1]

    class Told(BlobsMetrics):
        def compute(self) -> dict[str, float]:
            return {"loss": losses[len(run.curve)], "accuracy": 0.0}

    class TellsLosses(BlobsTask):
        def metrics(self) -> BlobsMetrics:
            return Told()

    if epochs > 3:  # patience is counted on where it stood
        assert run.attempt(task=TellsLosses(), ask=("pause", 6)).state == "paused"
    outcome = run.attempt(task=TellsLosses())
    assert outcome.state == "done"
    assert len(run.curve) == epochs
    best = min(range(epochs), key=lambda epoch: losses[epoch])
    assert (outcome.best_step, outcome.metrics["val_loss"]) == (best + 1, losses[best])
    assert read_best(run.folder.checkpoints / "best.safetensors").epoch == best + 1


@pytest.mark.parametrize(
    ("kind", "state", "resumable"),
    [("pause", "paused", True), ("prune", "pruned", False), ("cancel", "failed", True)],
)
def test_requests_end_a_run_as_asked(
    tmp_path: Path, kind: str, state: str, resumable: bool
) -> None:
    run = Run(tmp_path, "training.checkpoint_seconds=1000")
    outcome = run.attempt(ask=(kind, 2))
    assert (outcome.state, outcome.attempt) == (state, 1)
    assert len(run.curve) == 2
    assert (run.folder.checkpoints / "last.pt").exists() == resumable


def test_a_request_to_an_earlier_attempt_is_not_obeyed(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.folder.path.mkdir(exist_ok=True)
    attempt = run.folder.begin_attempt()
    run.folder.write_request(EndRequest("prune", attempt))
    written = (run.folder.path / "request.json").read_text()
    attempt = run.folder.begin_attempt()
    (run.folder.path / "request.json").write_text(written)  # arrived late
    assert run.folder.read_request(attempt) is None


def test_a_loss_that_is_not_finite_is_named_with_its_step(tmp_path: Path) -> None:
    run = Run(tmp_path, "data.bad_epoch=2")
    with pytest.raises(Diverged, match=r"at step 15\. A lower optim\.lr"):
        run.attempt()
    assert len(run.curve) == 2


def test_a_goal_that_is_not_measured_is_named_with_what_is(tmp_path: Path) -> None:
    run = Run(tmp_path)
    plan = TrainingPlan(run.config, "val_acuracy", "max")
    attempt = run.folder.begin_attempt()
    reporter = Reporter(run.folder, attempt)
    with pytest.raises(ConfigError, match=r"val_acuracy was not measured.*'val_accuracy'"):
        train(make_setup(run.config, CPU), plan, reporter, run.folder)  # type: ignore[arg-type]
    reporter.close()


def test_a_failed_set_up_does_not_spoil_the_next_run_of_a_worker(tmp_path: Path) -> None:
    """Accelerate's state is one a process, and refuses another precision."""

    class Groupless(BlobsTask):
        def param_groups(self, model: nn.Module) -> Any:
            raise ValueError("no groups")

    run = Run(tmp_path / "one")
    with pytest.raises(ValueError, match="no groups"):
        run.attempt(task=Groupless())
    folder = RunFolder(tmp_path / "two")
    tree = compose(find_recipe("blobs"), ["training.precision=bf16"]).tree
    folder.write_config(run_part(tree))
    folder.begin_attempt()
    assert job.run(folder, redirect=False).state == "done"


@pytest.mark.parametrize(("precision", "low"), [("bf16", True), ("no", False)])
def test_the_loss_is_computed_in_the_precision_of_the_run_and_backward_outside_of_it(
    tmp_path: Path, precision: Literal["bf16", "no"], low: bool
) -> None:
    seen: list[tuple[bool, bool]] = []

    class Watching(BlobsTask):
        def backward(self, model: nn.Module, batches: Any, backward: Any) -> Loss:
            total = self.loss(model, batches[0]).total
            inside = torch.is_autocast_enabled("cpu")
            total.register_hook(lambda _: seen.append((inside, torch.is_autocast_enabled("cpu"))))
            backward(total)
            return Loss(total.detach(), {})

    run = Run(tmp_path)
    goal = find_recipe("blobs").goal(run.config.goal)
    reporter = Reporter(run.folder, run.folder.begin_attempt())
    setup = replace(make_setup(run.config, CPU), task=Watching())  # type: ignore[arg-type]
    train(setup, TrainingPlan(run.config, *goal, precision=precision), reporter, run.folder)
    reporter.close()
    assert seen
    assert set(seen) == {(low, False)}


def test_bf16_and_an_average_of_weights_work_together(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    overrides = ["training.precision=bf16", "training.ema_decay=0.9"]
    folder.write_config(run_part(compose(find_recipe("blobs"), overrides).tree))
    folder.begin_attempt()
    outcome = job.run(folder, redirect=False)
    assert outcome.state == "done", outcome.reason
    assert math.isfinite(outcome.metrics["val_loss"])


def test_automatic_choices_are_written_into_the_configuration(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_config(run_part(compose(find_recipe("blobs")).tree))
    folder.begin_attempt()
    job.run(folder, redirect=False)
    assert folder.read_config()["training"]["precision"] in ("fp32", "bf16")


def test_a_run_leaves_the_worker_as_it_found_it(tmp_path: Path) -> None:
    """Flags that a recipe set are reset before the next run, and its numbers do not change."""
    outcomes = []
    for name in ("first", "second"):
        folder = RunFolder(tmp_path / name)
        folder.write_config(run_part(compose(find_recipe("blobs")).tree))
        folder.begin_attempt()
        outcomes.append(job.run(folder, threads=1, redirect=False).metrics)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.rand(5)
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    ("key", "value"),
    [("optimizer", None), ("standing", 3), ("model", {}), ("random", 3), ("task", "absent")],
)
@pytest.mark.parametrize("missing", [True, False])
def test_a_readable_state_that_lacks_something_is_one_sentence_with_a_remedy_that_works(
    tmp_path: Path, key: str, value: object, missing: bool
) -> None:
    run = Run(tmp_path / "run", EVERY_EPOCH)
    assert run.attempt(ask=("pause", 2)).state == "paused"
    file = run.folder.checkpoints / "last.pt"
    rest = {name: kept for name, kept in run.state.items() if name != key}
    torch.save(rest if missing else rest | {key: value}, file)
    with pytest.raises(DataError, match=r"last\.pt does not hold the state .*: rm \S*last\.pt"):
        run.attempt()
    file.unlink()
    assert run.attempt().state == "done"


def test_a_readable_state_without_its_epoch_is_no_state(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", EVERY_EPOCH)
    assert run.attempt(ask=("pause", 2)).state == "paused"
    rest = {name: kept for name, kept in run.state.items() if name != "epoch"}
    torch.save(rest, run.folder.checkpoints / "last.pt")
    assert run.attempt().state == "done"
