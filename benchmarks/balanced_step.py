"""A balanced training step over a standard one, on a CPU.

All arms train the same network from the same weights on the same batches, and a round takes four
steps of each, so that others on the machine slow all of them alike.

standard   the plain loss
famo       task weights, with a second forward pass after each step
famo/4     the same at each fourth step only: balance.every=4
qp         task weights from a backward pass for each task
qp/4       the same at each fourth step only

Both seconds on the clock and of the processor are counted; the verdict is by the processor where
the machine is shared, since the clock then also counts what others do.

    python benchmarks/balanced_step.py [--rounds N] [--quick]
"""

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from compression_training import MODELS, configured, draw
from rounds import judge, ratio, run_rounds, save

from tunewright.recipes.compression.balance.config import (
    Balance,
    FamoConfig,
    NoBalance,
    QpConfig,
)
from tunewright.recipes.compression.config import HpcmConfig, HyperpriorConfig
from tunewright.recipes.compression.setup import make_setup
from tunewright.training.memory.freed import keep_freed_memory
from tunewright.training.optim import make_optimizer
from tunewright.training.step import TrainingStep, mixed_precision
from tunewright.training.task import Clock

STEPS, THREADS, CLIP = 4, 1, 1.0  # one step in four changes the weights of `every=4`
ARMS: dict[str, Balance] = {
    "standard": NoBalance(),
    "famo": FamoConfig(),
    "famo/4": FamoConfig(every=4),
    "qp": QpConfig(),
    "qp/4": QpConfig(every=4),
}
TARGETS = {"famo": 1.35, "famo/4": 1.15}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="2 rounds; not saved")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    keep_freed_memory(os.environ)  # as the workers do that train
    with tempfile.TemporaryDirectory() as place:
        photos = draw(Path(place) / "photos")
        rounds = 2 if options.quick else options.rounds
        found = {name: compare(name, model, photos, rounds) for name, model in MODELS.items()}
    if not options.quick:
        facts = {
            "steps_a_round": STEPS,
            "threads": THREADS,
            "published": "1.20 to 1.23, 1.47 to 1.50",
        }
        command = f"python benchmarks/balanced_step.py --rounds {rounds}"
        print(f"written: {save('balanced_step', command, None, **facts, **found)}")


def compare(
    name: str, section: HpcmConfig | HyperpriorConfig, photos: Path, rounds: int
) -> dict[str, object]:
    print(f"-- {name}")
    arms = {arm: stepper(section, balance, photos) for arm, balance in ARMS.items()}
    measured = run_rounds(arms, rounds=rounds, null="standard")
    found: dict[str, object] = {
        "median_ms": {arm: measured.median(arm, "ms") for arm in arms},
        "median_cpu_ms": {arm: measured.median(arm, "cpu_ms") for arm in arms},
    }
    for arm in ("famo", "famo/4", "qp", "qp/4", "standard again"):
        over = {f: ratio(measured, arm, "standard", f) for f in ("cpu_ms", "ms")}
        verdict = judge(over["cpu_ms"], at_most=TARGETS[arm]) if arm in TARGETS else ""
        print(f"{arm} over standard: processor {over['cpu_ms']}, clock {over['ms']} {verdict}")
        found[f"{arm} over standard"] = over | ({"verdict": verdict} if verdict else {})
    return found | {"rounds": measured.rounds}


def stepper(
    section: HpcmConfig | HyperpriorConfig, balance: Balance, photos: Path
) -> Callable[[], dict[str, float]]:
    """Return a function that takes four more steps of a training, and returns ms a step."""
    config = configured(section, photos, STEPS).model_copy(update={"balance": balance})
    torch.manual_seed(0)
    setup = make_setup(config, torch.device("cpu"))
    optimizer = make_optimizer(config.optim, setup.task.param_groups(setup.model))
    precision = mixed_precision("no", torch.device("cpu"))
    step = TrainingStep(setup.task, setup.model, optimizer, precision, clip_norm=CLIP)
    batches = list(setup.train.epoch(0))
    done = itertools.count()
    setup.model.train()
    setup.task.on_epoch(setup.model, Clock(0, 0, 1, STEPS))

    def steps() -> dict[str, float]:
        began, cpu = time.perf_counter(), time.process_time()
        for batch in batches:
            clock = Clock(0, next(done), 1, STEPS)
            step.take([batch], clock, 1.0, only_if_finite=setup.task.skips_bad_steps)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        return {"ms": 1e3 * wall / STEPS, "cpu_ms": 1e3 * cpu / STEPS}

    return steps


if __name__ == "__main__":
    main()
