"""The data path of pictures alone: our batches against torchvision's transforms, one by one.

One epoch is timed, shuffled and normalised, in each of these ways:

ours           `ImageBatches` on a mapped file, augmented a batch at a time
loader tensor  torch's DataLoader with two workers that stay, torchvision.transforms.v2 on single
               uint8 tensors
loader pil     the same on Pillow pictures, which is what torchvision.datasets.CIFAR10 hands out
               (crop and flip only)

once with crop and flip on 50,000 pictures of 32 pixels, and once with the level `strong` on 2,000
of 144 pixels, where v2's counterparts stand for what it has (holes: one rectangle in place of up
to eight). The better loader is what we are compared with.

    python benchmarks/image_data.py [--quick]
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rounds import Measured, Ratio, judge, ratio, run_rounds, save
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from tunewright.images.augment.augment import make_augment
from tunewright.images.augment.config import LEVELS
from tunewright.images.loading.batches import IMAGENET, Finishing, ImageBatches, map_store
from tunewright.images.loading.batching import Batching
from tunewright.images.loading.store import Store

BATCH = 128
WORKERS = 2
THREADS = 2
TIMES = 5
"""What is claimed of crop and flip."""


class SinglePictures(Dataset[tuple[Tensor, int]]):
    """One picture at a time, transformed when it is asked for."""

    def __init__(self, images: Tensor, transform: v2.Transform, *, pillow: bool) -> None:
        self.images, self.transform = images, transform
        # height, width, channels, as CIFAR10 keeps them
        self.arrays = images.permute(0, 2, 3, 1).contiguous().numpy() if pillow else None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        if self.arrays is None:
            return self.transform(self.images[row]), row
        return self.transform(Image.fromarray(self.arrays[row])), row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer pictures and rounds; nothing is saved"
    )
    options = parser.parse_args()
    rounds = 2 if options.quick else 7
    part = 5 if options.quick else 1
    torch.set_num_threads(THREADS)
    found: dict[str, object] = {}
    for name, level, size, rows, transforms in (
        ("crop and flip, 32 px", "crop_flip", 32, 50_000, crop_and_flip()),
        ("strong, 144 px", "strong", 144, 2_000, strong()),
    ):
        print(f"-- {name}: {rows // part:,} pictures, batch {BATCH}, {THREADS} threads")
        found[name] = compare(level, size, rows // part, transforms, rounds)
    if not options.quick:
        facts = {"batch": BATCH, "threads": THREADS, "workers": WORKERS}
        path = save("image_data", "python benchmarks/image_data.py", None, **facts, **found)
        print(f"written: {path}")


def crop_and_flip() -> dict[str, v2.Transform]:
    """The classic, on tensors and on Pillow pictures."""
    moved = [v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()]
    return {
        "loader tensor": v2.Compose([*moved, *as_floats()]),
        "loader pil": v2.Compose([*moved, v2.ToImage(), *as_floats()]),
    }


def strong() -> dict[str, v2.Transform]:
    """What v2 has of the level `strong`, with its numbers."""
    level, size = LEVELS["strong"](), 144
    scale = size / 256

    def at(probability: float, transform: v2.Transform) -> v2.Transform:
        return v2.RandomApply([transform], p=probability)

    jitter = v2.ColorJitter(
        level.jitter_brightness, level.jitter_contrast, level.jitter_saturation, level.jitter_hue
    )
    moved = [
        v2.RandomResizedCrop(
            size,
            (level.crop_scale_min, level.crop_scale_max),
            (level.crop_ratio_min, level.crop_ratio_max),
        ),
        v2.RandomHorizontalFlip(level.hflip),
        v2.RandomVerticalFlip(level.vflip),
        at(
            level.affine,
            v2.RandomAffine(
                level.rotate_degrees,
                (level.shift, level.shift),
                (1 - level.scale, 1 + level.scale),
                interpolation=v2.InterpolationMode.BILINEAR,
            ),
        ),
        at(level.jitter, jitter),
        at(level.brightness_contrast, v2.ColorJitter(level.brightness_limit, level.contrast_limit)),
        at(level.blur, v2.GaussianBlur(5, (0.8 * scale, 1.4 * scale))),
        v2.ToDtype(torch.float32, scale=True),
        at(level.noise, v2.GaussianNoise(sigma=level.noise_std_max)),
        v2.RandomErasing(level.coarse_dropout, (0.001, 0.014)),
        v2.Normalize(list(IMAGENET.mean), list(IMAGENET.std)),
    ]
    return {"loader tensor": v2.Compose(moved)}


def as_floats() -> list[v2.Transform]:
    return [
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(list(IMAGENET.mean), list(IMAGENET.std)),
    ]


def compare(
    level: str, size: int, rows: int, transforms: Mapping[str, v2.Transform], rounds: int
) -> dict[str, object]:
    """All arms on one set: the rounds, and the ratios that are claimed."""
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (rows, 3, size, size), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "pictures.npy"
        np.save(file, pixels)
        batches = ImageBatches(
            map_store(Store(file, rows, size, np.arange(rows))),
            torch.zeros(rows, dtype=torch.int64),
            Batching(batch_size=BATCH, seed=0),
            Finishing(IMAGENET, make_augment(LEVELS[level]())),
        )
        epochs = iter(range(1_000_000))
        arms: dict[str, Callable[[], Iterable[object]]] = {
            "ours": lambda: batches.epoch(next(epochs))
        }
        images = torch.from_numpy(pixels)
        for name, transform in transforms.items():
            data = SinglePictures(images, transform, pillow=name.endswith("pil"))
            loader = DataLoader(
                data,
                BATCH,
                shuffle=True,
                num_workers=WORKERS,
                drop_last=True,
                persistent_workers=True,
            )
            arms[name] = loader.__iter__
        measured = run_rounds(
            {
                name: lambda epoch=epoch: {"pictures_per_s": speed(epoch)}
                for name, epoch in arms.items()
            },
            rounds=rounds,
            null="ours",
        )
    ratios = {
        "ours over the better loader": over_better(measured, list(transforms)),
        "ours over ours": ratio(measured, "ours again", "ours", "pictures_per_s"),
    }
    verdicts = {}
    if level == "crop_flip":
        verdicts[f"at least {TIMES}x a loader of single pictures"] = judge(
            ratios["ours over the better loader"], at_least=TIMES
        )
    for name, value in {**ratios, **verdicts}.items():
        print(f"{name}: {value}")
    return {
        "pictures": rows,
        "median_pictures_per_s": {name: measured.median(name, "pictures_per_s") for name in arms},
        "ratios": ratios,
        "verdicts": verdicts,
        "first_calls": measured.first_calls,
        "rounds": measured.rounds,
    }


def speed(epoch: Callable[[], Iterable[object]]) -> float:
    """Pictures a second over one epoch of whole batches, which are dropped as they come."""
    gc.collect()
    started = time.perf_counter()
    count = sum(1 for _ in epoch())
    return count * BATCH / (time.perf_counter() - started)


def over_better(measured: Measured, loaders: list[str]) -> Ratio:
    """Ours over the DataLoader that is the better one by its median."""
    better = max(loaders, key=lambda name: measured.median(name, "pictures_per_s"))
    return ratio(measured, "ours", better, "pictures_per_s")


if __name__ == "__main__":
    main()
