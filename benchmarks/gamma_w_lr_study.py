"""A 3 x 3 study of the balanced loss, gamma by w_lr, with its heat map in the documentation.

Nine combinations, two seeds each, through `tunewright tune compression` with the grid sampler: a
small hyperprior learns from crops of 128 pixels at lambda 0.013. What the analyzer says of them,
also that the runs do not tell them apart, goes to `results/gamma_w_lr_study.json`, the heat map to
`docs/gamma-w-lr.png`. The papers train for days; these runs see some hundred crops each.

    python benchmarks/gamma_w_lr_study.py [PHOTOS KODAK] [--runs-dir DIR] [--quick]

PHOTOS is a folder of photographs to train on, KODAK one of PNG pictures whose tiles (each fourth of
128 pixels) are validated on; without them the two photographs that scikit-learn ships. The same
command goes on where it was stopped; the minutes are those of its last call.
"""

import argparse
import time
from pathlib import Path

from balanced_runs import COMMON, cut_tiles
from rounds import save

import tunewright

STUDY = "gamma-w-lr"
GAMMAS, RATES = [0.001, 0.003, 0.01], [0.01, 0.025, 0.05]
SPACE = f"""inherit: false
parameters:
  balance.gamma: {{type: categorical, choices: {GAMMAS}}}
  balance.w_lr: {{type: categorical, choices: {RATES}}}
"""
METRIC = "loss"
FIGURE = Path(__file__).parents[1] / "docs" / "gamma-w-lr.png"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("kodak", type=Path, nargs="?")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="one epoch, one seed; not saved")
    options = parser.parse_args()
    epochs, seeds = (1, 1) if options.quick else (options.epochs, 2)
    began = time.perf_counter()
    data = []
    if options.photos is not None:
        data = [f"data.dir={options.photos.absolute()}"]
    if options.kodak is not None:
        tiles = (options.runs_dir / "tiles").absolute()
        cut_tiles(options.kodak, tiles)
        data.append(f"data.valid_dir={tiles}")
    study = tune(data, options.runs_dir, epochs, seeds)
    analyzer = tunewright.HyperparameterAnalyzer(study)
    found = analyzer.analyze(METRIC)
    ranking = found.rankings[0]
    print(ranking.verdict)
    for notice in found.notices:
        print(f"note: {notice}")
    if options.quick:
        return
    drawn = analyzer.heat_map("gamma", "w_lr", METRIC)
    analyzer.plot_heatmap("gamma", "w_lr", METRIC, output=FIGURE)
    facts = {
        "study": {"lambda": ranking.lmbda, "epochs": epochs, "seeds": seeds, "metric": METRIC},
        "settings": " ".join(COMMON),
        "minutes": (time.perf_counter() - began) / 60,
        "means": drawn.means,
        "spreads": drawn.spreads,
        "counts": drawn.counts,
        "noise": {"deviation": ranking.noise.deviation, "degrees": ranking.noise.degrees},
        "cells": [
            {**cell.parameters, METRIC: cell.mean, **cell.beside, "tied": cell.tied}
            for cell in ranking.cells
        ],
        "verdict": ranking.verdict,
    }
    command = f"python benchmarks/gamma_w_lr_study.py PHOTOS KODAK --epochs {epochs}"
    print(f"written: {save('gamma_w_lr_study', command, None, **facts)} and {FIGURE}")


def tune(data: list[str], runs: Path, epochs: int, seeds: int) -> Path:
    """Run the study, or what is left of it; return its folder."""
    space = runs / f"{STUDY}.yaml"
    space.parent.mkdir(parents=True, exist_ok=True)
    space.write_text(SPACE)
    words = [
        *COMMON,
        "balance=famo",
        f"training.epochs={epochs}",
        f"stages.explore.training.epochs={epochs}",
        "study.sampler.type=grid",
        "study.pruner.type=none",
        "study.final=false",
        f"study.seeds={seeds}",
        *data,
    ]
    tunewright.tune("compression", space, *words, trials=9, name=STUDY, runs_dir=runs)
    return runs / STUDY


if __name__ == "__main__":
    main()
