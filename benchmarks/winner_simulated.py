"""How good the winner of replicates is, against the best score of the search alone.

Simulated studies, whose truth is known, at noise of several sizes, with what seeds share and with
configurations that vary more than others; the share of the budget is that of `study.replicate`:

    python benchmarks/winner_simulated.py [--studies 700] [--output FILE]
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_machine

from tunewright.analysis.score_intervals import wilson
from tunewright.analysis.winner.choose import choose
from tunewright.analysis.winner.race import affordable_replicates, count_arms, run_race
from tunewright.analysis.winner.replicates import Arm

SEED = 2029
"""Of studies on which nothing was set; the design was made on seed 0."""
STARTUP, DIMENSIONS = 15, 4
SLOPES = np.array([0.15, 0.05, 0.02, 0.01])
"""What the parameters cost at distance 1/2 from their best values, the most important first."""
SHARE = 0.15
Rng = np.random.Generator


@dataclass(frozen=True)
class Setting:
    """A kind of study. noise: standard deviation of a score; the space spans about .2.

    trainings: what its trials and its final training are worth in whole trials. seed_noise: what
    all configurations share at a seed, in units of `noise`. uneven: standard deviation of the
    logarithm of a configuration's own noise.
    """

    noise: float
    trials: int
    trainings: float
    seed_noise: float = 0.5
    uneven: float = 0.0


SIZES = ((60, 35.0), (100, 90.0), (300, 120.0))
SETTINGS = tuple(
    Setting(noise, trials, trainings, *how)
    for noise in (0.005, 0.02, 0.06)
    for trials, trainings in SIZES
    for how in ((0.5, 0.0), (0.0, 0.5), (1.0, 0.3))
)


def search(rng: Rng, setting: Setting) -> tuple[list[float], list[float]]:
    """Return the true qualities and the scores of a search that draws near its best points.

    The first point is the default, in the middle. Half of the searches are random.
    """
    best = rng.uniform(0.2, 0.8, DIMENSIONS)
    adaptive = rng.random() < 0.5
    points: list[np.ndarray[Any, Any]] = []
    qualities: list[float] = []
    scores: list[float] = []
    for number in range(setting.trials):
        point = rng.random(DIMENSIONS) if number else np.full(DIMENSIONS, 0.5)
        if adaptive and number >= STARTUP and rng.random() < 0.75:
            top = np.argsort(scores)[::-1][: max(3, number // 5)]
            point = np.clip(points[int(rng.choice(top))] + rng.normal(0, 0.12, DIMENSIONS), 0, 1)
        points.append(point)
        qualities.append(0.8 - float((4 * SLOPES * (point - best) ** 2).sum()))
        scores.append(qualities[-1] + rng.normal(0, setting.noise))
    return qualities, scores


def replicate(
    rng: Rng, setting: Setting, qualities: Sequence[float], scores: Sequence[float]
) -> dict[str, Any]:
    """Race the best of a search, and return how its winner compares with the best score."""
    affordable = affordable_replicates(SHARE, setting.trainings)
    ranked = sorted(range(len(scores)), key=lambda trial: -scores[trial])
    top = ranked[: count_arms(affordable)]
    if 0 not in top:
        top = [*top[:-1], 0]
    among = {*ranked[: len(top)]}
    arms = [Arm(t, scores[t], is_default=t == 0, among_best=t in among) for t in top]
    own = {t: setting.noise * float(np.exp(rng.normal(0, setting.uneven))) for t in top}
    shared = {seed: rng.normal(0, setting.seed_noise * setting.noise) for seed in range(10)}
    state = run_race(arms, range(10), affordable)
    while state.pending:
        for trial, seed in state.pending:
            score = qualities[trial] + shared[seed] + rng.normal(0, own[trial])
            arms = [
                replace(arm, scores={**arm.scores, seed: score}) if arm.trial == trial else arm
                for arm in arms
            ]
        state = run_race(arms, range(10), affordable)
    chosen = choose(arms, state, scores)
    assert chosen is not None
    found, naive = chosen.estimates.by_trial[chosen.winner], ranked[0]
    truth, best = qualities[chosen.winner], max(qualities)
    optimism = chosen.optimism
    assert optimism is not None
    return {
        "covered": found.low <= truth <= found.high,
        "optimism_covered": optimism.low <= scores[naive] - qualities[naive] <= optimism.high,
        "regret": (best - truth) / setting.noise,
        "naive_regret": (best - qualities[naive]) / setting.noise,
        "optimism": optimism.value / setting.noise,
        "width": (found.high - found.low) / setting.noise,
        "share": state.spent / (state.spent + setting.trainings),
        "better": truth > qualities[naive],
        "worse": truth < qualities[naive],
    }


def measure(setting: Setting, studies: int, seed: int) -> dict[str, Any]:
    """Return the figures of a kind of study."""
    rng = np.random.default_rng(seed)
    rows = [replicate(rng, setting, *search(rng, setting)) for _ in range(studies)]
    columns = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    hits = int(columns["covered"].sum())
    middle = {f"median_{n}": float(np.median(columns[n])) for n in ("regret", "naive_regret")}
    return {
        **asdict(setting),
        "replicates": affordable_replicates(SHARE, setting.trainings),
        "coverage": hits / studies,
        "coverage_interval": wilson(hits, studies),
        "optimism_coverage": float(columns["optimism_covered"].mean()),
        "mean_regret": float(columns["regret"].mean()),
        "mean_naive_regret": float(columns["naive_regret"].mean()),
        **middle,
        "better": float(columns["better"].mean()),
        "worse": float(columns["worse"].mean()),
        "mean_optimism": float(columns["optimism"].mean()),
        "median_width": float(np.median(columns["width"])),
        "most_share": float(columns["share"].max()),
    }


def main() -> None:
    """Measure all settings; print them and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=700)
    parser.add_argument("--seed", type=int, default=SEED)
    results = Path(__file__).parent / "results/winner_simulated.json"
    parser.add_argument("--output", type=Path, default=results)
    given = parser.parse_args()
    began = time.monotonic()
    rows = []
    for place, setting in enumerate(SETTINGS):
        rows.append(row := measure(setting, given.studies, given.seed + place))
        figures = {name: round(value, 3) for name, value in row.items() if type(value) is float}
        print(f"{row['trials']} trials, {row['replicates']} replicates: {figures}", flush=True)
    found = {
        "command": "python benchmarks/winner_simulated.py",
        "machine": describe_machine(),
        "seconds": round(time.monotonic() - began, 1),
        "studies": given.studies,
        "units": "regret, optimism and width in standard deviations of a score",
        "settings": rows,
    }
    given.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
