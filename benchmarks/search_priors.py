"""What prior knowledge is worth to the sampler curves, where it is right and where it is wrong.

python benchmarks/search_priors.py --data FOLDER [--tasks lcbench-3945] [--seeds 0:3]
    [--rows rows.jsonl] [--write]

FOLDER holds `lcbench_surrogate/` (model.onnx, encoding.json). The decisions are those of the
program's own search, with one worker; trainings replay the surrogate's curves. All searches of a
task and a seed have the same random points; one with a prior tries the believed point first, in
place of the last of them, and every second one of the rest near it. Arms: `none`; `right`, the
best of 20,000 random configurations of the task, each value moved by a tenth of its range;
`other`, such a one of the next task; `wrong`, the worst of the task's 20,000;
`adapts`, no prior, with a first rung that follows the curves. Printed and stored:
the interquartile mean of the regret, and after how many trainings it comes to the regret that TPE
has after 30, with intervals from resampling tasks and then seeds. Needs onnxruntime.
"""

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from curve_tasks import REFERENCE, TASKS, CurveTask, LCBench
from machine import describe_machine

from tunewright.config.study_schema import CurvesConfig
from tunewright.search.curves.curve_search import CurveSearch, CurveTrial, GoOn, Start
from tunewright.search.curves.rungs import rungs_of
from tunewright.spaces.points import at, identity

BUDGETS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0)
START = 10
ARMS = ("none", "right", "other", "wrong", "adapts")
MOVED = 0.1
"""Standard deviation of the moves of a task's best values, as a share of their ranges."""
RESULTS = Path(__file__).parent / "results/search_priors.json"
TPE = Path(__file__).parent / "results/search_methods.json"
Values = Mapping[str, Any]


def extremes(task: LCBench) -> tuple[Values, Values]:
    """Return the truly best and worst of the random configurations that regret is measured by."""
    rng = np.random.default_rng(12345)
    points = [
        {p.path: at(p.domain, u) for p, u in zip(task.space.parameters, row, strict=True)}
        for row in rng.random((REFERENCE, len(task.space.parameters)))
    ]
    true = task._predict([task.key(one) for one in points], [task.last])[:, 0, task._TEST]
    return points[int(true.argmax())], points[int(true.argmin())]


def moved(task: CurveTask, values: Values, seed: int) -> dict[str, Any]:
    """Return a point near another one."""
    from tunewright.search.curves.encoding import fraction

    rng = np.random.default_rng([7, seed])
    places = [fraction(p.domain, values[p.path]) for p in task.space.parameters]
    near = np.clip(np.array(places) + MOVED * rng.standard_normal(len(places)), 0.0, 1 - 1e-9)
    return {p.path: at(p.domain, u) for p, u in zip(task.space.parameters, near, strict=True)}


