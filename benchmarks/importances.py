"""Importances on studies whose truth is known, and their speed beside Optuna's own.

`coverage`: random studies of an additive function with four parameters that matter and four that
do not: how often the 95 % interval of a share holds the share that a study of 20,000 trials has,
how wide it is, and how often it begins above 0; the plain bootstrap stands beside. `pruned`:
studies of the same kind with learning curves, pruned by the median at rungs: how far the shares
are from those of the whole studies, with the pruned trials predicted and with the finished ones
alone. `pairs`: how often a pair that acts together is found, and one that does not. `curves`:
errors of predicted final scores, on drawn curves and, with --curves, on published ones. `speed`:
seconds beside optuna.importance, in interleaved rounds.

    python benchmarks/importances.py [--studies 50] [--rounds 3] [--curves FOLDER]

FOLDER holds alexnet_tuning.results.jsonl.gz and deberta-base_tuning.results.jsonl.gz.
"""

import argparse
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import early_stopping
import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState
from rounds import ratio, run_rounds, save

from tunewright.analysis.final_scores import predict_final_scores
from tunewright.analysis.shares.resampling import Branch, measure
from tunewright.runs.record import StudyRecord, Trial
from tunewright.search.study.importance.grid_cells import regimes_of
from tunewright.search.study.importance.trials_view import TrialsView
from tunewright.search.study.importances import ImportanceSource
from tunewright.spaces.domain import Categorical, Float
from tunewright.spaces.space import Parameter

DOMAINS: Mapping[str, BaseDistribution] = {
    **{f"x{n}": FloatDistribution(0.0, 1.0) for n in range(6)},
    "kind": CategoricalDistribution(["a", "b", "c"]),
    "idle": CategoricalDistribution(["a", "b", "c", "d"]),
}
PARAMETERS = [
    Parameter(path, Categorical(tuple(domain.choices)))
    if isinstance(domain, CategoricalDistribution)
    else Parameter(path, Float(0.0, 1.0))
    for path, domain in DOMAINS.items()
]
MATTER = ("x0", "x1", "x2", "kind")
NOISE = 0.1
EPOCHS = 16
RUNGS = (2, 4, 8)
Rng = np.random.Generator


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--curves", type=Path)
    chosen = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    truth = source(draw(20_000, np.random.default_rng(10**6), additive)).shares
    found: dict[str, Any] = {"truth": truth, "studies": chosen.studies}
    for name, measured in {
        "coverage": lambda: {n: coverage(n, truth, chosen.studies) for n in (50, 100, 300)},
        "pruned": lambda: {n: pruned(n, chosen.studies) for n in (60, 150)},
        "pairs": lambda: {n: pairs(n, chosen.studies) for n in (60, 150)},
        "curves": lambda: curves(chosen.curves),
    }.items():
        found[name] = measured()
        print(name, found[name], flush=True)
    command = "python benchmarks/importances.py --curves FOLDER"
    rounds, found["speed"] = speed(chosen.rounds)
    print(save("importances", command, rounds, **found))


@dataclass(frozen=True)
class Drawn:
    """A study: its trials with their whole curves; scores of those that finish."""

    params: Sequence[Mapping[str, Any]]
    scores: Sequence[float]
    curves: Sequence[Mapping[int, float]] = ()


def additive(params: Mapping[str, Any]) -> float:
    """Return the true score: a sum over parameters, so that each has a share of its own."""
    kind = {"a": 0.0, "b": 0.3, "c": 1.0}[params["kind"]]
    bowls = 3.0 * (params["x0"] - 0.3) ** 2 + 1.8 * (params["x1"] - 0.6) ** 2
    return -bowls + 0.35 * params["x2"] + 0.3 * kind


def together(params: Mapping[str, Any]) -> float:
    """Return a true score in which the best x1 depends on x0."""
    return additive(params) - 1.5 * (params["x0"] - 0.5) * (params["x1"] - 0.5)


def draw(count: int, rng: Rng, score: Callable[[Mapping[str, Any]], float]) -> Drawn:
    """Return a random study of finished trials."""
    params = [
        {
            path: domain.choices[rng.integers(len(domain.choices))]
            if isinstance(domain, CategoricalDistribution)
            else float(rng.random())
            for path, domain in DOMAINS.items()
        }
        for _ in range(count)
    ]
    return Drawn(params, [score(one) + rng.normal(0, NOISE) for one in params])


