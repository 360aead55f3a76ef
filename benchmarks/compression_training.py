"""Training a compressor: our trainer on random crops against the shortest loop, on a CPU.

Both train the same network from the same weights on crops of the same photographs, batches of the
same size, and only the second epoch is timed, from before its first batch is gathered until after
its last step. Where the machine is shared, the verdict is by the processor's time with one thread:
the clock also counts what others do, and threads that wait for each other use the processor.

ours     the trainer on the loader of `compression`: uint8 crops gathered and turned to floats a
         batch at a time, our loss and task, clipping, schedule, the epoch's metrics; in a process
         that keeps freed memory, as the workers do that train
plain    the shortest loop that trains the same, on the same crops: floats that lie in memory
plain, memory kept
         the same in a process that keeps freed memory: what is left is the trainer's own

Each has a process of its own. `faults` are page faults a step, by all threads; `peak_mib` is the
most that its process held in the epoch.

    python benchmarks/compression_training.py [--threads N] [--steps N] [--rounds N] [--quick]
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import cast

import torch
from PIL import Image
from rounds import judge, ratio, run_rounds, save
from sklearn.datasets import load_sample_images
from torch import Tensor
from watched import Watched

from tunewright.config.schema import AdamWConfig, ConstantSchedule, TrainingConfig
from tunewright.recipes.compression.config import (
    CompressionConfig,
    HpcmConfig,
    HyperpriorConfig,
    MseConfig,
    PhotosConfig,
)
from tunewright.recipes.compression.models.compressor import Compressor
from tunewright.recipes.compression.setup import make_setup
from tunewright.runs.folder import RunFolder
from tunewright.training.memory.freed import keep_freed_memory
from tunewright.training.reporter import Reporter
from tunewright.training.task import Batch, Loader
from tunewright.training.trainer import TrainingPlan, train

BATCH, CROP, CLIP, LR, LAMBDA, EPOCHS = 8, 128, 1.0, 1e-4, 0.013, 2
PHOTOS = 8
Work = tuple[HpcmConfig | HyperpriorConfig, Path, int]
"""The model, the photographs, and the steps of an epoch."""
MODELS = {
    "hpcm tiny": HpcmConfig(size="tiny"),
    "hyperprior 48/72": HyperpriorConfig(channels=48, latent=72),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="3 steps, 2 rounds; not saved")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=25, help="of an epoch")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    steps, rounds = (3, 2) if options.quick else (options.steps, options.rounds)
    with tempfile.TemporaryDirectory() as place, ExitStack() as processes:
        photos = draw(Path(place) / "photos")
        alone = {
            arm: processes.enter_context(process(options.threads, kept))
            for arm, (_, kept) in ARMS.items()
        }
        found = {
            name: compare(name, alone, (model, photos, steps), rounds)
            for name, model in MODELS.items()
        }
    if not options.quick:
        facts = {"pixels": CROP, "batch_size": BATCH, "steps": steps, "threads": options.threads}
        given = f"--threads {options.threads} --steps {steps} --rounds {rounds}"
        command = f"python benchmarks/compression_training.py {given}"
        print(f"written: {save('compression_training', command, None, **facts, **found)}")


def draw(folder: Path) -> Path:
    """The two photographs that scikit-learn ships, in pieces, `train/` and `valid/`."""
    whole = load_sample_images().images
    for number in range(PHOTOS + 1):
        top, left = 100 * (number // 2 % 2), 60 * (number // 4)
        piece = whole[number % 2][top : top + 320, left : left + 400]
        place = folder / ("train" if number < PHOTOS else "valid") / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(piece).save(place)
    return folder


def process(threads: int, kept: bool) -> ProcessPoolExecutor:
    """One process that runs an arm again and again."""
    return ProcessPoolExecutor(1, get_context("spawn"), begin, (threads, kept))


def begin(threads: int, kept: bool) -> None:
    torch.set_num_threads(threads)
    if kept and not keep_freed_memory(os.environ):
        raise SystemExit("freed memory cannot be kept here")


def compare(
    name: str, processes: Mapping[str, ProcessPoolExecutor], work: Work, rounds: int
) -> dict[str, object]:
    print(f"-- {name}: {work[2]} steps of {BATCH} crops of {CROP} pixels")

    def arm(name: str) -> Callable[[], dict[str, float]]:
        return lambda: processes[name].submit(ARMS[name][0], *work).result()

    measured = run_rounds({name: arm(name) for name in ARMS}, rounds=rounds, null="ours")
    found: dict[str, object] = {
        f"median_{figure}": {arm: measured.median(arm, figure) for arm in ARMS}
        for figure in ("faults", "peak_mib")
    }
    for figure in ("pictures_per_s", "pictures_per_cpu_s"):
        over = {a: ratio(measured, "ours", a, figure) for a in ARMS if a != "ours"}
        again = ratio(measured, "ours again", "ours", figure)
        verdict = judge(over["plain"], at_least=0.97)
        told = ", ".join(f"over {a} {value}" for a, value in over.items())
        print(f"{figure}: ours {told}, over itself {again}; at least 0.97 of plain: {verdict}")
        found[figure] = {
            "median": {arm: measured.median(arm, figure) for arm in ARMS},
            "ours over": over,
            "ours over ours": again,
            "verdict": verdict,
        }
    return found | {"rounds": measured.rounds}


def figures(took: Watched) -> dict[str, float]:
    pictures = len(took) * BATCH
    return {
        "pictures_per_s": pictures / took.seconds,
        "pictures_per_cpu_s": pictures / took.cpu_seconds,
        "faults": took.faults / len(took),
        "peak_mib": took.peak_mib,
    }


def configured(
    section: HpcmConfig | HyperpriorConfig, photos: Path, steps: int
) -> CompressionConfig:
    return CompressionConfig(
        data=PhotosConfig(
            dir=str(photos / "train"),
            valid_dir=str(photos / "valid"),
            crop=CROP,
            crops_per_photo=steps * BATCH // PHOTOS,
        ),
        model=section,
        loss=MseConfig(lmbda=LAMBDA),
        optim=AdamWConfig(lr=LR, weight_decay=0.0),
        schedule=ConstantSchedule(),
        training=TrainingConfig(epochs=EPOCHS, batch_size=BATCH, clip_norm=CLIP, precision="fp32"),
    )


def ours(section: HpcmConfig | HyperpriorConfig, photos: Path, steps: int) -> dict[str, float]:
    """What the second epoch of a run took."""
    config = configured(section, photos, steps)
    torch.manual_seed(0)
    setup = make_setup(config, torch.device("cpu"))
    loader = Watched(setup.train)
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(Path(place))
        reporter = Reporter(folder, folder.begin_attempt())
        try:
            watched = replace(setup, train=loader)
            train(watched, TrainingPlan(config, "val_loss", "min"), reporter, folder)
        finally:
            reporter.close()
    return figures(loader)


def plain(section: HpcmConfig | HyperpriorConfig, photos: Path, steps: int) -> dict[str, float]:
    """What the second epoch of the shortest loop took."""
    torch.manual_seed(0)
    setup = make_setup(configured(section, photos, steps), torch.device("cpu"))
    model = cast(Compressor, setup.model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.0, fused=True)
    model.train()
    loader = Watched(InMemory(setup.train))
    for epoch in range(EPOCHS):
        for batch in loader.epoch(epoch):
            loss = rate_distortion(model, batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            optimizer.zero_grad()
    return figures(loader)


class InMemory:
    """The batches of two epochs of a loader, gathered at once."""

    def __init__(self, loader: Loader) -> None:
        self.epochs = [list(loader.epoch(epoch)) for epoch in range(EPOCHS)]

    def __len__(self) -> int:
        return len(self.epochs[0])

    def epoch(self, epoch: int) -> Iterator[Batch]:
        return iter(self.epochs[epoch])


ARMS = {"ours": (ours, True), "plain": (plain, False), "plain, memory kept": (plain, True)}


def rate_distortion(model: Compressor, pictures: Tensor) -> Tensor:
    coded = model(pictures)
    bits = sum(-part.log2().sum() for part in coded.likelihoods.values())
    distortion = LAMBDA * 255**2 * (coded.pictures - pictures).square().mean()
    return distortion + bits / (len(pictures) * CROP * CROP)


if __name__ == "__main__":
    main()
