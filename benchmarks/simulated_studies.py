"""Studies drawn by a generator whose truth is known: with an effect, or without it.

A study has a learning rate, a weight decay, dropout, the kind of a head, its width where the kind
has one, and a batch size. Half of the studies are drawn at random, half by a sampler that draws
near the best trials so far; half are pruned by successive halving.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tunewright.runs.record import StudyRecord, Trial
from tunewright.spaces.domain import Categorical, Float, Int
from tunewright.spaces.rules import Condition
from tunewright.spaces.space import Parameter

EPOCHS = 16
RUNGS = (2, 4, 8)
PARAMETERS = (
    Parameter("optim.lr", Float(1e-5, 1e-2, log=True)),
    Parameter("optim.weight_decay", Float(1e-6, 1e-2, log=True)),
    Parameter("model.dropout", Float(0.1, 0.6)),
    Parameter("model.type", Categorical(("clip", "mlp", "attention"))),
    Parameter("model.layers", Int(2, 9), when=(Condition("model.type", ("mlp",)),)),
    Parameter("training.batch_size", Categorical((16, 32, 64, 128))),
)
Rng = np.random.Generator
Units = Mapping[str, float]
"""Values from 0 to 1 by path; of a choice the place of its level."""


@dataclass(frozen=True)
class World:
    """How the scores of a study come about.

    quality: the true final score of a point, without noise. noise: standard deviation of a score.
    time_constant: epochs of the rise of a curve, of a point. fall: the share of the gain that is
    lost again from the middle of the training on. error: half of a reported interval over 1.96; 0
    reports none. fails: the cause by which a point fails, if it does. seconds: of an epoch. extra:
    further metrics from the true score. slots: trials at once. batches: whether a trial waits for
    the slowest of those before.
    """

    quality: Callable[[Units], float]
    trials: int = 100
    noise: float = 0.02
    adaptive: bool = True
    pruned: bool = True
    time_constant: Callable[[Units, Rng], float] = lambda _units, _rng: 3.0
    fall: float = 0.0
    error: float = 0.0
    fails: Callable[[Units, Rng], str] = lambda _units, _rng: ""
    seconds: Callable[[Units, Rng], float] = lambda _units, rng: 10.0 * math.exp(rng.normal(0, 0.3))
    extra: Callable[[float, Rng], Mapping[str, float]] = lambda _score, _rng: {}
    parameters: tuple[Parameter, ...] = PARAMETERS
    slots: int = 1
    batches: bool = False
    goal: str = "val_accuracy"
    fixed: Mapping[str, Any] = field(default_factory=dict)


def draw_study(world: World, rng: Rng) -> StudyRecord:
    """Return a study of a world."""
    trials: list[Trial] = []
    points: list[dict[str, float]] = []
    values: list[float] = []
    rungs: dict[int, list[float]] = {rung: [] for rung in RUNGS}
    clock = [0.0] * world.slots
    for number in range(world.trials):
        units = _ask(world, points, values, rng)
        trial = _train(world, number, units, rungs, rng)
        spent = trial.seconds or 0.0
        slot = int(np.argmin(clock))
        if world.batches and number % world.slots == 0:
            clock = [max(clock)] * world.slots
        began = clock[slot] + 0.01 * spent
        clock[slot] = began + spent
        trials.append(replace(trial, started=1e9 + began))
        points.append(units)
        curve = trial.curve or {1: -1.0}
        last = max(curve)
        values.append(trial.score if trial.score is not None else curve[last] - 1.0 / last)
    return StudyRecord("simulated", "longtail", world.goal, "max", tuple(trials))


def _ask(
    world: World, points: list[dict[str, float]], values: list[float], rng: Rng
) -> dict[str, float]:
    near = None
    if world.adaptive and len(points) >= 15 and rng.random() < 0.75:
        best = np.argsort(values)[::-1][: max(3, len(points) // 5)]
        near = points[int(rng.choice(best))]
    units: dict[str, float] = {}
    for parameter in world.parameters:
        path, domain = parameter.path, parameter.domain
        if parameter.when and not _holds(parameter, units, world):
            continue
        if isinstance(domain, Categorical):
            count = len(domain.choices)
            keep = near is not None and path in near and rng.random() < 0.8
            units[path] = near[path] if keep and near else int(rng.integers(count)) / (count - 1)
        elif near is not None and path in near:
            units[path] = float(np.clip(near[path] + rng.normal(0, 0.12), 0, 1))
        else:
            units[path] = float(rng.random())
    return units


def _holds(parameter: Parameter, units: Mapping[str, float], world: World) -> bool:
    condition = parameter.when[0]
    other = next(p for p in world.parameters if p.path == condition.path)
    return condition.path in units and condition.holds(value_of(other, units[condition.path]))


def value_of(parameter: Parameter, unit: float) -> Any:
    """Return the value of a parameter at a place from 0 to 1 of its domain."""
    domain = parameter.domain
    if isinstance(domain, Categorical):
        return domain.choices[round(unit * (len(domain.choices) - 1))]
    if domain.log:
        return float(domain.low * (domain.high / domain.low) ** unit)
    number = domain.low + unit * (domain.high - domain.low)
    return round(number) if isinstance(domain, Int) else float(number)


def _train(
    world: World, number: int, units: dict[str, float], rungs: dict[int, list[float]], rng: Rng
) -> Trial:
    by_path = {p.path: p for p in world.parameters}
    given = {path: value_of(by_path[path], unit) for path, unit in units.items()} | dict(
        world.fixed
    )
    each = world.seconds(units, rng)
    if cause := world.fails(units, rng):
        return Trial(number, "infeasible", given, None, {}, cause=cause, seconds=each)  # type: ignore[arg-type]
    end = world.quality(units) + rng.normal(0, world.noise)
    constant = world.time_constant(units, rng)
    curve: dict[int, float] = {}
    for epoch in range(1, EPOCHS + 1):
        rise = 1.0 - math.exp(-epoch / constant)
        lost = world.fall * max(0.0, epoch / EPOCHS - 0.5) * 2.0
        curve[epoch] = 0.1 + (end - 0.1) * (rise - lost) + rng.normal(0, world.noise / 4)
        if world.pruned and epoch in rungs:
            others = rungs[epoch]
            others.append(curve[epoch])
            if len(others) > 1 and curve[epoch] < np.median(others):
                return Trial(number, "pruned", given, None, curve, seconds=each * epoch)
    score = max(curve.values())
    half = 1.96 * world.error
    return Trial(
        number,
        "done",
        given,
        score,
        curve,
        seconds=each * EPOCHS,
        metrics=world.extra(end, rng),
        interval=(score - half, score + half) if half else None,
    )


def bowl(unit: float, optimum: float) -> float:
    """Return the loss of a point beside the optimum, 0 to about 1."""
    return (unit - optimum) ** 2 * 4.0
