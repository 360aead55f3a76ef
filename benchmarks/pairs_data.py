"""The data path of pairs alone: our batches against a DataLoader of single rows and bare indexing.

One epoch is timed, shuffled, from 100,000 pairs 768 and 512 wide, in four ways:

ours        `PairBatches` on the mapped files, as a trial reads them: images, texts and ids, float32
indexing    `X[rows]` on two tensors in memory, in the dtype they are stored in, and nothing else
loader 0/2  torch's DataLoader over single rows, in this process or with two worker processes;
            the better of the two is what we are compared with

The first epoch of a fresh mapping, which pays for its page faults, is quoted apart.

    python benchmarks/pairs_data.py [--quick]
"""

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rounds import Measured, Ratio, judge, ratio, run_rounds, save
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tunewright.images.loading.batching import Batching
from tunewright.recipes.pairs.data.batches import PairBatches, open_tensor

WIDTHS = {"image": 768, "text": 512}
LOADER_WORKERS = (0, 2)
THREADS = 2


class SingleRows(Dataset[tuple[Tensor, Tensor, int]]):
    """What the guide's loader draws from: one pair at a time, float32."""

    def __init__(self, images: Tensor, texts: Tensor) -> None:
        self.images, self.texts = images.float(), texts.float()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, int]:
        return self.images[row], self.texts[row], row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer rows and rounds; nothing is saved"
    )
    options = parser.parse_args()
    rows, rounds = (20_000, 2) if options.quick else (100_000, 7)
    batch_sizes = (2048,) if options.quick else (512, 2048, 8192)
    torch.set_num_threads(THREADS)
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for dtype in (torch.float32, torch.bfloat16):
            folder = Path(temporary) / str(dtype)
            tensors = write_files(folder, rows, dtype)
            for batch_size in batch_sizes:
                name = f"{str(dtype).removeprefix('torch.')}, batch {batch_size}"
                print(f"-- {name}: {rows:,} pairs, {THREADS} threads")
                found[name] = compare(folder, tensors, batch_size, rounds)
    if not options.quick:
        facts = {"rows": rows, "widths": WIDTHS, "threads": THREADS}
        path = save("pairs_data", "python benchmarks/pairs_data.py", None, **facts, **found)
        print(f"written: {path}")


def write_files(folder: Path, rows: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Two files of random embeddings, and the same numbers in memory."""
    folder.mkdir()
    draw = torch.Generator().manual_seed(0)
    made = []
    for side, width in WIDTHS.items():
        tensor = torch.randn(rows, width, generator=draw).to(dtype)
        torch.save(tensor, folder / f"{side}.pt")
        made.append(tensor)
    return made[0], made[1]


def compare(
    folder: Path, tensors: tuple[Tensor, Tensor], batch_size: int, rounds: int
) -> dict[str, object]:
    """All arms on one set and batch size: the rounds, and the ratios that are claimed."""
    images, texts = tensors
    rows = len(images)
    epochs = iter(range(1_000_000))
    batches = mapped(folder, rows, batch_size)
    data = SingleRows(images, texts)

    def ours() -> Iterator[object]:
        return batches.epoch(next(epochs))

    def indexing() -> Iterator[object]:
        order = torch.randperm(rows)
        for at in range(0, rows - batch_size + 1, batch_size):
            chosen = order[at : at + batch_size]
            yield images[chosen], texts[chosen]

    def loader(workers: int) -> Callable[[], Iterator[object]]:
        return lambda: iter(
            DataLoader(data, batch_size, shuffle=True, num_workers=workers, drop_last=True)
        )

    first = first_epochs(folder, rows, batch_size)
    arms = {"ours": ours, "indexing": indexing} | {
        f"loader {workers}": loader(workers) for workers in LOADER_WORKERS
    }
    measured = run_rounds(
        {
            name: lambda epoch=epoch: {"rows_per_s": speed(epoch, batch_size)}
            for name, epoch in arms.items()
        },
        rounds=rounds,
        null="ours",
    )
    ratios = {
        "ours over the better loader": over_better(measured),
        "ours over indexing": ratio(measured, "ours", "indexing", "rows_per_s"),
        "ours over ours": ratio(measured, "ours again", "ours", "rows_per_s"),
    }
    verdicts = {
        "at least 10x a loader of single rows": judge(
            ratios["ours over the better loader"], at_least=10
        ),
        "at least 0.85 of bare indexing": judge(ratios["ours over indexing"], at_least=0.85),
    }
    for name, value in ratios.items():
        print(f"{name}: {value}")
    for name, verdict in verdicts.items():
        print(f"{name}: {verdict}")
    return {
        "median_rows_per_s": {name: measured.median(name, "rows_per_s") for name in arms},
        "ratios": ratios,
        "verdicts": verdicts,
        "first_epoch_rows_per_s": first,
        "first_calls": measured.first_calls,
        "rounds": measured.rounds,
    }


def mapped(folder: Path, rows: int, batch_size: int) -> PairBatches:
    """Our batches on the files, as `make_setup` makes them."""
    ids = torch.from_numpy(np.stack([np.arange(rows)] * 2, axis=1))
    return PairBatches(
        open_tensor(folder / "image.pt"), open_tensor(folder / "text.pt"), ids,
        Batching(batch_size=batch_size, seed=0),
    )  # fmt: skip


def first_epochs(folder: Path, rows: int, batch_size: int) -> dict[str, float]:
    """Our first epoch of a fresh mapping: with the file in the page cache, and read from disk."""
    found = {}
    for name, dropped in (("file in the page cache", False), ("file on disk", True)):
        for file in folder.iterdir() if dropped else ():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        found[name] = speed(partial(mapped(folder, rows, batch_size).epoch, 0), batch_size)
        print(f"first epoch, {name}: {found[name]:,.0f} rows/s")
    return found


def speed(epoch: Callable[[], Iterator[object]], batch_size: int) -> float:
    """Rows a second over one epoch of whole batches, which are dropped as they come."""
    gc.collect()
    started = time.perf_counter()
    count = sum(1 for _ in epoch())
    return count * batch_size / (time.perf_counter() - started)


def over_better(measured: Measured) -> Ratio:
    """Ours over the DataLoader that is the better one by its median."""
    loaders = [f"loader {workers}" for workers in LOADER_WORKERS]
    better = max(loaders, key=lambda name: measured.median(name, "rows_per_s"))
    return ratio(measured, "ours", better, "rows_per_s")


if __name__ == "__main__":
    main()