def search(
    task: CurveTask, seed: int, believed: Values | None, *, adapts: bool = False
) -> list[float]:
    """Return the regrets of one search after each budget."""
    points = [dict(one) for one in task.points(seed, START)]
    if believed is not None:  # one in place of the last, half of the others at the search's choice
        points = [dict(believed), *points[: START // 2]]
    found = CurveSearch(
        task.space,
        rungs_of(CurvesConfig(), task.last),
        adapts=adapts,
        seed=seed,
        startup=START,
        believed=() if believed is None else (believed,),
    )
    further = iter(task.points(seed, 5 * START)[START // 2 if believed is not None else START :])
    trials: list[CurveTrial] = []
    tried: set[object] = set()
    spent, top, incumbents = 0, (-1.0, 0.0), []

    def is_new(values: Values) -> bool:
        return identity(task.space, values) not in tried

    while spent < BUDGETS[-1] * task.full_cost:
        decision = found.decide(trials, is_new)
        match decision:
            case GoOn(number, target):
                trial = replace(trials[number], target=target)
            case Start(values, target):
                if len(trials) < len(points):
                    values = points[len(trials)]
                elif values is None:
                    values = next(further, None) or task.points(seed + len(trials), 1)[0]
                tried.add(identity(task.space, values))
                trial = CurveTrial(len(trials), values, {}, target, task.last, "paused")
                trials.append(trial)
            case _:
                raise AssertionError
        curve = task.curve(trial.values)
        reached = max(trial.curve, default=0)
        for step in range(reached + 1, trial.target + 1):
            spent += 1
            rank = (math.inf if step == task.last else float(step), curve[step - 1])
            if rank > top:
                top = rank
                incumbents.append((spent, trial.values))
        seen = {step: curve[step - 1] for step in range(1, trial.target + 1)}
        state = "ended" if trial.target == task.last else "paused"
        trials[trial.number] = replace(trial, curve=seen, state=state)
    assert not found.failures, found.failure
    return [
        task.regret(next(v for at_, v in reversed(incumbents) if at_ <= budget * task.full_cost))
        for budget in BUDGETS
    ]


def interquartile_mean(regrets: np.ndarray) -> np.ndarray:
    """Return the mean of the middle half over the first axis."""
    ranked, count = np.sort(regrets, 0), len(regrets)
    return ranked[count // 4 : count - count // 4].mean(0)


def trainings_to(curve: Sequence[float], target: float) -> float:
    """Return after how many trainings a curve over BUDGETS reaches a regret, linear between."""
    for place, value in enumerate(curve):
        if value <= target:
            if place == 0:
                return BUDGETS[0]
            weight = (curve[place - 1] - target) / (curve[place - 1] - value)
            return BUDGETS[place - 1] + weight * (BUDGETS[place] - BUDGETS[place - 1])
    return math.inf


def summarise(rows: Sequence[Mapping[str, Any]], target: float) -> dict[str, Any]:
    """Return means with intervals by arm, over the tasks and seeds that all arms have."""
    known: dict[str, dict[tuple[str, int], list[float]]] = defaultdict(dict)
    for row in rows:
        known[row["arm"]][row["task"], row["seed"]] = row["regret"]
    runs = sorted(set.intersection(*(set(found) for found in known.values())))
    seeds: dict[str, list[int]] = defaultdict(list)
    for task, seed in runs:
        seeds[task].append(seed)

    def needed(drawn: Sequence[tuple[str, int]]) -> dict[str, float]:
        means = {a: interquartile_mean(np.array([k[r] for r in drawn])) for a, k in known.items()}
        return {arm: trainings_to(mean, target) for arm, mean in means.items()}

    rng, resampled = np.random.default_rng(0), []
    for _ in range(2000):
        tasks = rng.choice(list(seeds), len(seeds))
        resampled.append(
            needed([(t, int(s)) for t in tasks for s in rng.choice(seeds[t], len(seeds[t]))])
        )
    observed, found = needed(runs), {}
    for arm in known:
        ratios = [one[arm] / one["none"] for one in resampled if math.isfinite(one["none"])]
        found[arm] = {
            "regret": interquartile_mean(np.array([known[arm][r] for r in runs])).round(4).tolist(),
            "trainings": round(observed[arm], 2),
            "interval": np.quantile(
                [one[arm] for one in resampled], [0.025, 0.975], method="nearest"
            ).tolist(),
            "of_none": round(observed[arm] / observed["none"], 3),
            "of_none_interval": np.quantile(ratios, [0.025, 0.975], method="nearest").tolist(),
        }
    return {"tasks": len(seeds), "runs": len(runs), "target": target, "arms": found}


def main() -> None:
    """Run what is asked for, print it and store it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tasks", default="")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--seeds", default="0:3")
    parser.add_argument("--rows", type=Path, help="JSONL of runs, which are not made again")
    parser.add_argument("--write", action="store_true", help=f"store the result in {RESULTS.name}")
    options = parser.parse_args()
    made = options.rows and options.rows.exists()
    rows = [json.loads(line) for line in options.rows.read_text().splitlines()] if made else []
    have = {(row["task"], row["seed"], row["arm"]) for row in rows}
    low, high = map(int, options.seeds.split(":"))
    folder = options.data / "lcbench_surrogate"
    names = {f"lcbench-{number}": number for number in TASKS}
    wanted = options.tasks.split(",") if options.tasks else list(names)
    wanted = [
        w
        for w in wanted
        if any((w, s, a) not in have for s in range(low, high) for a in options.arms.split(","))
    ]
    for name in wanted:
        task = LCBench(names[name], folder)
        best, worst = extremes(task)
        after = TASKS[(TASKS.index(names[name]) + 1) % len(TASKS)]
        other = extremes(LCBench(after, folder))[0] if "other" in options.arms else None
        for seed in range(low, high):
            beliefs = {"none": None, "wrong": worst, "right": moved(task, best, seed)}
            beliefs |= {"adapts": None}
            if other is not None:
                beliefs["other"] = moved(task, other, seed)
            for arm in options.arms.split(","):
                if (name, seed, arm) in have:
                    continue
                began = time.process_time()
                regret = search(task, seed, beliefs[arm], adapts=arm == "adapts")
                row = {"task": name, "seed": seed, "arm": arm, "regret": regret}
                row |= {"seconds": round(time.process_time() - began, 2)}
                rows.append(row)
                print(name, seed, arm, row["seconds"], [round(r, 3) for r in regret], flush=True)
                if options.rows:
                    with options.rows.open("a") as stream:
                        stream.write(json.dumps(row) + "\n")
    methods = json.loads(TPE.read_text())["methods"]
    summary = summarise(rows, methods["tpe"]["regret"][-1])
    for arm, entry in summary["arms"].items():
        print(f"{arm:8}", entry)
    if options.write:
        result = {"machine": describe_machine(), "budgets": BUDGETS}
        RESULTS.write_text(json.dumps(result | summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
