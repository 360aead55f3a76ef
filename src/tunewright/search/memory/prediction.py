"""How much memory a trial will need, from what those before it needed.

Only integers and names shape memory: batch, widths, layers, kinds of heads and losses. Rates and
temperatures do not. Nearly everything a training holds is a product of two sizes (rows by width,
width by width), so a trial needs at most what a smaller one of its kinds did, times its two
largest ratios to it; rows by rows is a product too, so the batch counts twice. Of all trials of
its kinds that say such a thing the lowest word counts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BATCH = "training.batch_size"
ACCUMULATE = "training.accumulate"
DEVICE_IDLE_MIB = 500.0
"""What a process takes of a GPU before it does anything."""
MARGIN = 1.1
KNOWN, CEILING = 8, 2.0
"""From so many trials of its kinds on, none is expected to need more than twice the most."""
REMEMBERED = 200

Sizes = Mapping[str, float]


@dataclass(frozen=True)
class ExpectedPeak:
    """The peaks of a run: RAM that only its worker holds, and of the GPU."""

    memory_mib: float
    device_mib: float


@dataclass(frozen=True)
class _ObservedPeak:
    kinds: tuple[tuple[str, Any], ...]
    sizes: Sizes
    idle_mib: float
    peak: ExpectedPeak


class Peaks:
    """The peaks of past trials. assumed: what a trial is taken to need before there are any."""

    def __init__(self, assumed: ExpectedPeak) -> None:
        self._assumed = assumed
        self._seen: dict[object, _ObservedPeak] = {}

    def learn(
        self, parameters: Mapping[str, Any], parts: float, idle_mib: float, peak: ExpectedPeak
    ) -> None:
        """Take in a trial that ran. parts: micro-batches for each that was asked for.

        idle_mib: what its worker held before. Of equal trials the higher peak stays, and of all
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
        """What a trial will need at most, if it is like those before it."""
        kinds, sizes = _shape(parameters, parts)
        alike = [seen for seen in self._seen.values() if seen.kinds == kinds]
        if not alike:
            return self._unlike(sizes)
        words = [_scale(seen, _growth(seen.sizes, sizes)) for seen in alike]
        memory = min(word.memory_mib for word in words)
        device = min(word.device_mib for word in words)
        if len(alike) >= KNOWN:
            memory = min(memory, CEILING * max(seen.peak.memory_mib for seen in alike))
            device = min(device, CEILING * max(seen.peak.device_mib for seen in alike))
        return ExpectedPeak(memory, device)

    def _unlike(self, sizes: Sizes) -> ExpectedPeak:
        """For kinds never seen: the most that any word says, and what is assumed of all."""
        words = [_scale(seen, _growth(seen.sizes, sizes)) for seen in self._seen.values()]
        return ExpectedPeak(
            max([self._assumed.memory_mib, *(word.memory_mib for word in words)]),
            max([self._assumed.device_mib, *(word.device_mib for word in words)]),
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
    """By how much a need can have grown, at most, from one set of sizes to another."""
    ratios = [1.0, 1.0]
    for path in small.keys() & large.keys():
        ratio = large[path] / small[path]
        if path == ACCUMULATE:
            ratio = 1 / ratio  # fewer micro-batches are larger ones
        ratios += [ratio, ratio] if path == BATCH else [ratio]
    return math.prod(sorted(ratios)[-2:])


def _scale(seen: _ObservedPeak, growth: float) -> ExpectedPeak:
    """Only what a run adds to its worker grows with its sizes."""
    device_idle = min(DEVICE_IDLE_MIB, seen.peak.device_mib)
    return ExpectedPeak(
        seen.idle_mib + MARGIN * growth * (seen.peak.memory_mib - seen.idle_mib),
        device_idle + MARGIN * growth * (seen.peak.device_mib - device_idle),
    )
