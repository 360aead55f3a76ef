"""Does it cost a training anything to measure how long it waits for data?

python benchmarks/usage_cost.py

The same steps of a small network on resident batches, with the loader watched as the trainer
watches it, and plainly. Beside the ratio stands the cost of one look at the clock alone, against
the step: the bound that a loaded machine cannot blur. Writes results/usage_cost.json.
"""

import argparse
import time

import torch
from rounds import Figures, again, ratio, run_rounds, save
from torch import nn

from tunewright.training.usage.data_wait import TimedBatches

STEPS = 300


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=40)
    given = arguments.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.AdamW(model.parameters())
    resident = [(torch.randn(64, 64), torch.randint(10, (64,))) for _ in range(STEPS)]

    def epoch(*, watched: bool) -> Figures:
        began = time.process_time()
        for rows, targets in TimedBatches(resident) if watched else resident:
            loss = nn.functional.cross_entropy(model(rows), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return {"cpu_us": 1e6 * (time.process_time() - began) / STEPS}

    arms = {"plain": lambda: epoch(watched=False), "watched": lambda: epoch(watched=True)}
    measured = run_rounds(arms, rounds=given.rounds, null="plain")
    found = ratio(measured, "watched", "plain", "cpu_us")
    null = ratio(measured, again("plain"), "plain", "cpu_us")
    look = look_microseconds()
    step = measured.median("plain", "cpu_us")
    print(f"watched over plain {found}, plain over itself {null}")
    print(f"one look {look:.2f} us of a step of {step:.0f} us: {look / step:.2%}")
    facts = {"watched over plain": found, "plain over itself": null, "look_us": look}
    facts |= {"step_us": step, "look over step": look / step}
    print(f"written: {save('usage_cost', 'python benchmarks/usage_cost.py', measured, **facts)}")


def look_microseconds(looks: int = 100_000) -> float:
    """Return what one watched batch costs more than a plain one; the least of nine."""
    costs = [spent(TimedBatches(range(looks))) - spent(range(looks)) for _ in range(9)]
    return 1e6 * min(costs) / looks


def spent(batches: TimedBatches[int] | range) -> float:
    began = time.process_time()
    for _ in batches:
        pass
    return time.process_time() - began


if __name__ == "__main__":
    main()
