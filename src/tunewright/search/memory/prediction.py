"""Predict the memory of a trial from the peaks of the trials before it.

Only integers and names shape memory: batch, widths, layers, kinds of heads and losses. Rates and
temperatures do not. Nearly everything a training holds is a product of two sizes (rows by width,
width by width), so a trial needs at most the peak of a smaller trial of the same kinds, times its
two largest size ratios to it. Rows by rows is a product too, so the batch counts twice. Each
earlier trial of the same kinds gives such an upper bound, and the lowest one is used.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BATCH = "training.batch_size"
ACCUMULATE = "training.accumulate"
DEVICE_IDLE_MIB = 500.0
"""GPU memory of a process before it does anything."""
MARGIN = 1.1
KNOWN, CEILING = 8, 2.0
"""After this many trials of the same kinds, no prediction exceeds the largest peak times two."""
REMEMBERED = 200

Sizes = Mapping[str, float]


@dataclass(frozen=True)
class ExpectedPeak:
    """The peaks of a run (MiB): RAM that only its worker holds, and GPU memory."""

    memory_mib: float
    device_mib: float


@dataclass(frozen=True)
class _ObservedPeak:
    kinds: tuple[tuple[str, Any], ...]
    sizes: Sizes
    idle_mib: float
    peak: ExpectedPeak


class Peaks:
    """The peaks of past trials. assumed: the prediction before there are any."""

    def __init__(self, assumed: ExpectedPeak) -> None:
        self._assumed = assumed
        self._seen: dict[object, _ObservedPeak] = {}

    def learn(
        self, parameters: Mapping[str, Any], parts: float, idle_mib: float, peak: ExpectedPeak
    ) -> None:
        """Learn the peak of a trial. parts: micro-batches for each that was asked for.

        idle_mib: RAM that its worker held before. Of equal trials the higher peak stays, and of all
        the latest 200.
        """
        kinds, sizes = _shape(parameters, parts)
        key = (kinds, tuple(sorted(sizes.items())))
        known = self._seen.pop(key, None)
        if known is not None:
            peak = ExpectedPeak(
                max(peak.memory_mib, known.peak.memory_mib),
                max(peak.device_mib, known.peak.device_mib),
            )
        self._seen[key] = _ObservedPeak(kinds, sizes, min(idle_mib, peak.memory_mib), peak)
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]

    def predict(self, parameters: Mapping[str, Any], parts: float = 1.0) -> ExpectedPeak:
        """Return an upper bound of a trial's peak, if it behaves like those before it."""
        kinds, sizes = _shape(parameters, parts)
        alike = [seen for seen in self._seen.values() if seen.kinds == kinds]
        if not alike:
            return self._bound_for_new_kind(sizes)
        bounds = [_scale(seen, _growth(seen.sizes, sizes)) for seen in alike]
        memory = min(bound.memory_mib for bound in bounds)
        device = min(bound.device_mib for bound in bounds)
        if len(alike) >= KNOWN:
            memory = min(memory, CEILING * max(seen.peak.memory_mib for seen in alike))
            device = min(device, CEILING * max(seen.peak.device_mib for seen in alike))
        return ExpectedPeak(memory, device)

    def _bound_for_new_kind(self, sizes: Sizes) -> ExpectedPeak:
        """Return the bound for kinds never seen: the largest of all trials' and the assumed one."""
        bounds = [_scale(seen, _growth(seen.sizes, sizes)) for seen in self._seen.values()]
        return ExpectedPeak(
            max([self._assumed.memory_mib, *(bound.memory_mib for bound in bounds)]),
            max([self._assumed.device_mib, *(bound.device_mib for bound in bounds)]),
        )


def _shape(
    parameters: Mapping[str, Any], parts: float
) -> tuple[tuple[tuple[str, Any], ...], Sizes]:
    kinds, sizes = [], {}
    for path, value in sorted(parameters.items()):
        if isinstance(value, bool | str) or value is None:
            kinds.append((path, value))
        elif isinstance(value, int) and value > 0:
            sizes[path] = float(value)
    sizes[ACCUMULATE] = sizes.get(ACCUMULATE, 1.0) * parts
    return tuple(kinds), sizes


def _growth(small: Sizes, large: Sizes) -> float:
    """Return the largest factor by which memory can grow from one set of sizes to another."""
    ratios = [1.0, 1.0]
    for path in small.keys() & large.keys():
        ratio = large[path] / small[path]
        if path == ACCUMULATE:
            ratio = 1 / ratio  # fewer micro-batches are larger
        ratios += [ratio, ratio] if path == BATCH else [ratio]
    return math.prod(sorted(ratios)[-2:])


def _scale(seen: _ObservedPeak, growth: float) -> ExpectedPeak:
    """Scale the peak that a run adds to its idle worker; the idle part does not grow with sizes."""
    device_idle = min(DEVICE_IDLE_MIB, seen.peak.device_mib)
    return ExpectedPeak(
        seen.idle_mib + MARGIN * growth * (seen.peak.memory_mib - seen.idle_mib),
        device_idle + MARGIN * growth * (seen.peak.device_mib - device_idle),
    )
