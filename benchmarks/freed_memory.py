"""Training steps in a process that keeps freed memory over those in one that returns it, on a CPU.

Each arm is a process of its own that takes the plain steps of one network again and again on one
thread: forward, backward, clipping, AdamW. Arms take turns.

returned   as the C library does by itself
kept       as the workers do that train: `tunewright.training.memory.freed`

`cpu_ms` is processor time a step by all threads, of which `system_ms` in the kernel, `faults` the
page faults a step, and `peak_mib` the most that the process held. The verdict: kept may cost no
network more than 2 % of its time, and must be faster for one at least.

    python benchmarks/freed_memory.py [--rounds N] [--quick]
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache
from resource import RUSAGE_SELF, getrusage

import torch
from compression_training import BATCH, CLIP, CROP, LR, MODELS, process, rate_distortion
from rounds import judge, ratio, run_rounds, save
from torch import Tensor, nn
from torch.nn import functional as F

from tunewright.classification.models.config import ImageModelConfig
from tunewright.classification.models.image_classifier import make_image_model
from tunewright.recipes.compression.models.factory import make_compressor
from tunewright.training.memory.peak import held_memory, reset_mark

RESNET, PIXELS, CLASSES, PICTURES = "resnet18, 32 pictures of 224 pixels", 224, 10, 32
"""The size that `longtail` trains on pictures of the user's."""
STEPS = {**dict.fromkeys(MODELS, 4), RESNET: 1}
ARMS = {"returned": False, "kept": True}
MOST = 1.02


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="2 rounds; not saved")
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    rounds = 2 if options.quick else options.rounds
    found = {name: compare(name, rounds) for name in STEPS}
    if not options.quick:
        command = f"python benchmarks/freed_memory.py --rounds {rounds}"
        facts: dict[str, object] = {"threads": 1, "steps_a_round": STEPS}
        print(f"written: {save('freed_memory', command, None, **facts, **found)}")


def compare(name: str, rounds: int) -> dict[str, object]:
    print(f"-- {name}")
    with ExitStack() as processes:
        alone = {arm: processes.enter_context(process(1, kept)) for arm, kept in ARMS.items()}

        def arm(runs_in: ProcessPoolExecutor) -> Callable[[], dict[str, float]]:
            return lambda: runs_in.submit(take_steps, name).result()

        arms = {arm_: arm(runs_in) for arm_, runs_in in alone.items()}
        measured = run_rounds(arms, rounds=rounds, null="returned", warm_ups=2)
    over = {f: ratio(measured, "kept", "returned", f) for f in ("cpu_ms", "peak_mib")}
    again = ratio(measured, "returned again", "returned", "cpu_ms")
    verdicts = {
        f"at most {MOST:g}": judge(over["cpu_ms"], at_most=MOST),
        "faster": judge(over["cpu_ms"], at_most=1.0),
    }
    print(f"kept over returned: {', '.join(f'{f} {value}' for f, value in over.items())}")
    print(f"returned over itself: {again}; {verdicts}")
    figures = measured.rounds[0].figures["kept"]
    return {
        "median": {f: {a: measured.median(a, f) for a in arms} for f in figures},
        "kept over returned": over,
        "returned over returned, cpu_ms": again,
        "verdicts": verdicts,
        "rounds": measured.rounds,
    }


def take_steps(name: str) -> dict[str, float]:
    """What a step of a network took in this process, in the mean of some."""
    step, count = stepper(name), STEPS[name]
    reset_mark()
    before, cpu = getrusage(RUSAGE_SELF), time.process_time()
    for _ in range(count):
        step()
    cpu, after = time.process_time() - cpu, getrusage(RUSAGE_SELF)
    held = held_memory()
    return {
        "cpu_ms": 1e3 * cpu / count,
        "system_ms": 1e3 * (after.ru_stime - before.ru_stime) / count,
        "faults": (after.ru_minflt - before.ru_minflt) / count,
        "peak_mib": held.highest_mib if held else 0.0,
    }


@cache
def stepper(name: str) -> Callable[[], None]:
    """Return a function that takes one more step of a training, on pictures of noise."""
    torch.manual_seed(0)
    model, loss = resnet() if name == RESNET else compressor(name)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, fused=True)

    def step() -> None:
        loss().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()

    return step


def compressor(name: str) -> tuple[nn.Module, Callable[[], Tensor]]:
    model = make_compressor(MODELS[name])
    pictures = torch.rand(BATCH, 3, CROP, CROP)
    return model.train(), lambda: rate_distortion(model, pictures)


def resnet() -> tuple[nn.Module, Callable[[], Tensor]]:
    config = ImageModelConfig(name="resnet18", fusion="none")
    model = make_image_model(config, CLASSES, image_size=PIXELS)
    pictures, labels = torch.rand(PICTURES, 3, PIXELS, PIXELS), torch.arange(PICTURES) % CLASSES
    return model.train(), lambda: F.cross_entropy(model(pictures), labels)


if __name__ == "__main__":
    main()
