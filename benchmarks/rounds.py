"""Interleaved measurements: every arm in each round, in shuffled order; ratios with intervals.

An arm is a function that does the work once and returns figures by name (`{"ms_per_trial": 9.1}`).
A neighbour on the machine slows all arms of a round alike, so a ratio is taken within its round;
its median over rounds is reported, with a 95 % interval from resampling whole rounds. One arm is
run twice in every round: the interval of its ratio to itself is the smallest claim allowed.
"""

import json
import os
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from machine import describe_machine

RESULTS = Path(__file__).parent / "results"

Figures = Mapping[str, float]
Arm = Callable[[], Figures]


@dataclass(frozen=True)
class Round:
    """What every arm returned in one round, the order they ran in, the load before and after."""

    order: tuple[str, ...]
    figures: Mapping[str, Figures]
    load_before: float
    load_after: float


@dataclass(frozen=True)
class Measured:
    """The first call of each arm, kept apart, and the rounds; none is ever dropped."""

    first_calls: Mapping[str, Figures]
    rounds: tuple[Round, ...]

    def values(self, arm: str, figure: str) -> list[float]:
        """One figure of one arm, a value for each round."""
        return [entry.figures[arm][figure] for entry in self.rounds]

    def median(self, arm: str, figure: str) -> float:
        """The median over rounds of one figure of one arm."""
        return statistics.median(self.values(arm, figure))


@dataclass(frozen=True)
class Ratio:
    """The median of a ratio over rounds, and its 95 % interval."""

    median: float
    low: float
    high: float
    by_round: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.median:.3g} [{self.low:.3g}, {self.high:.3g}]"


def run_rounds(
    arms: Mapping[str, Arm],
    *,
    rounds: int,
    null: str | None = None,
    warm_ups: int = 1,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> Measured:
    """Run every arm once in each round, in shuffled order, after `warm_ups` calls of each.

    `null` names the arm that is run a second time in each round, as "NAME again".
    """
    every = dict(arms)
    if null is not None:
        every[again(null)] = arms[null]
    say(f"load {_load():.2f} on {len(os.sched_getaffinity(0))} cores")
    first: dict[str, Figures] = {}
    for name, arm in arms.items():
        for _ in range(warm_ups):
            figures = arm()
            first.setdefault(name, figures)
        if name in first:
            say(f"first call  {name:<28} {_told(first[name])}")
    order = random.Random(seed)
    measured: list[Round] = []
    for number in range(1, rounds + 1):
        names = list(every)
        order.shuffle(names)
        before, figures_of = _load(), {}
        for name in names:
            started = time.perf_counter()
            figures_of[name] = every[name]()
            took = time.perf_counter() - started
            told = _told(figures_of[name])
            say(f"round {number}/{rounds}  {name:<28} {told}  ({took:.1f} s, load {_load():.2f})")
        measured.append(Round(tuple(names), figures_of, before, _load()))
    return Measured(first, tuple(measured))


def again(name: str) -> str:
    """The name under which an arm is run a second time against itself."""
    return f"{name} again"


def ratio(measured: Measured, over: str, under: str, figure: str, *, seed: int = 0) -> Ratio:
    """`over` divided by `under`, taken within each round."""
    pairs = zip(measured.values(over, figure), measured.values(under, figure), strict=True)
    return summarise([top / bottom for top, bottom in pairs], seed=seed)


def summarise(values: Sequence[float], *, resamples: int = 10_000, seed: int = 0) -> Ratio:
    """The median of one value a round, with a 95 % percentile bootstrap over rounds.

    With three rounds the interval is the range of the values.
    """
    if not values:
        raise ValueError("no rounds to summarise")
    draw = random.Random(seed)
    medians = sorted(
        statistics.median(draw.choices(values, k=len(values))) for _ in range(resamples)
    )
    low, high = (medians[round(share * (resamples - 1))] for share in (0.025, 0.975))
    return Ratio(statistics.median(values), low, high, tuple(values))


def judge(value: Ratio, *, at_least: float | None = None, at_most: float | None = None) -> str:
    """Say "met" when the interval's bad end clears the target, else what it missed by."""
    if at_least is not None and value.low < at_least:
        return f"missed: {value} is not surely at least {at_least:g}"
    if at_most is not None and value.high > at_most:
        return f"missed: {value} is not surely at most {at_most:g}"
    return "met"


def save(name: str, command: str, measured: Measured | None, **facts: object) -> Path:
    """Write `results/NAME.json`: the command, the machine and the day, `facts`, every round."""
    result: dict[str, object] = {"command": command, "machine": describe_machine()}
    result |= {key: _plain(value) for key, value in facts.items()}
    if measured is not None:
        result["first_calls"] = _plain(measured.first_calls)
        result["rounds"] = [_plain(entry) for entry in measured.rounds]
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path


def _plain(value: object) -> object:
    if isinstance(value, Round | Ratio):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _told(figures: Figures) -> str:
    return "  ".join(f"{key} {value:.4g}" for key, value in figures.items())


def _load() -> float:
    return os.getloadavg()[0]
