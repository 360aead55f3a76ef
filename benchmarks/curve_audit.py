"""From which epoch on published trainings rank as their ends do, and how sure a small audit is.

Reads published curves of random searches (opda, Lourie et al.: AlexNet on ImageNet by epoch,
DeBERTa on MNLI by evaluation). First the agreement of all curves at a few epochs, as
`tunewright audit --curves` measures it; then audits of 12 curves drawn from them, and how often
their 95 % intervals hold the figure over all.

    python benchmarks/curve_audit.py FOLDER

FOLDER holds alexnet_tuning.results.jsonl.gz and deberta-base_tuning.results.jsonl.gz.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from early_stopping import alexnet, deberta
from rounds import save

from tunewright.analysis.audit.agreement import Agreement, IntervalEstimate, measure_agreement
from tunewright.analysis.audit.epoch_agreement import first_good_epoch, measure_epochs

EPOCHS = 8
DRAWN, DRAWS = 12, 400


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    found = {"alexnet": measure(alexnet(folder)), "deberta": measure(deberta(folder))}
    print(save("curve_audit", "python benchmarks/curve_audit.py FOLDER", None, **found))


def measure(rows: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Return the agreement by epoch, of all curves and of small audits."""
    curves = [dict(enumerate(row, start=1)) for row in rows if len(row) >= 2]
    epochs = measure_epochs(curves, 1.0, epochs=EPOCHS)
    good = first_good_epoch(epochs)
    longest = max(map(len, curves))
    middle = [one for one in epochs if one.epoch < longest]
    return {
        "curves": len(curves),
        "longest": longest,
        "first_epoch_with_tau_at_least_0.8": None if good is None else good.epoch,
        "epochs": [{"epoch": one.epoch, **shown(one.agreement)} for one in epochs],
        f"audits_of_{DRAWN}": [small_audits(curves, one.epoch) for one in middle[1::2]],
    }


def small_audits(curves: Sequence[dict[int, float]], epoch: int) -> dict[str, Any]:
    """Return how often intervals of small audits hold the figure over all curves."""
    cheap = np.array([max((v for e, v in c.items() if e <= epoch), default=-1.0) for c in curves])
    full = np.array([max(c.values()) for c in curves])
    truth = measure_agreement(cheap, full, resamples=10)
    assert truth is not None
    rng = np.random.default_rng(0)
    hits, widths, regrets = 0, [], []
    for draw in range(DRAWS):
        taken = rng.choice(len(curves), DRAWN, replace=False)
        found = measure_agreement(cheap[taken], full[taken], resamples=400, seed=draw)
        assert found is not None
        assert truth.tau.value is not None
        if found.tau.low is None or found.tau.high is None:
            continue
        hits += found.tau.low <= truth.tau.value <= found.tau.high
        widths.append(found.tau.high - found.tau.low)
        regrets.append(found.regret.value or 0.0)
    return {
        "epoch": epoch,
        "tau_of_all": round(truth.tau.value or math.nan, 3),
        "intervals_that_hold_it_percent": round(100 * hits / DRAWS, 1),
        "median_width": round(float(np.median(widths)), 3),
        "median_regret": round(float(np.median(regrets)), 4),
    }


def shown(one: Agreement) -> dict[str, Any]:
    return {
        "tau": figures(one.tau),
        f"tau_of_top_{one.top}": figures(one.top_tau),
        f"recall_of_{one.best}": figures(one.recall),
        "regret": figures(one.regret),
    }


def figures(one: IntervalEstimate) -> list[float | None]:
    """Return the value and its interval."""
    return [None if x is None else round(x, 4) for x in (one.value, one.low, one.high)]


if __name__ == "__main__":
    main()
