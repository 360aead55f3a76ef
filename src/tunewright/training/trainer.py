"""How anything is trained: one loop for all recipes, in the order things happen.

Nothing here is named for a recipe. What is trained, and the hooks, are in `training.task`.
"""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Literal, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from torch import Tensor, nn
from torch.optim import Optimizer

from tunewright.config.schema import RunConfig
from tunewright.errors import Diverged
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import EndRequest, Outcome, is_same
from tunewright.training.autotune.memory_format import Layout, lay_out
from tunewright.training.autotune.precision import Precision
from tunewright.training.checkpoint import Checkpoints, State
from tunewright.training.costs import latency_ms, size_of
from tunewright.training.goal import score_of
from tunewright.training.optim import make_optimizer, set_factor
from tunewright.training.randomness import random_state, restore_random_state, seed_all
from tunewright.training.reporter import Reporter
from tunewright.training.schedule import factor
from tunewright.training.task import Batch, Clock, Loader, Metrics, Setup, Task
from tunewright.training.weight_average import WeightAverage, average_notices

GOAL_PREFIX = "val_"


@dataclass(frozen=True)
class TrainingPlan:
    """How a run is trained, and which validation metric decides what is best.

    precision, layout, compiled: what the configuration's `auto` came to.
    """

    config: RunConfig
    metric: str
    direction: Literal["max", "min"]
    precision: Precision = "no"
    layout: Layout = "contiguous"
    compiled: bool = False


@dataclass
class TrainState:
    """What changes while a run trains, besides weights."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best_score: float | None = None
    best_epoch: int = 0
    best_metrics: Mapping[str, float] | None = None
    best_interval: tuple[float, float] | None = None
    hopeful_score: float | None = None  # the last that was better by enough, and its epoch
    hopeful_epoch: int = 0


def train(setup: Setup, plan: TrainingPlan, report: Reporter, folder: RunFolder) -> Outcome:
    """Train until the horizon, early stopping, or a request; resume if there is a checkpoint.

    The model keeps the best weights afterwards only on disk. Raises Diverged when the loss or
    the goal stops being finite, ConfigError when the task does not measure the goal.
    """
    try:
        return _Run(setup, plan, report, folder).outcome()
    finally:
        # Accelerate's state is one a process; the next run of this worker brings its own.
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()


def resolve_precision(wanted: str, *, cpu: bool) -> Precision:
    """Accelerate's word for a precision; `auto` is bf16 on GPUs that have it, else fp32."""
    if wanted == "auto":
        return "bf16" if not cpu and torch.cuda.is_bf16_supported() else "no"
    return {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}[wanted]  # type: ignore[return-value]


