"""Does the narrowed space keep the best point, and does refining in it pay?

On functions of `narrowing_functions`, 60 trials of TPE are narrowed; then 40 more follow twice: in
the same study, and in the narrowed space with the fitting trials carried over, as `tune --stages`
does it. Compared is the true score of the configuration that each would pick. Developed on other
seeds than the one that is reported.

    python benchmarks/narrowing.py --seed 3 --functions 200
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from machine import describe_machine
from narrowing_functions import (
    SearchFunction,
    draw_function,
    matters,
    space_file,
    to_unit,
)

from tunewright.analysis.narrowing.narrow import narrow
from tunewright.analysis.narrowing.narrowing import Narrowing
from tunewright.errors import StudyError
from tunewright.runs.record import StudyRecord, Trial
from tunewright.spaces.domain import Categorical, Domain, Int, coerce
from tunewright.spaces.space import Space
from tunewright.spaces.specification import read_specification

EXPLORE, REFINE = 60, 40
NEAR = 0.05
"""Part of a range that is the neighbourhood of the best point."""
RESULTS = Path(__file__).with_name("results") / "narrowing.json"


def suggest(trial: optuna.Trial, path: str, domain: Domain) -> Any:
    """Suggest a value of a domain."""
    if isinstance(domain, Categorical):
        return trial.suggest_categorical(path, domain.choices)
    if isinstance(domain, Int):
        return trial.suggest_int(path, domain.low, domain.high, log=domain.log, step=domain.step)
    return trial.suggest_float(path, domain.low, domain.high, log=domain.log, step=domain.step)


def distribution(domain: Domain) -> optuna.distributions.BaseDistribution:
    """Return a domain as Optuna has it."""
    if isinstance(domain, Categorical):
        return optuna.distributions.CategoricalDistribution(domain.choices)
    kind = (
        optuna.distributions.IntDistribution
        if isinstance(domain, Int)
        else optuna.distributions.FloatDistribution
    )
    return kind(domain.low, domain.high, log=domain.log, step=domain.step)


def new_study(seed: int) -> optuna.Study:
    """Return a study with the sampler of a search of ours."""
    sampler = optuna.samplers.TPESampler(
        seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=10
    )
    return optuna.create_study(sampler=sampler, direction="maximize")


def run(
    study: optuna.Study, made: SearchFunction, space: Space, count: int, rng: np.random.Generator
) -> None:
    """Run trials of a function in a space."""
    for _ in range(count):
        trial = study.ask()
        values = space.draw(lambda p, trial=trial: suggest(trial, p.path, p.domain))
        study.tell(trial, made.value(values) + made.noise * rng.normal())


def as_record(study: optuna.Study) -> StudyRecord:
    """Return the trials as the analysis reads them."""
    trials = tuple(Trial(t.number, "done", t.params, t.value, {}) for t in study.trials)
    return StudyRecord("explore", "function", "score", "max", trials)


def keeps(made: SearchFunction, space: Space) -> bool:
    """Return whether the space holds the neighbourhood of the best point."""
    point = made.best_point or {}
    for path, value in point.items():
        domain = made.space[path].domain
        if path not in space:
            return False
        now = space[path].domain
        if isinstance(domain, Categorical):
            if not now.contains(value):
                return False
        elif matters(made, path) and not isinstance(now, Categorical):
            unit = to_unit(domain, value)
            low, high = to_unit(domain, now.low), to_unit(domain, now.high)
            if not low - NEAR <= unit <= high + NEAR:
                return False
    return True


def volume(made: SearchFunction, space: Space) -> float:
    """Return the share of the space that is left, without parameters under conditions."""
    share = 1.0
    for parameter in made.space.parameters:
        if parameter.when:
            continue
        now, before = space[parameter.path].domain, parameter.domain
        if isinstance(before, Categorical):
            assert isinstance(now, Categorical)
            share *= len(now.choices) / len(before.choices)
        elif not isinstance(now, Categorical):
            share *= to_unit(before, now.high) - to_unit(before, now.low)
    return share


def picked(study: optuna.Study, made: SearchFunction) -> float:
    """Return the true score of the best trial by its noisy one."""
    return made.value(study.best_trial.params)


def compare(seed: int) -> dict[str, Any]:
    """Return what one function gives."""
    made = draw_function(np.random.default_rng(seed))
    explore = new_study(seed)
    run(explore, made, made.space, EXPLORE, np.random.default_rng((seed, 1)))
    began = time.perf_counter()
    try:
        found: Narrowing | None = narrow(as_record(explore), space_file(made))
    except StudyError:
        found = None
    seconds = time.perf_counter() - began
    after = made.space if found is None else read_specification(found.specification, {})
    refine = new_study(seed + 1)
    for trial in explore.trials:
        if after.contains(trial.params):
            params = {p: coerce(after[p].domain, value) for p, value in trial.params.items()}
            domains = {path: distribution(after[path].domain) for path in params}
            refine.add_trial(
                optuna.trial.create_trial(params=params, distributions=domains, value=trial.value)
            )
    before, fitting = picked(explore, made), len(refine.trials)
    run(refine, made, after, REFINE, np.random.default_rng((seed, 2)))
    explore.sampler = new_study(seed + 1).sampler
    run(explore, made, made.space, REFINE, np.random.default_rng((seed, 2)))
    widened = [
        p.path for p in (found.parameters if found else ()) if p.change in ("widened", "moved")
    ]
    return {
        "seed": seed,
        "kept": keeps(made, after),
        "volume": volume(made, after),
        "fitting": fitting,
        "narrowed": found is not None and found.is_smaller,
        "edges": list(made.edges),
        "widened": widened,
        "choices_dropped": sum(
            1
            for p in (found.parameters if found else ())
            if isinstance(p.before, Categorical) and p.after != p.before
        ),
        "noise": made.noise / made.spread,
        "before": (made.best - before) / made.spread,
        "explore": (made.best - picked(explore, made)) / made.spread,
        "refine": (made.best - picked(refine, made)) / made.spread,
        "seconds": seconds,
    }


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--functions", type=int, default=200)
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    import warnings

    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    rows = []
    for place in range(given.functions):
        rows.append(compare(1000 * given.seed + place))
        if place % 10 == 9 or place + 1 == given.functions:
            print(place + 1, json.dumps(summarise(rows)), flush=True)
            found = {"machine": describe_machine(), "seed": given.seed, **summarise(rows)}
            text = json.dumps({**found, "rows": rows}, indent=1)
            given.output.write_text(text + "\n", encoding="utf-8")


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures over all functions."""
    gains = np.array([row["explore"] - row["refine"] for row in rows])
    kept = float(np.mean([row["kept"] for row in rows]))
    wins, losses = int((gains > 1e-12).sum()), int((gains < -1e-12).sum())
    with_edge = [row for row in rows if row["edges"]]
    without = [row for row in rows if not row["edges"]]
    return {
        "functions": len(rows),
        "kept": kept,
        "kept_interval": wilson(kept, len(rows)),
        "median_volume": float(np.median([row["volume"] for row in rows])),
        "median_gain": float(np.median(gains)),
        "mean_gain": float(gains.mean()),
        "refine_better": wins,
        "explore_better": losses,
        "sign_test": sign_test(wins, losses),
        "median_regret_explore": float(np.median([row["explore"] for row in rows])),
        "median_regret_refine": float(np.median([row["refine"] for row in rows])),
        "widened_where_at_an_edge": sum(
            bool(set(r["widened"]) & set(r["edges"])) for r in with_edge
        ),
        "at_an_edge": len(with_edge),
        "widened_elsewhere": sum(bool(row["widened"]) for row in without),
        "choices_dropped": sum(row["choices_dropped"] for row in rows),
        "seconds": float(np.median([row["seconds"] for row in rows])),
    }


def wilson(share: float, count: int) -> list[float]:
    """Return the 95 % interval of a share. Source: Wilson 1927."""
    z = 1.96
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + (z / 2 / count) ** 2)
    return [round(middle - half, 4), round(middle + half, 4)]


def sign_test(wins: int, losses: int) -> float:
    """Return the two-sided chance of so uneven a count of wins and losses."""
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


if __name__ == "__main__":
    main()
