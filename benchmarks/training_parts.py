"""Where the time of a training step goes: the trainer's step against the shortest loop, by part.

Both train the same network, turn by turn, step by step, on one thread; what is counted is the
processor time of that thread, which hardly depends on what else the machine does.

ours     crops gathered from the store, the step as the trainer takes it, the running means
plain    the shortest loop that trains the same, on crops that lie in memory as floats

The parts are timed one by one on the same crops. `sampling` is what the thread that watches the
memory of a run costs, in milliseconds of processor time a second.

    python benchmarks/training_parts.py [--quick]
"""

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from compression_training import CLIP, LR, MODELS, configured, draw, rate_distortion
from rounds import save, summarise

from tunewright.recipes.compression.config import HpcmConfig, HyperpriorConfig
from tunewright.recipes.compression.setup import make_setup
from tunewright.training.memory.freed import keep_freed_memory
from tunewright.training.memory.peak import MemoryPeak
from tunewright.training.optim import make_optimizer
from tunewright.training.step import TrainingStep, mixed_precision
from tunewright.training.task import Clock

T = TypeVar("T")
STEPS_AN_EPOCH = 2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="3 turns; not saved")
    turns = 3 if parser.parse_args().quick else 24
    torch.set_num_threads(1)
    keep_freed_memory(os.environ)  # as the workers do that train
    with tempfile.TemporaryDirectory() as place:
        photos = draw(Path(place) / "photos")
        found = {name: compare(name, model, photos, turns) for name, model in MODELS.items()}
    sampling = sampling_ms_a_second()
    print(f"sampling of memory: {sampling:.2f} ms of processor time a second")
    if turns > 3:
        command = "python benchmarks/training_parts.py"
        facts: dict[str, object] = {"threads": 1, "sampling_ms_a_second": sampling}
        print(f"written: {save('training_parts', command, None, **facts, **found)}")


def compare(
    name: str, section: HpcmConfig | HyperpriorConfig, photos: Path, turns: int
) -> dict[str, object]:
    timed: dict[str, list[float]] = defaultdict(list)

    def timing(part: str, work: Callable[[], T]) -> T:
        began = time.thread_time()
        result = work()
        timed[part].append(1e3 * (time.thread_time() - began))
        return result

    setup, model, step = trainer_step(section, photos)
    _, other, _ = trainer_step(section, photos)
    optimizer = torch.optim.AdamW(other.parameters(), lr=LR, weight_decay=0.0, fused=True)
    sums: dict[str, Any] = {}

    def ours(number: int) -> None:
        batch = next(iter(setup.train.epoch(number)))
        loss = step.take([batch], Clock(number, number, turns + 1, 1), 1.0)
        weight = setup.task.weight(batch)
        for key, value in {"loss": loss.total, **loss.terms}.items():
            sums[key] = sums.get(key, 0.0) + value.detach() * weight

    def plain(batch: torch.Tensor) -> None:
        rate_distortion(other, batch).backward()
        torch.nn.utils.clip_grad_norm_(other.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()

    for number in range(turns + 1):
        batch = next(iter(setup.train.epoch(number)))
        pair = [("ours", lambda n=number: ours(n)), ("plain", lambda b=batch: plain(b))]
        for arm, work in pair if number % 2 else pair[::-1]:
            timing(arm, work)
        timing("gather crops", lambda n=number: next(iter(setup.train.epoch(n))))
        coded = timing("forward", lambda b=batch: model(b))
        loss = timing("loss and its terms", lambda c=coded, b=batch: setup.task.criterion(c, b))
        timing("backward", loss.total.backward)
        timing("clip", lambda: torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9))
        model.zero_grad(set_to_none=True)
        with torch.no_grad():
            timing("second forward", lambda b=batch: model(b))
        timing("plain loss", lambda b=batch, c=coded: bits_and_error(c, b))
    parts = {part: statistics.median(values[1:]) for part, values in timed.items()}
    over = summarise([p / o for o, p in zip(timed["ours"][1:], timed["plain"][1:], strict=True)])
    print(f"-- {name}: ours over plain in steps a second {over}")
    for part, value in parts.items():
        print(f"{part:<20} {value:8.2f} ms")
    return {"ours over plain": over, "median_cpu_ms": parts, "turns": turns}


def bits_and_error(coded: Any, batch: torch.Tensor) -> torch.Tensor:
    bits = sum(-part.log2().sum() for part in coded.likelihoods.values())
    return bits + (coded.pictures - batch).square().mean()


def trainer_step(
    section: HpcmConfig | HyperpriorConfig, photos: Path
) -> tuple[Any, torch.nn.Module, TrainingStep]:
    torch.manual_seed(0)
    config = configured(section, photos, STEPS_AN_EPOCH)
    setup = make_setup(config, torch.device("cpu"))
    optimizer = make_optimizer(config.optim, setup.task.param_groups(setup.model))
    precision = mixed_precision("no", torch.device("cpu"))
    step = TrainingStep(setup.task, setup.model, optimizer, precision, clip_norm=CLIP)
    setup.model.train()
    return setup, setup.model, step


def sampling_ms_a_second() -> float:
    """Processor time of the thread that samples memory, while nothing else runs."""
    peak = MemoryPeak()
    began, spent, own = time.perf_counter(), time.process_time(), time.thread_time()
    time.sleep(5.0)
    spent, own = time.process_time() - spent, time.thread_time() - own
    seconds = time.perf_counter() - began
    peak.close()
    return 1e3 * (spent - own) / seconds


if __name__ == "__main__":
    main()
