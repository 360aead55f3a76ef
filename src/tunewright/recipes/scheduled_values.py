"""What follows the clock of a training, as numbers to print and to draw before it starts. No torch.

The learning rate is one of them; a recipe declares its own, such as gamma.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tunewright.config.schema import RunConfig
from tunewright.training.schedule import FINE, factor_at

EVENLY = 10
"""Parts of a run at whose ends a table shows values."""
MOST_BENDS = 12
"""Bends beyond which a schedule counts as a curve, which the even parts show well enough."""
SHARP = 10.0
"""How many times as large as those around it the change of a slope at a bend is."""
NOISE = 1e-9
"""Relative differences that rounding explains."""
SAME = 1e-3
"""Relative difference below which two bends in a row are one."""


@dataclass(frozen=True)
class ScheduledValue:
    """A setting that is a function of the clock.

    name: `gamma`. kind: how it is scheduled, such as `cosine`. at: its value when a fraction of the
    run, 0 to 1, is done. alternatives: the same under other kinds, by name, for a comparison. note:
    what else it depends on. in_use: whether the run has it; else it is only compared.
    """

    name: str
    kind: str
    at: Callable[[float], float]
    alternatives: Mapping[str, Callable[[float], float]] = field(default_factory=dict)
    note: str = ""
    in_use: bool = True


def learning_rate(config: RunConfig, steps_per_epoch: int = FINE) -> ScheduledValue:
    """Return the learning rate of a configuration."""

    def at(fraction: float) -> float:
        return config.optim.lr * factor_at(
            config.schedule, fraction, config.training.epochs, steps_per_epoch
        )

    return ScheduledValue("learning rate", config.schedule.type, at)


def by_epoch(at: Callable[[float], float], epochs: int) -> list[float]:
    """Return the values after 0, 1, ..., `epochs` epochs."""
    return [at(epoch / epochs) for epoch in range(epochs + 1)]


def key_epochs(curves: Sequence[Sequence[float]]) -> list[int]:
    """Return the epochs after which a table shows values: even parts, and where a curve bends.

    curves: each with a value after 0, 1, ... epochs, all of one length.
    """
    epochs = len(curves[0]) - 1
    even = {round(part * epochs / EVENLY) for part in range(EVENLY + 1)}
    return sorted(even.union(*map(bends, curves)))


def bends(values: Sequence[float]) -> list[int]:
    """Return the epochs at which a curve jumps or its slope changes; none of a smooth curve.

    A jump is where the new value holds first.
    """
    scale = max(map(abs, values))
    found = {*_ends_of_levels(values), *_turns(values)}
    found -= {
        epoch
        for epoch in found
        if epoch + 1 in found and abs(values[epoch + 1] - values[epoch]) < SAME * scale
    }
    return sorted(found) if len(found) <= MOST_BENDS else []


def _ends_of_levels(values: Sequence[float]) -> Iterator[int]:
    """Yield the epochs at which a constant part begins or has just ended."""
    moves = _moves(values)
    for epoch, (before, after) in enumerate(pairwise(moves), start=1):
        if before and not after:
            yield epoch
        elif after and not before:
            is_jump = epoch + 1 == len(moves) or not moves[epoch + 1]
            yield epoch + 1 if is_jump else epoch


def _moves(values: Sequence[float]) -> list[bool]:
    """Return for each epoch whether the value changes in it."""
    scale = max(map(abs, values))
    return [abs(after - before) > NOISE * scale for before, after in pairwise(values)]


def _turns(values: Sequence[float]) -> Iterator[int]:
    """Yield the epochs at which a moving curve changes its slope by far more than around them."""
    moves = _moves(values)
    scale = max(map(abs, values)) or 1.0
    curvature = {
        epoch: abs(values[epoch + 1] - 2 * values[epoch] + values[epoch - 1]) / scale
        for epoch in range(1, len(values) - 1)
    }
    for epoch, here in curvature.items():
        before, after, *around = (curvature.get(epoch + by, 0.0) for by in (-1, 1, -2, 2))
        turns = here > SHARP * max(around) + NOISE and here >= max(before, after)
        if turns and moves[epoch - 1] and moves[epoch]:
            yield epoch


def describe(value: ScheduledValue, epochs: int) -> str:
    """Return one line on a value over the run: `gamma (hpcm): 0.006 at first, ...`."""
    values = by_epoch(value.at, epochs)
    note = f"; {value.note}" if value.note else ""
    if min(values) == max(values):
        return f"{value.name} ({value.kind}): {values[0]:.4g} throughout{note}"
    inner = [epoch for epoch in bends(values) if epoch < epochs] or _middle(values)
    shown = [f"{values[0]:.4g} at first"]
    shown += [f"{values[epoch]:.4g} after {_epochs(epoch)}" for epoch in inner]
    if not inner or values[-1] != values[inner[-1]]:
        shown.append(f"{values[-1]:.4g} at the end")
    return f"{value.name} ({value.kind}): {', '.join(shown)}{note}"


def _middle(values: Sequence[float]) -> list[int]:
    """Return the epoch of the highest value inside the run, or that half-way through."""
    highest, last = max(range(len(values)), key=values.__getitem__), len(values) - 1
    return [] if last < 2 else [highest if 0 < highest < last else last // 2]


def _epochs(count: int) -> str:
    return f"{count} epoch" + "s" * (count > 1)


def describe_extension(
    before: ScheduledValue, after: ScheduledValue, lengths: tuple[int, int, int]
) -> str:
    """Return what becomes of a value when a run trains longer than it was begun for.

    lengths: epochs trained, planned before, and planned now.
    """
    trained, planned, epochs = lengths
    was, now = before.at(min(1.0, trained / planned)), after.at(trained / epochs)
    return (
        f"{after.name} ({after.kind}) is planned over {epochs} epochs, no longer {planned}: it was "
        f"{was:.4g} after {_epochs(trained)} and is now {now:.4g}; at the end it will be "
        f"{after.at(1.0):.4g}"
    )