class _Run:
    """One attempt at a run: the objects that live through its epochs."""

    def __init__(
        self, setup: Setup, plan: TrainingPlan, report: Reporter, folder: RunFolder
    ) -> None:
        self.setup, self.task, self.report = setup, setup.task, report
        self.plan, self.training = plan, plan.config.training
        self.accelerator = Accelerator(
            cpu=not torch.cuda.is_available(), mixed_precision=plan.precision
        )
        lay_out(setup.model, plan.layout)
        optimizer = make_optimizer(plan.config.optim, self.task.param_groups(setup.model))
        self.model: nn.Module
        self.optimizer: Optimizer
        self.model, self.optimizer = self.accelerator.prepare(setup.model, optimizer)
        # Shares its weights with the model, and has no part in states, averages and evaluation.
        compiled = torch.compile(self.model) if plan.compiled else self.model
        self.stepping = cast(nn.Module, compiled)
        decay = self.training.ema_decay
        self.average = WeightAverage(self.model, decay) if decay is not None else None
        self.checkpoints = Checkpoints(
            folder.checkpoints,
            keep_last=self.training.keep_last,
            keep_best=self.training.keep_best,
            direction=plan.direction,
        )
        self.steps_per_epoch = math.ceil(len(setup.train) / self.training.accumulate)
        self.standing = TrainState()
        self.notes = average_notices(decay, self._clock.steps) if decay is not None else []
        self.lr = 0.0  # of the last step, before the multiples that groups have
        self._best_pass: Metrics | None = None  # whose interval is not yet computed

    def outcome(self) -> Outcome:
        seed_all(self.plan.config.seed)
        self._resume()
        self.report.begin(self.standing.epoch)
        for note in self.notes:
            print(note)
        started = time.perf_counter() - self.standing.seconds
        saved = time.perf_counter()
        request: EndRequest | None = None
        while self._goes_on() and request is None:
            terms, request = self._train_epoch()
            if request is not None:
                break
            self.standing.epoch += 1
            measured, scores = self._valid()
            self.standing.seconds = time.perf_counter() - started
            self._take(measured, scores)
            # The report precedes the checkpoint: a kill between them repeats epochs, while
            # the other order would lose the value of this one.
            seconds = self.standing.seconds
            self.report.report(self.standing.epoch, {**terms, **scores}, seconds, self.lr)
            request = self.report.request()
            due = time.perf_counter() - saved >= self.training.checkpoint_seconds
            if self._goes_on() and (due or request is not None) and not _prunes(request):
                self.checkpoints.flush(self.standing.epoch, self._state)
                saved = time.perf_counter()
        if request is None or not self._goes_on():
            self.checkpoints.finish(self.standing.epoch, self._state)
            request = None
        return self._end(request)

    def _train_epoch(self) -> tuple[dict[str, float], EndRequest | None]:
        """One pass over the training data: the order of a step is the order of these lines."""
        self.model.train()
        self.task.on_epoch(self.model, self._clock)
        sums: dict[str, Tensor] = {}
        bad_step: Tensor | None = None  # stays on the device: no synchronisation a step
        whole: float | Tensor = 0.0  # what all steps count; their rows, as a rule
        loader = self.setup.train.epoch(self.standing.epoch)
        for batches in _steps(loader, self.training.accumulate):
            with self.accelerator.autocast():  # the loss too: its products can outweigh the model's
                loss = self.task.backward(self.stepping, batches, self._backward)
            if self.training.clip_norm is not None:
                self.accelerator.clip_grad_norm_(self.model.parameters(), self.training.clip_norm)
            scale = factor(self.plan.config.schedule, self._clock)
            set_factor(self.optimizer, scale)
            self.lr = self.plan.config.optim.lr * scale
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.standing.step += 1
            if not self.accelerator.optimizer_step_was_skipped:
                if self.average is not None:
                    self.average.update_parameters(self.model)
                self.task.after_step(self.model, batches, loss)
            bad_step = _first_bad(bad_step, loss.total, self.standing.step)
            weight = sum(self.task.weight(batch) for batch in batches)
            whole = whole + weight
            for name, value in {"loss": loss.total, **loss.terms}.items():
                counted = value.detach() * weight
                sums[name] = sums[name] + counted if name in sums else counted
            request = self.report.request()
            if request is not None and request.kind != "pause":  # a pause waits for the epoch
                return {}, request
        self._refuse_divergence(bad_step)
        return {f"train_{name}": float(value / whole) for name, value in sums.items()}, None

    def _backward(self, total: Tensor) -> None:
        with torch.autocast(total.device.type, enabled=False):
            self.accelerator.backward(total)

    def _valid(self) -> tuple[Metrics, dict[str, float]]:
        measured = run_evaluation(self.task, self._best_model, self.setup.valid)
        scores = {f"{GOAL_PREFIX}{name}": value for name, value in measured.compute().items()}
        self.task.on_valid(scores, self._clock)
        return measured, scores

    def _take(self, measured: Metrics, scores: Mapping[str, float]) -> None:
        """Remember the best epoch, and its weights."""
        score = score_of(scores, self.plan.metric, when=f"after epoch {self.standing.epoch}")
        sign = 1.0 if self.plan.direction == "max" else -1.0
        best = self.standing.best_score
        if best is None or sign * score > sign * best:
            self.standing.best_score, self.standing.best_epoch = score, self.standing.epoch
            self.standing.best_metrics = dict(scores)
            self._best_pass = measured
        hope = self.standing.hopeful_score
        if hope is None or (
            sign * (score - hope) > self.training.min_delta and not is_same(score, hope)
        ):
            self.standing.hopeful_score = score
            self.standing.hopeful_epoch = self.standing.epoch
        self.checkpoints.offer(
            self.standing.epoch, score, scores, lambda: self._best_model.state_dict()
        )

    def _end(self, request: EndRequest | None) -> Outcome:
        standing = self.standing
        state = {None: "done", "pause": "paused", "prune": "pruned", "cancel": "failed"}[
            request.kind if request else None
        ]
        return Outcome(
            state,  # type: ignore[arg-type]
            self.report.attempt,
            cause="interrupted" if state == "failed" else "",
            reason=request.reason if request else "",
            best_step=standing.best_epoch or None,
            metrics=standing.best_metrics or {},
            seconds=standing.seconds,
            interval=self._best_interval() if state == "done" else None,
            costs=self._costs(done=state == "done"),
            notes=tuple(self.notes),
        )

    def _best_interval(self) -> tuple[float, float] | None:
        """Of the best epoch's score; computed when it is wanted, since a better one may come."""
        if self._best_pass is not None:
            metric = self.plan.metric.removeprefix(GOAL_PREFIX)
            self.standing.best_interval = self._best_pass.interval(metric)
            self._best_pass = None
        return self.standing.best_interval

    def _costs(self, *, done: bool) -> dict[str, float]:
        costs = size_of(self.setup.model)
        goals = [goal.partition(":")[0] for goal in self.plan.config.goals]
        if done and (self.training.latency or "latency_ms" in goals):
            costs["latency_ms"] = latency_ms(self.task, self._best_model, self.setup.valid)
        return costs

    def _goes_on(self) -> bool:
        """Whether an epoch is left, and the patience for it."""
        patience, standing = self.training.patience, self.standing
        waited = standing.epoch - standing.hopeful_epoch
        impatient = patience is not None and standing.hopeful_epoch > 0 and waited >= patience
        return standing.epoch < self.training.epochs and not impatient

    def _refuse_divergence(self, bad_step: Tensor | None) -> None:
        if bad_step is not None and (step := int(bad_step)) > 0:
            raise Diverged(
                f"the loss is not a finite number at step {step}",
                remedy="A lower optim.lr, training.clip_norm or a warm-up usually helps.",
            )

    @property
    def _clock(self) -> Clock:
        return Clock(
            self.standing.epoch, self.standing.step, self.training.epochs, self.steps_per_epoch
        )

    @property
    def _best_model(self) -> nn.Module:
        """What is evaluated and kept: the average of weights if there is one."""
        return self.average.module if self.average is not None else self.model

    def _state(self) -> State:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else None,
            "task": self.task.state_dict(),
            "random": random_state(),
            "standing": asdict(replace(self.standing, best_interval=self._best_interval())),
        }

    def _resume(self) -> None:
        state = self.checkpoints.load_last()
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None and state["average"] is not None:
            self.average.load_state_dict(state["average"])
        if self.accelerator.scaler and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.task.load_state_dict(state["task"])
        restore_random_state(state["random"])
        self.standing = TrainState(**state["standing"])


def evaluate(task: Task, model: nn.Module, loader: Loader) -> dict[str, float]:
    """The task's metrics of `model` over one pass of `loader`, in evaluation mode."""
    return run_evaluation(task, model, loader).compute()


def run_evaluation(task: Task, model: nn.Module, loader: Loader) -> Metrics:
    """The task's collector after one pass of `loader`, in evaluation mode."""
    metrics = task.metrics()
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for batch in loader.epoch(0):
            metrics.update(task.predict(model, batch))
    model.train(was_training)
    return metrics


def _first_bad(known: Tensor | None, loss: Tensor, step: int) -> Tensor:
    """The first step whose loss is not finite, as a tensor on the device; 0 while none is."""
    bad = (~torch.isfinite(loss.detach())).to(torch.int64) * step
    return bad if known is None else torch.where(known > 0, known, bad)


def _prunes(request: EndRequest | None) -> bool:
    return request is not None and request.kind == "prune"


def _steps(loader: Iterator[Batch], accumulate: int) -> Iterator[list[Batch]]:
    """The micro-batches of each step; the last step of an epoch may have fewer."""
    while batches := list(islice(loader, accumulate)):
        yield batches