def source(drawn: Drawn, stops: Sequence[int] | None = None) -> ImportanceSource:
    """Return a study to ask for importances. stops: the last epoch of each trial."""
    trials, stored = [], {}
    for number, (params, score) in enumerate(zip(drawn.params, drawn.scores, strict=True)):
        curve = dict(drawn.curves[number]) if drawn.curves else {}
        done = stops is None or stops[number] == EPOCHS
        if stops is not None:
            curve = {epoch: value for epoch, value in curve.items() if epoch <= stops[number]}
        trials.append(
            Trial(number, "done" if done else "pruned", params, score if done else None, curve)
        )
        stored[number] = FrozenTrial(
            number=number, trial_id=number, state=TrialState.COMPLETE, value=score, params=params,
            distributions=dict(DOMAINS), user_attrs={}, system_attrs={}, intermediate_values={},
            datetime_start=None, datetime_complete=None,
        )  # fmt: skip
    record = StudyRecord("s", "", "value", "max", tuple(trials))
    return ImportanceSource(record, stored, PARAMETERS)


def coverage(count: int, truth: Mapping[str, float], studies: int) -> dict[str, Any]:
    """Return how often intervals hold the truth, how wide they are, and false alarms."""
    rows: list[dict[str, Any]] = []
    for seed in range(studies):
        asked = source(draw(count, np.random.default_rng(seed), additive))
        plain = plain_bootstrap(asked)
        for one in asked.importances().parameters:
            path, low, high = one.parameter, one.low, one.high
            assert low is not None
            assert high is not None
            rows.append(
                {
                    "matters": path in MATTER,
                    "holds": low <= truth[path] <= high,
                    "width": high - low,
                    "above_0": low > 0.0,
                    "plain_holds": plain[path][0] <= truth[path] <= plain[path][1],
                    "plain_width": plain[path][1] - plain[path][0],
                }
            )

    def mean(name: str, matters: bool) -> float:
        return float(np.mean([row[name] for row in rows if row["matters"] == matters]))

    return {
        which: {name: mean(name, matters) for name in rows[0] if name != "matters"}
        for which, matters in (("that_matter", True), ("without_effect", False))
    }


def plain_bootstrap(asked: ImportanceSource) -> dict[str, tuple[float, float]]:
    """Return percentiles of the shares of resamples, from which nothing is taken off."""
    trials = list(asked.stored.values())
    rows = np.arange(len(trials))
    branch = Branch(rows, {path: regimes_of(path, trials) for path in DOMAINS})
    losses = np.array([[-trial.value for trial in trials]])  # type: ignore[operator]
    even = np.full(len(trials), 1.0 / len(trials))
    counts = np.random.default_rng(0).multinomial(len(trials), even, 200).astype(float)
    drawn = measure([branch], losses, counts)
    low, high = np.quantile(drawn / drawn.sum(axis=1, keepdims=True), [0.025, 0.975], axis=0)
    return dict(zip(DOMAINS, zip(low, high, strict=True), strict=True))


def pruned(count: int, studies: int) -> dict[str, float]:
    """Return how far shares are from those of the whole studies: half the sum of differences."""
    off: dict[str, list[float]] = {"predicted": [], "finished_alone": [], "share_pruned": []}
    for seed in range(studies):
        rng = np.random.default_rng(seed)
        drawn = with_curves(draw(count, rng, additive), rng)
        stops = median_stops([list(curve.values()) for curve in drawn.curves])
        truth = source(drawn).shares
        asked = source(drawn, stops)
        done = [number for number, stop in enumerate(stops) if stop == EPOCHS]
        alone = source(
            Drawn([drawn.params[n] for n in done], [drawn.scores[n] for n in done])
        ).shares
        off["share_pruned"].append(1 - len(done) / count)
        for name, shares in (("predicted", asked.shares), ("finished_alone", alone)):
            if shares:
                far = sum(abs(shares.get(path, 0.0) - truth[path]) for path in truth)
                off[name].append(far / 2)
    return {name: float(np.mean(values)) for name, values in off.items()}


def with_curves(drawn: Drawn, rng: Rng) -> Drawn:
    """Return a study with a curve for each trial, of its own speed, that ends at its score."""
    curves = []
    for score in drawn.scores:
        slow = math.exp(rng.normal(1.1, 0.4))
        rise = 1 - np.exp(-np.arange(1, EPOCHS + 1) / slow)
        values = -4.0 + (score + 4.0) * rise / rise[-1] + rng.normal(0, 0.02, EPOCHS)
        values[-1] = score
        curves.append({epoch + 1: float(value) for epoch, value in enumerate(values)})
    return Drawn(drawn.params, drawn.scores, curves)


def median_stops(rows: Sequence[Sequence[float]]) -> list[int]:
    """Return the last epoch of each curve under median pruning at the rungs."""
    seen: dict[int, list[float]] = {rung: [] for rung in RUNGS}
    stops = []
    for row in rows:
        stop = EPOCHS
        for rung in RUNGS:
            seen[rung].append(row[rung - 1])
            if len(seen[rung]) > 4 and row[rung - 1] < np.median(seen[rung]):
                stop = rung
                break
        stops.append(stop)
    return stops


