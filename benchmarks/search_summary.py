"""What many searches say together: regrets with intervals, and how many trainings are needed.

The mean is the interquartile one, over tasks and seeds; intervals come from resampling tasks, and
then seeds within them (Agarwal et al. 2021). Searches are compared on the tasks and seeds that all
of the compared methods have.
"""

import gzip
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Runs = Mapping[tuple[str, int], Sequence[float]]
"""The regrets of a method by task and seed, at rising budgets."""
RESAMPLES = 2000
REFERENCE = "tpe"


def read_rows(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file; a line that a kill has cut is left out."""
    found = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def read_recorded(file: Path, names: Mapping[str, str]) -> dict[str, Runs]:
    """Return recorded regrets under new names, of a gzipped JSON file by task, method and seed."""
    with gzip.open(file, "rt") as stream:
        regrets = json.load(stream)["regret"]["development"]
    found: dict[str, dict[tuple[str, int], Sequence[float]]] = defaultdict(dict)
    for task, methods in regrets.items():
        for old, new in names.items():
            for seed, curve in methods.get(old, {}).items():
                found[new][task, int(seed)] = curve
    return dict(found)


def interquartile_mean(regrets: np.ndarray) -> np.ndarray:
    """Return the mean of the middle half over the first axis."""
    ranked, count = np.sort(regrets, 0), len(regrets)
    found: np.ndarray = ranked[count // 4 : count - count // 4].mean(0)
    return found


def trainings_to(curve: Sequence[float], target: float, budgets: Sequence[float]) -> float:
    """Return after how many trainings a curve reaches a regret, log-linear between budgets."""
    for place, value in enumerate(curve):
        if value <= target:
            if place == 0:
                return budgets[0]
            before = curve[place - 1]
            weight = (before - target) / (before - value)
            low, high = math.log(budgets[place - 1]), math.log(budgets[place])
            return math.exp(low + weight * (high - low))
    return math.inf


def draws(known: Mapping[str, Runs]) -> list[dict[str, np.ndarray]]:
    """Return the mean regrets by method: the observed ones first, then those of resamples."""
    runs = sorted(set.intersection(*(set(found) for found in known.values())))
    seeds: dict[str, list[int]] = defaultdict(list)
    for task, seed in runs:
        seeds[task].append(seed)
    rng = np.random.default_rng(0)
    samples = [runs]
    for _ in range(RESAMPLES):
        tasks = rng.choice(list(seeds), len(seeds))
        samples.append([(t, int(s)) for t in tasks for s in rng.choice(seeds[t], len(seeds[t]))])
    return [
        {name: interquartile_mean(np.array([k[r] for r in drawn])) for name, k in known.items()}
        for drawn in samples
    ]


def summarise(known: Mapping[str, Runs], budgets: Sequence[float]) -> dict[str, Any]:
    """Return the mean regrets with intervals, and the trainings to the regret of TPE at the end."""
    runs = set.intersection(*(set(found) for found in known.values()))
    means = draws(known)
    found: dict[str, Any] = {}
    for name in known:
        curves = np.array([each[name] for each in means])
        low, high = np.quantile(curves[1:], [0.025, 0.975], axis=0)
        entry: dict[str, Any] = {
            "regret": curves[0].round(4).tolist(),
            "low": low.round(4).tolist(),
            "high": high.round(4).tolist(),
        }
        if REFERENCE in known:
            needed = [trainings_to(e[name], e[REFERENCE][-1], budgets) for e in means]
            entry["trainings_to_tpe_at_the_end"] = _number(needed[0])
            ends = np.quantile(needed[1:], [0.025, 0.975], method="nearest")
            entry["interval"] = [_number(end) for end in ends]
        found[name] = entry
    seeds = sorted({seed for _, seed in runs})
    return {
        "tasks": len({task for task, _ in runs}),
        "seeds": seeds,
        "runs": len(runs),
        "methods": found,
    }


def compare_workers(
    known: Mapping[str, Runs], one: str, many: str, budgets: Sequence[float]
) -> dict[str, Any]:
    """Return how many times the trainings of `one` the method `many` needs to the same regret.

    That regret is TPE's at the end, with one worker.
    """
    chosen = {name: known[name] for name in (one, many, REFERENCE)}
    ratios = []
    for each in draws(chosen):
        first, second = (
            trainings_to(each[n], each[REFERENCE][-1], budgets) for n in chosen if n != REFERENCE
        )
        ratios.append(second / first if math.isfinite(first) else math.nan)
    there = [ratio for ratio in ratios[1:] if not math.isnan(ratio)]
    ends = np.quantile(there, [0.025, 0.975], method="nearest") if there else []
    return {"times": _number(ratios[0]), "interval": [_number(end) for end in ends]}


def differences(known: Mapping[str, Runs], one: str, other: str) -> dict[str, Any]:
    """Return the mean paired difference of the regrets `one` - `other` at each budget."""
    runs = sorted(set(known[one]) & set(known[other]))
    by_task: dict[str, list[np.ndarray]] = defaultdict(list)
    for run in runs:
        by_task[run[0]].append(np.array(known[one][run]) - np.array(known[other][run]))
    each = {task: np.array(rows) for task, rows in by_task.items()}
    rng, resampled = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        drawn = [each[task] for task in rng.choice(list(each), len(each))]
        resampled.append(np.concatenate([r[rng.integers(len(r), size=len(r))] for r in drawn]))
    low, high = np.quantile([rows.mean(0) for rows in resampled], [0.025, 0.975], axis=0)
    return {
        "runs": len(runs),
        "difference": np.concatenate(list(each.values())).mean(0).round(4).tolist(),
        "low": low.round(4).tolist(),
        "high": high.round(4).tolist(),
    }


def behind(known: Mapping[str, Runs], one: str, other: str, place: int) -> dict[str, float]:
    """Return by task the median regret of `one` less that of `other`, at one of the budgets."""
    runs = sorted(set(known[one]) & set(known[other]))
    found = {}
    for task in dict.fromkeys(task for task, _ in runs):
        medians = [
            np.median([known[name][run][place] for run in runs if run[0] == task])
            for name in (one, other)
        ]
        found[task] = round(float(medians[0] - medians[1]), 4)
    return found


def _number(value: float) -> float | None:
    """Return a number as JSON has it; None for one that lies behind the last budget."""
    return round(float(value), 2) if math.isfinite(value) else None
