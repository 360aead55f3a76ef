"""Training a compressor: our trainer on random crops against the shortest loop, on a CPU.

Both train the same network from the same weights on crops of the same photographs, batches of the
same size, and only the second epoch is timed, from before its first batch is gathered until after
its last step.

ours     the trainer on the loader of `compression`: uint8 crops gathered and turned to floats a
         batch at a time, our loss and task, clipping, schedule, the epoch's metrics
plain    the shortest loop that trains the same, on the same crops: floats that lie in memory

    python benchmarks/compression_training.py [--quick]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
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
from tunewright.training.reporter import Reporter
from tunewright.training.trainer import TrainingPlan, train

BATCH, CROP, CLIP, LR, LAMBDA, EPOCHS, THREADS = 8, 128, 1.0, 1e-4, 0.013, 2, 2
PHOTOS = 8
MODELS = {
    "hpcm tiny": HpcmConfig(size="tiny"),
    "hyperprior 48/72": HyperpriorConfig(channels=48, latent=72),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="3 steps, 2 rounds; not saved")
    options = parser.parse_args()
    steps, rounds = (3, 2) if options.quick else (25, 7)
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as place:
        photos = draw(Path(place) / "photos")
        found = {
            name: compare(name, model, photos, steps, rounds) for name, model in MODELS.items()
        }
    if not options.quick:
        facts = {"pixels": CROP, "batch_size": BATCH, "steps": steps, "threads": THREADS}
        command = "python benchmarks/compression_training.py"
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


def compare(
    name: str, section: HpcmConfig | HyperpriorConfig, photos: Path, steps: int, rounds: int
) -> dict[str, object]:
    print(f"-- {name}: {steps} steps of {BATCH} crops of {CROP} pixels")

    def arm(run: Callable[[HpcmConfig | HyperpriorConfig, Path, int], float]) -> object:
        def once() -> dict[str, float]:
            return {"pictures_per_s": steps * BATCH / run(section, photos, steps)}

        return once

    arms = {"ours": arm(ours), "plain": arm(plain)}
    measured = run_rounds(arms, rounds=rounds, null="ours")  # type: ignore[arg-type]
    over = ratio(measured, "ours", "plain", "pictures_per_s")
    again = ratio(measured, "ours again", "ours", "pictures_per_s")
    verdict = judge(over, at_least=0.97)
    print(f"ours over plain {over}, ours over ours {again}; at least 0.97x a plain loop: {verdict}")
    return {
        "median_pictures_per_s": {arm: measured.median(arm, "pictures_per_s") for arm in arms},
        "ours over plain": over,
        "ours over ours": again,
        "verdict": verdict,
        "rounds": measured.rounds,
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


def ours(section: HpcmConfig | HyperpriorConfig, photos: Path, steps: int) -> float:
    """Seconds of the second epoch of a run."""
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
    return loader.seconds


def plain(section: HpcmConfig | HyperpriorConfig, photos: Path, steps: int) -> float:
    """Seconds of the second epoch of the shortest loop."""
    torch.manual_seed(0)
    setup = make_setup(configured(section, photos, steps), torch.device("cpu"))
    model = cast(Compressor, setup.model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.0, fused=True)
    model.train()
    seconds = 0.0
    for epoch in range(EPOCHS):
        crops = list(setup.train.epoch(epoch))
        began = time.perf_counter()
        for batch in crops:
            loss = rate_distortion(model, batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            optimizer.zero_grad()
        seconds = time.perf_counter() - began
    return seconds


def rate_distortion(model: Compressor, pictures: Tensor) -> Tensor:
    coded = model(pictures)
    bits = sum(-part.log2().sum() for part in coded.likelihoods.values())
    distortion = LAMBDA * 255**2 * (coded.pictures - pictures).square().mean()
    return distortion + bits / (len(pictures) * CROP * CROP)


if __name__ == "__main__":
    main()