def pairs(count: int, studies: int) -> dict[str, float]:
    """Return how often x0 with x1 is found where they act together; any pair where none does."""
    hits, alarms = [], []
    for seed in range(studies):
        found = source(draw(count, np.random.default_rng(seed), together)).importances()
        hits.append(any({p.first, p.second} == {"x0", "x1"} for p in found.sure_pairs))
        apart = source(draw(count, np.random.default_rng(seed), additive)).importances()
        alarms.append(bool(apart.sure_pairs))
    return {"power": float(np.mean(hits)), "false_alarms": float(np.mean(alarms))}


def curves(folder: Path | None) -> dict[str, Any]:
    """Return the errors of predicted final scores by set of curves."""
    rng = np.random.default_rng(1)
    ends = 0.6 + 0.25 * rng.beta(3, 2, 2000) - 0.2 * (rng.random(2000) < 0.2)
    slow = np.exp(rng.normal(1.1, 0.5, (2000, 1)))
    rise = 1 - np.exp(-np.arange(1, EPOCHS + 1) / slow)
    sets = {"drawn": 0.1 + (ends[:, None] - 0.1) * rise + rng.normal(0, 0.005, rise.shape)}
    if folder is not None:
        for name, rows in (
            ("alexnet", early_stopping.alexnet(folder)),
            ("deberta", early_stopping.deberta(folder)),
        ):
            sets[name] = np.array([sixteen for row in rows if (sixteen := resample(row))])
    return {name: prediction_errors(rows) for name, rows in sets.items()}


def resample(row: Sequence[float]) -> list[float] | None:
    """Return a curve at sixteenths of its length; None for a shorter one."""
    if len(row) < EPOCHS:
        return None
    places = np.ceil(np.arange(1, EPOCHS + 1) / EPOCHS * len(row)).astype(int) - 1
    return [row[place] for place in places]


def prediction_errors(rows: np.ndarray, studies: int = 60, count: int = 100) -> dict[str, float]:
    """Return errors of predictions for pruned trials, and of taking their last values."""
    ours, last, inside = [], [], []
    for seed in range(studies):
        rng = np.random.default_rng(seed)
        taken = rows[rng.choice(len(rows), count, replace=False)]
        stops = median_stops(taken.tolist())
        trials = tuple(
            Trial(
                number,
                "done" if stop == EPOCHS else "pruned",
                {},
                float(row[-1]) if stop == EPOCHS else None,
                {epoch + 1: float(row[epoch]) for epoch in range(stop)},
            )
            for number, (row, stop) in enumerate(zip(taken, stops, strict=True))
        )
        for number, one in predict_final_scores(
            StudyRecord("s", "", "score", "max", trials)
        ).items():
            end = taken[number, -1]
            ours.append(one.value - end)
            last.append(taken[number, stops[number] - 1] - end)
            inside.append(abs(one.value - end) <= 1.96 * one.error)
    return {
        "spread_of_final_scores": float(rows[:, -1].std()),
        "median_error": float(np.median(np.abs(ours))),
        "median_error_of_the_last_value": float(np.median(np.abs(last))),
        "root_mean_square": float(np.sqrt(np.mean(np.square(ours)))),
        "root_mean_square_of_the_last_value": float(np.sqrt(np.mean(np.square(last)))),
        "bias": float(np.mean(ours)),
        "inside_95_percent": float(np.mean(inside)),
    }


def speed(rounds: int) -> tuple[Any, dict[str, Any]]:
    """Return interleaved rounds of ours and Optuna's on the same trials, and their ratios."""
    arms: dict[str, Callable[[], Mapping[str, float]]] = {}
    sizes = (1000, 10_000)
    for count in sizes:
        drawn = draw(count, np.random.default_rng(count), additive)
        stored = list(source(drawn).stored.values())

        def points(drawn: Drawn = drawn) -> Mapping[str, float]:
            return timed(lambda: source(drawn), lambda asked: asked.shares)

        def whole(drawn: Drawn = drawn) -> Mapping[str, float]:
            return timed(lambda: source(drawn), lambda asked: asked.importances())

        def theirs(stored: list[FrozenTrial] = stored) -> Mapping[str, float]:
            return timed(lambda: TrialsView(stored), optuna.importance.get_param_importances)

        arms |= {
            f"points {count}": points, f"all {count}": whole, f"optuna {count}": theirs,
        }  # fmt: skip
    measured = run_rounds(arms, rounds=rounds, null=f"optuna {sizes[-1]}")
    figures: dict[str, Any] = {
        f"{arm}_seconds": measured.median(arm, "processor_seconds") for arm in arms
    }
    for count in sizes:
        figures[f"points_over_optuna_{count}"] = ratio(
            measured, f"points {count}", f"optuna {count}", "processor_seconds"
        )
    return measured, figures


def timed(prepare: Callable[[], Any], work: Callable[[Any], object]) -> Mapping[str, float]:
    """Return how long some work takes, without its preparation."""
    given = prepare()
    began, used = time.perf_counter(), time.process_time()
    work(given)
    return {
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time() - used,
    }


if __name__ == "__main__":
    main()
