"""Choose where decoded pictures are kept while training: on the device, mapped, or nowhere."""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tunewright.images.dataset.config import Resize
from tunewright.images.image_table import ImageTable
from tunewright.images.loading.store import is_built, store_bytes
from tunewright.runs.cache import cache_folder
from tunewright.runs.machine.free_memory import MIB, free_mib
from tunewright.runs.quantities import size as format_size

StoreKind = Literal["memory", "device", "stream"]
RAM_SHARE = 0.5
"""Most of the free RAM that a store may take; the rest is for the workers."""
DISK_SHARE = 0.5
"""Most of the free disk that a new store may take."""
DEVICE_SHARE = 0.25
"""Most of the free GPU memory that pictures may take; activations need the rest."""


@dataclass(frozen=True)
class StorePlacement:
    """Where the pictures are kept while training, and the reason in one sentence."""

    store: StoreKind
    why: str


def choose(
    table: ImageTable,
    size: int,
    device_free_bytes: int | None = None,
    wanted: Literal["auto", "memory", "device", "stream"] = "auto",
    resize: Resize = "squash",
) -> StorePlacement:
    """Choose where decoded pictures are kept: on the device, in a mapped file, or nowhere.

    device_free_bytes: of a GPU; None without one. wanted: anything but `auto` is used as it is.
    resize: how pictures are fitted; each way has a file of its own.
    """
    if wanted != "auto":
        return StorePlacement(wanted, f"data.store={wanted}, as asked")
    needed = store_bytes(len(table.whole or table), size)
    takes = f"{len(table.whole or table):,} pictures at {size} px take {format_size(needed)}"
    obstacle = _obstacle(table, size, resize)
    if obstacle is not None:
        return StorePlacement("stream", f"{takes}, {obstacle}: they are decoded for each epoch")
    if device_free_bytes is None:
        return StorePlacement("memory", f"{takes}: decoded once, mapped by every worker")
    if needed <= DEVICE_SHARE * device_free_bytes:
        return StorePlacement(
            "device", f"{takes} of {format_size(device_free_bytes)} free on the device"
        )
    return StorePlacement(
        "memory",
        f"{takes}, more than {DEVICE_SHARE:.0%} of the {format_size(device_free_bytes)} free on "
        "the device: decoded once, mapped by every worker",
    )


def _obstacle(table: ImageTable, size: int, resize: Resize) -> str | None:
    needed = store_bytes(len(table.whole or table), size)
    ram = free_mib() * MIB
    if needed > RAM_SHARE * ram:
        return f"more than {RAM_SHARE:.0%} of the {format_size(ram)} of free RAM"
    disk = shutil.disk_usage(cache_folder()).free
    if needed > DISK_SHARE * disk and not is_built(table, size, resize=resize):
        return (
            f"more than {DISK_SHARE:.0%} of the {format_size(disk)} free on the disk of {_short()}"
        )
    return None


def _short() -> str:
    folder = cache_folder()
    with contextlib.suppress(RuntimeError, ValueError):  # no home, or elsewhere
        return f"~/{folder.relative_to(Path.home())}"
    return str(folder)
