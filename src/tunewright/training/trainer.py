"""How anything is trained: one loop for all recipes, in the order things happen.

Nothing here is named for a recipe. What is trained, and the hooks, are in `training.task`; the
order of one step is in `training.step`; what a checkpoint holds, and when a training ends, is in
`training.state`.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from tunewright.config.schema import RunConfig
from tunewright.errors import DataError
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import EndRequest, Outcome
from tunewright.training.autotune.memory_format import Layout, lay_out
from tunewright.training.autotune.precision import Precision
from tunewright.training.checkpoint import Checkpoints, State
from tunewright.training.costs import latency_ms, size_of
from tunewright.training.goal import score_of
from tunewright.training.optim import make_optimizer, set_training
from tunewright.training.randomness import seed_all
from tunewright.training.ranks.batch_norm import share_batch_norms
from tunewright.training.ranks.batch_parts import BatchParts
from tunewright.training.ranks.evaluation import evaluate_together
from tunewright.training.ranks.following import FollowedCheckpoints
from tunewright.training.ranks.random_rows import RandomRows
from tunewright.training.ranks.ranks import ALONE, Ranks
from tunewright.training.reporter import Reporter
from tunewright.training.schedule import factor, warmup_notices
from tunewright.training.state.bad_steps import (
    count_if_skipped,
    first_bad_step,
    refuse_divergence,
)
from tunewright.training.state.checkpoint_state import CheckpointParts, resume
from tunewright.training.state.kept_predictions import write_predictions
from tunewright.training.state.train_state import TrainState
from tunewright.training.step import (
    MixedPrecision,
    TrainingStep,
    micro_batches,
    steps_per_epoch,
)
from tunewright.training.task import Clock, Loader, Metrics, Setup, Task
from tunewright.training.usage.data_wait import TimedBatches
from tunewright.training.weight_average import WeightAverage, average_notices

GOAL_PREFIX = "val_"


@dataclass(frozen=True)
class TrainingPlan:
    """How a run is trained, and which validation metric decides what is best.

    precision, layout, compiled: what `auto` in the configuration was resolved to.
    """

    config: RunConfig
    metric: str
    direction: Literal["max", "min"]
    precision: Precision = "no"
    layout: Layout = "contiguous"
    compiled: bool = False


def train(
    setup: Setup,
    plan: TrainingPlan,
    report: Reporter,
    folder: RunFolder,
    ranks: Ranks = ALONE,
) -> Outcome:
    """Train until the horizon, early stopping, or a request; resume if there is a checkpoint.

    ranks: the processes that train together, each of which calls this; only rank 0 writes. The best
    weights are on disk afterwards; the model has the last ones. Raises Diverged when the
    loss or the goal stops being finite, ConfigError when the task does not measure the goal.
    """
    try:
        return _Run(setup, plan, report, folder, ranks).outcome()
    finally:
        # Accelerate's state is global; the next run of this worker process needs its own.
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()


class _Run:
    """One attempt at a run: the objects that live through its epochs."""

    def __init__(
        self,
        setup: Setup,
        plan: TrainingPlan,
        report: Reporter,
        folder: RunFolder,
        ranks: Ranks,
    ) -> None:
        self.setup, self.task, self.report = setup, setup.task, report
        self.folder, self.ranks = folder, ranks
        self.batches: Loader = setup.train if ranks.alone else BatchParts(setup.train, ranks)
        self.plan, self.training = plan, plan.config.training
        self.accelerator = Accelerator(
            cpu=not torch.cuda.is_available(), mixed_precision=plan.precision
        )
        lay_out(setup.model, plan.layout)
        share_batch_norms(setup.model, ranks)
        self.optimizer = make_optimizer(plan.config.optim, self.task.param_groups(setup.model))
        self.model: nn.Module = self.accelerator.prepare(setup.model)
        decay = self.training.ema_decay
        self.average = WeightAverage(self.model, decay) if decay is not None else None
        off = GradScaler(self.accelerator.device.type, enabled=False)
        scaler = self.accelerator.scaler or off
        device = self.accelerator.device
        self.random = RandomRows(self.model, ranks, device, plan.config.seed)
        self.step = TrainingStep(
            self.task,
            self.model,
            self.optimizer,
            MixedPrecision(self.accelerator.autocast, scaler),
            clip_norm=self.training.clip_norm,
            average=self.average,
            # Shares its weights with the model; checkpoints, the average and evaluation use that.
            stepping=cast(nn.Module, torch.compile(self.model)) if plan.compiled else None,
            ranks=ranks,
            random=self.random,
        )
        self.parts = CheckpointParts(
            self.model, self.optimizer, self.task, self.average, self.accelerator.scaler
        )
        kind = Checkpoints if ranks.leads else FollowedCheckpoints
        self.checkpoints = kind(
            folder.checkpoints,
            keep_last=self.training.keep_last,
            keep_best=self.training.keep_best,
            direction=plan.direction,
            metric=plan.metric,
        )
        self.steps_per_epoch = steps_per_epoch(setup.train, self.training.accumulate)
        self.state = TrainState()
        self.notes = warmup_notices(plan.config.schedule, self._clock.steps)
        if decay is not None:
            self.notes += average_notices(decay, self._clock.steps)
        if not self.checkpoints.keep_best:
            self.notes.append(
                "no weights are kept (training.keep_best=0); checkpoints/best.json names the best "
                "epoch"
            )
        self.lr = 0.0  # of the last step, before the `lr_scale` of groups
        self.data_wait = 0.0  # share of the last epoch's training
        self._best_pass: Metrics | None = None  # whose interval is not yet computed
        self._unwritten: Metrics | None = None  # the best pass, where its predictions are kept

    def outcome(self) -> Outcome:
        seed_all(self.plan.config.seed)
        self.state = resume(self.parts, self.checkpoints) or self.state
        self._begin_alike()
        self.report.begin(self.state.epoch)
        for note in self.notes:
            print(note)
        started = time.perf_counter() - self.state.seconds
        saved = time.perf_counter()
        request: EndRequest | None = None
        while self._goes_on() and request is None:
            terms, request = self._train_epoch()
            if request is not None:
                break
            self.state.epoch += 1
            metrics, scores = self._validate()
            self.state.seconds = time.perf_counter() - started
            self._record(metrics, scores)
            # The report precedes the checkpoint: a kill between them repeats epochs, while
            # the other order would lose the value of this one.
            seconds = self.state.seconds
            is_best = self.state.best_epoch == self.state.epoch
            metrics_by_name = {**terms, **scores, **self.task.epoch_values(is_best=is_best)}
            self.report.report(
                self.state.epoch, metrics_by_name, seconds, self.lr, data_wait=self.data_wait
            )
            request = self.ranks.from_leader(self.report.request())
            due = time.perf_counter() - saved >= self.training.checkpoint_seconds
            # Several states that are kept are those of the last epochs, however short these are.
            left = self.training.epochs - self.state.epoch
            due = due or 1 <= left < self.checkpoints.keep_last
            if self._goes_on() and (due or request is not None) and not _prunes(request):
                self.checkpoints.flush(self.state.epoch, self._checkpoint)
                saved = time.perf_counter()
        if request is None or not self._goes_on():
            self.checkpoints.finish(self.state.epoch, self._checkpoint)
            request = None
        return self._end(request)

    def _begin_alike(self) -> None:
        """Make sure that all ranks go on from the same epoch, with the same weights."""
        if self.ranks.alone:
            return
        epoch = self.ranks.from_leader(self.state.epoch)
        if epoch != self.state.epoch:
            raise DataError(
                f"process {self.ranks.rank} read a checkpoint of epoch {self.state.epoch}",
                expected=f"that of epoch {epoch}, which process 0 read",
                remedy="Check that all processes see the same files, and run the command again.",
            )
        state = [*self.model.parameters(), *self.model.buffers()]
        self.ranks.copy_from_leader_([tensor.data for tensor in state])

    def _train_epoch(self) -> tuple[dict[str, float], EndRequest | None]:
        """Train on every batch once; return the mean losses, or the request that ended it.

        Steps that were left out are counted in `skipped_steps`, and not in the means.
        """
        self.model.train()
        self.task.on_epoch(self.model, self._clock)
        self.random.begin_epoch(self.state.epoch)
        sums: dict[str, Tensor] = {}
        first_bad: Tensor | None = None  # stays on the device: no step waits for it
        total: float | Tensor = 0.0  # of the weights of all steps: of their rows, as a rule
        skipped, skips = self.state.skipped_steps, self.task.skips_bad_steps
        loader = TimedBatches(self.batches.epoch(self.state.epoch))
        for batches in micro_batches(loader, self.training.accumulate):
            lr_factor = factor(self.plan.config.schedule, self._clock)
            self.lr = self.plan.config.optim.lr * lr_factor
            loss = self.step.take(batches, self._clock, lr_factor, only_if_finite=skips)
            self.state.step += 1
            if not (skips and count_if_skipped(self.state, loss.total)):
                first_bad = first_bad_step(first_bad, loss.total, self.state.step)
                weight = self.step.weight
                total = total + weight
                for name, value in {"loss": loss.total, **loss.terms}.items():
                    weighted = value.detach() * weight
                    sums[name] = sums[name] + weighted if name in sums else weighted
            request = self.ranks.from_leader(self.report.request())
            if request is not None and request.kind != "pause":  # a pause waits for the epoch
                return {}, request
        refuse_divergence(first_bad)
        means = {f"train_{name}": float(value / total) for name, value in sums.items()}
        self.data_wait = loader.share()  # after the device has ended the epoch's work
        skipped = self.state.skipped_steps - skipped
        return means | ({"skipped_steps": float(skipped)} if skipped else {}), None

    def _validate(self) -> tuple[Metrics, dict[str, float]]:
        set_training(self.optimizer, training=False)  # the weights to keep, where these are others
        model, valid = self._best_model, self.setup.valid
        if self.ranks.alone:
            metrics = run_evaluation(self.task, model, valid)
        else:
            metrics = evaluate_together(self.task, model, valid, self.ranks)
        found = self.ranks.from_leader(metrics.compute() if self.ranks.leads else None) or {}
        scores = {f"{GOAL_PREFIX}{name}": value for name, value in found.items()}
        self.task.on_valid(scores, self._clock)
        return metrics, scores

    def _record(self, metrics: Metrics, scores: Mapping[str, float]) -> None:
        """Remember the best epoch, and keep its weights."""
        score = score_of(scores, self.plan.metric, when=f"after epoch {self.state.epoch}")
        if self.state.record(score, scores, self.plan.direction, self.training.min_delta):
            self._best_pass = metrics if self.ranks.leads else None
            keeps = self.ranks.leads and self.training.keep_predictions
            self._unwritten = metrics if keeps else None
        self.checkpoints.offer(
            self.state.epoch, score, scores, lambda: self._best_model.state_dict()
        )

    def _end(self, request: EndRequest | None) -> Outcome:
        if request is None:
            self._write_predictions()
        end = {None: "done", "pause": "paused", "prune": "pruned", "cancel": "failed"}[
            request.kind if request else None
        ]
        return Outcome(
            end,  # type: ignore[arg-type]
            self.report.attempt,
            cause="interrupted" if end == "failed" else "",
            reason=request.reason if request else "",
            best_step=self.state.best_epoch or None,
            metrics=self.state.best_metrics or {},
            seconds=self.state.seconds,
            interval=self._best_interval() if end == "done" else None,
            costs=self._costs(done=end == "done"),
            notes=(*self.notes, *self.state.skipped_notes()),
        )

    def _best_interval(self) -> tuple[float, float] | None:
        """Return the interval of the best score; computed late, since a better one may come."""
        if self._best_pass is not None:
            metric = self.plan.metric.removeprefix(GOAL_PREFIX)
            self.state.best_interval = self._best_pass.interval(metric)
            self._best_pass = None
        return self.state.best_interval

    def _costs(self, *, done: bool) -> dict[str, float]:
        costs = size_of(self.setup.model)
        goals = [goal.partition(":")[0] for goal in self.plan.config.goals]
        if done and self.ranks.leads and (self.training.latency or "latency_ms" in goals):
            costs["latency_ms"] = latency_ms(self.task, self._best_model, self.setup.valid)
        return costs

    def _goes_on(self) -> bool:
        return self.state.goes_on(self.training)

    @property
    def _clock(self) -> Clock:
        return Clock(self.state.epoch, self.state.step, self.training.epochs, self.steps_per_epoch)

    @property
    def _best_model(self) -> nn.Module:
        """The model that is evaluated and kept: the average of weights if there is one."""
        return self.average.module if self.average is not None else self.model

    def _write_predictions(self) -> None:
        if self._unwritten is not None:
            write_predictions(self.folder, self._unwritten)
            self._unwritten = None

    def _checkpoint(self) -> State:
        self._write_predictions()
        return self.parts.save(lambda: replace(self.state, best_interval=self._best_interval()))


def evaluate(task: Task, model: nn.Module, loader: Loader) -> dict[str, float]:
    """Return the task's metrics of `model` over one pass of `loader`, in evaluation mode."""
    return run_evaluation(task, model, loader).compute()


def run_evaluation(task: Task, model: nn.Module, loader: Loader) -> Metrics:
    """Return the task's collector after one pass of `loader`, in evaluation mode."""
    metrics = task.metrics()
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for batch in loader.epoch(0):
            metrics.update(task.predict(model, batch))
    model.train(was_training)
    return metrics


def _prunes(request: EndRequest | None) -> bool:
    return request is not None and request.kind == "prune"
