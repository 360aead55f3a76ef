"""How long the report of a study takes to write and how large it is, beside Optuna's own figures.

A study of random trials with learning curves is written straight into an SQLite file of Optuna.
`report` reads it and writes the page; `optuna` reads it and draws history, curves, importances,
slices, parallel coordinates and the contour of two parameters as HTML, what the page holds as well.

    python benchmarks/report_speed.py [--trials 1000 20000] [--epochs 50]
    python benchmarks/report_speed.py --trials 20000 --attributes 48000    # a database of 1 GB

With `--attributes`, each trial has a user attribute of so many bytes, and the figures are saved as
`report_large`.
"""

import argparse
import json
import math
import resource
import sqlite3
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from rounds import save

import tunewright
from tunewright.runs.sqlite_url import sqlite_url

PARAMETERS = 10
BESIDE = 5000
"""Trials up to which Optuna's figures are drawn: they take minutes for more."""
START = "2026-01-01 00:00:00.000000"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 20000])
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--attributes", type=int, default=0)
    chosen = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for trials in chosen.trials:
            file = Path(folder) / f"{trials}.db"
            make_study(file, trials, chosen.epochs, chosen.attributes)
            found[str(trials)] = measure(file, Path(folder), beside=trials <= BESIDE)
            file.unlink()
            print(trials, json.dumps(found[str(trials)]))
    command = "python benchmarks/report_speed.py"
    facts: dict[str, Any] = {"epochs": chosen.epochs, "parameters": PARAMETERS}
    if chosen.attributes:
        words = " ".join(map(str, chosen.trials))
        command += f" --trials {words} --attributes {chosen.attributes}"
        facts["attribute_bytes"] = chosen.attributes
    name = "report_large" if chosen.attributes else "report_speed"
    save(name, command, None, **facts, by_trials=found)


def measure(file: Path, folder: Path, *, beside: bool) -> dict[str, float]:
    """Return seconds and bytes of the report and, where `beside`, of Optuna's figures."""
    url = sqlite_url(file)
    began = time.perf_counter()
    page = tunewright.report(storage=url, name="study", output=folder / "report.html").file
    ours = time.perf_counter() - began
    script = 4.9e6
    figures = {
        "database_mb": file.stat().st_size / 1e6,
        "report_seconds": ours,
        "report_mb_without_script": max(0.0, page.stat().st_size - script) / 1e6,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if not beside:
        return figures
    began = time.perf_counter()
    study = optuna.load_study(study_name="study", storage=url)
    import optuna.visualization as shown

    size = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pair = ["p0", "p1"]
        for figure in (
            shown.plot_optimization_history(study),
            shown.plot_intermediate_values(study),
            shown.plot_param_importances(study),
            shown.plot_slice(study),
            shown.plot_parallel_coordinate(study),
            shown.plot_contour(study, params=pair),
        ):
            target = folder / "figure.html"
            figure.write_html(target, include_plotlyjs=False)
            size += target.stat().st_size
    theirs = time.perf_counter() - began
    return {**figures, "optuna_seconds": theirs, "optuna_mb_without_script": size / 1e6}


def make_study(file: Path, trials: int, epochs: int, attribute_bytes: int = 0) -> None:
    """Write a study into a database of Optuna; one by one, its trials would take minutes."""
    study = optuna.create_study(storage=sqlite_url(file), study_name="study", direction="maximize")
    del study
    random = np.random.default_rng(0)
    distribution = json.dumps(
        {
            "name": "FloatDistribution",
            "attributes": {"low": 0.0, "high": 1.0, "log": False, "step": None},
        }
    )
    points = random.random((trials, PARAMETERS))
    best = 1.0 - 0.5 * (points[:, 0] - 0.3) ** 2 - 0.2 * (points[:, 1] - 0.6) ** 2
    with sqlite3.connect(file) as database:
        database.executemany(
            "INSERT INTO trials (trial_id, number, study_id, state, datetime_start, "
            "datetime_complete) VALUES (?, ?, 1, ?, ?, ?)",
            (
                (n + 1, n, "PRUNED" if n % 3 else "COMPLETE", START, "2026-01-01 00:01:00.000000")
                for n in range(trials)
            ),
        )
        database.executemany(
            "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
            "VALUES (?, ?, ?, ?)",
            (
                (n + 1, f"p{place}", float(points[n, place]), distribution)
                for n in range(trials)
                for place in range(PARAMETERS)
            ),
        )
        if attribute_bytes:
            text = json.dumps("x" * attribute_bytes)
            database.executemany(
                "INSERT INTO trial_user_attributes (trial_id, key, value_json) "
                "VALUES (?, 'notes', ?)",
                ((n + 1, text) for n in range(trials)),
            )
        database.executemany(
            "INSERT INTO trial_values (trial_id, objective, value, value_type) "
            "VALUES (?, 0, ?, 'FINITE')",
            ((n + 1, float(best[n])) for n in range(trials)),
        )
        database.executemany(
            "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, "
            "intermediate_value_type) VALUES (?, ?, ?, 'FINITE')",
            (
                (n + 1, step, float(best[n] - math.exp(-step / 8)))
                for n in range(trials)
                for step in range(1, (epochs if n % 3 == 0 else epochs // 4) + 1)
            ),
        )


if __name__ == "__main__":
    main()
