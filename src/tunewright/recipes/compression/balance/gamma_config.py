"""Schedules of gamma in the configuration; imports without torch.

A boundary in time is a fraction of the run (0.5) or a number of epochs (1000), never both in one
list. Fractions follow the length of the run, epochs do not.
"""

import math
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator

from tunewright.config.section import Positive, Section

Boundary = float | int
"""A fraction of the run, in (0, 1), or a whole number of epochs."""


def _boundary(written: Any) -> Boundary:
    is_number = isinstance(written, int | float) and not isinstance(written, bool)
    if is_number and 0.0 < written < 1.0:
        return float(written)
    if is_number and math.isfinite(written) and written >= 1 and written == int(written):
        return int(written)
    raise ValueError("a fraction of the run between 0 and 1, or a whole number of epochs")


def _warmup(written: Any) -> Boundary:
    if written == 0 and not isinstance(written, bool):
        return 0
    return _boundary(written)


def _milestones(written: Any) -> tuple[Boundary, ...] | None:
    if written is None:
        return None
    several = written if isinstance(written, list | tuple) else [written]
    if not several or isinstance(written, str):
        raise ValueError("null, or a list such as [0.3333, 0.6667] or, in epochs, [1000, 2000]")
    return tuple(map(_boundary, several))


def _ascending(milestones: tuple[Boundary, ...] | None) -> tuple[Boundary, ...] | None:
    if milestones is None:
        return None
    if len({isinstance(one, int) for one in milestones}) > 1:
        raise ValueError("fractions of the run, or numbers of epochs, not both")
    if any(after <= before for before, after in pairwise(milestones)):
        raise ValueError("milestones each later than the one before it")
    return milestones


def _plain(milestones: tuple[Boundary, ...] | None) -> list[Boundary] | None:
    return None if milestones is None else list(milestones)


# Not unions of types: a wrong boundary would be reported once for each.
Warmup = Annotated[Boundary, PlainValidator(_warmup)]
Milestones = Annotated[
    tuple[Boundary, ...] | None,
    PlainValidator(_milestones),
    AfterValidator(_ascending),
    PlainSerializer(_plain),
]


class FixedGamma(Section):
    """Gamma stays as it is."""

    type: Literal["fixed"] = "fixed"


class LinearGamma(Section):
    """A straight line down.

    final: gamma at the end. warmup: how long gamma stays as it is first, as a fraction of the run
    or in epochs.
    """

    type: Literal["linear"] = "linear"
    final: Positive = 0.001
    warmup: Warmup = 0


class CosineGamma(Section):
    """Half a cosine down.

    final: gamma at the end. warmup: how long gamma stays as it is first, as a fraction of the run
    or in epochs.
    """

    type: Literal["cosine"] = "cosine"
    final: Positive = 0.001
    warmup: Warmup = 0


class StepGamma(Section):
    """Gamma is halved at each milestone.

    final: the least that it falls to. milestones: fractions of the run, or epochs; null is a third
    and two thirds of the run (1000 and 2000 of 3000 epochs).
    """

    type: Literal["step"] = "step"
    final: Positive = 0.001
    milestones: Milestones = None


class AdaptiveGamma(Section):
    """A cosine, 0.8 times as much where validation losses hardly vary, 1.2 times where they jump.

    final: gamma at the end, and the least that it falls to. window: validations over which the
    coefficient of variation (standard deviation / mean) is taken; before there are as many, the
    cosine holds. threshold: of that coefficient; below it gamma is lowered, above five times as
    much it is raised. warmup: how long gamma stays as it is first, as a fraction of the run or in
    epochs.
    """

    type: Literal["adaptive"] = "adaptive"
    final: Positive = 0.001
    window: Annotated[int, Field(ge=2)] = 50
    threshold: Positive = 0.01
    warmup: Warmup = 0


class HpcmGamma(Section):
    """HPCM's three phases: up to 1.2 gamma, down to 0.6, and slowly to 0.42 of it.

    The phases end at a tenth and at two thirds of the run: at epochs 300 and 2000 of 3000.
    """

    type: Literal["hpcm"] = "hpcm"


class HpcmStepGamma(Section):
    """The same in steps: gamma halves at 1/6, 1/2 and 11/12 of the run.

    These are epochs 500, 1500 and 2750 of 3000.
    """

    type: Literal["hpcm_step"] = "hpcm_step"


GammaSchedule = Annotated[
    FixedGamma | LinearGamma | CosineGamma | StepGamma | AdaptiveGamma | HpcmGamma | HpcmStepGamma,
    Field(discriminator="type"),
]
STRATEGIES: dict[str, type[Section]] = {
    "fixed": FixedGamma,
    "linear": LinearGamma,
    "cosine": CosineGamma,
    "step": StepGamma,
    "adaptive": AdaptiveGamma,
    "hpcm": HpcmGamma,
    "hpcm_step": HpcmStepGamma,
}
"""The schedules by their `type`."""
