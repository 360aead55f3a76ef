"""Measure what a delivered model costs: the latency of one picture at batch size 1."""

import io
import math
import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tunewright.classification.inference.ensemble import Blend
from tunewright.classification.inference.predict import square_of
from tunewright.classification.inference.tta import apply_view
from tunewright.images.image_table import PicturePlace
from tunewright.images.loading.square import SquareInput, as_uint8
from tunewright.images.sources.reader import PictureReader
from tunewright.runs.callbacks import OnNotice, OnProgress

WARM_UPS = 10
RUNS = 100


@dataclass(frozen=True)
class Latency:
    """Milliseconds for one picture; the device is synchronised before and after each run."""

    mean_ms: float
    p50_ms: float
    p95_ms: float
    runs: int
    warm_ups: int


def latency(
    work: Callable[[], object],
    device: torch.device,
    *,
    runs: int = RUNS,
    warm_ups: int = WARM_UPS,
    on_progress: OnProgress | None = None,
) -> Latency:
    """Measure how long `work` takes, each run by itself, after warm-ups that are not counted."""
    times = []
    for run in range(warm_ups + runs):
        await_device(device)
        began = time.perf_counter()
        work()
        await_device(device)
        if run >= warm_ups:
            times.append(1000.0 * (time.perf_counter() - began))
        if on_progress is not None:
            on_progress(run + 1, warm_ups + runs)
    p50, p95 = np.percentile(times, [50, 95]).tolist()
    return Latency(float(np.mean(times)), p50, p95, runs, warm_ups)


def await_device(device: torch.device) -> None:
    """Wait until a GPU has done all work that was given to it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class PictureCosts:
    """The latency of one picture, with decoding its file and of the models alone."""

    whole: Latency
    models: Latency


def measure(
    blend: Blend,
    picture: Path,
    *,
    runs: int = RUNS,
    warm_ups: int = WARM_UPS,
    on_progress: OnProgress | None = None,
) -> PictureCosts:
    """Time one picture through all members and views, from its file and from its pixels."""
    device = blend.members[0].device
    reader = PictureReader()
    squares = sorted({square_of(member) for member in blend.members})
    place = PicturePlace(picture)

    def decode_all() -> dict[SquareInput, Tensor]:
        opened = reader.picture(place)
        return {
            square: torch.from_numpy(as_uint8(opened, *square))[None].to(device)
            for square in squares
        }

    def whole() -> Tensor:
        return answer(blend, decode_all())

    held = decode_all()
    total = 2 * (runs + warm_ups)
    show = on_progress or (lambda _done, _total: None)
    options = {"runs": runs, "warm_ups": warm_ups}
    with torch.no_grad():
        return PictureCosts(
            latency(whole, device, **options, on_progress=lambda done, _: show(done, total)),
            latency(
                lambda: answer(blend, held),
                device,
                **options,
                on_progress=lambda done, _: show(total // 2 + done, total),
            ),
        )


def answer(blend: Blend, images: dict[SquareInput, Tensor]) -> Tensor:
    """Return the label of one picture, fetched from the device: what a caller waits for."""
    views = blend.views.all()
    logits = [
        torch.stack([member.logits(apply_view(images[square_of(member)], view)) for view in views])
        for member in blend.members
    ]
    scores = blend.scores(logits)
    # Of several labels a picture those from probability 0.5 on: thresholds cost no time.
    return (scores >= math.log(0.5) if blend.multi_label else scores.argmax(1)).cpu()


def precisions(
    blend: Blend,
    picture: Path,
    *,
    runs: int = RUNS,
    warm_ups: int = WARM_UPS,
    on_notice: OnNotice | None = None,
) -> dict[str, dict[str, Any]]:
    """Time the models alone in other precisions and layouts, and compare their labels.

    Plain float32 is left out, since `measure` times it. Float16 is tried on GPUs only: most CPUs
    emulate it, which is slower.
    """
    device = blend.members[0].device
    reader = PictureReader()
    opened = reader.picture(PicturePlace(picture))
    images = {
        square: torch.from_numpy(as_uint8(opened, *square))[None].to(device)
        for square in sorted({square_of(member) for member in blend.members})
    }
    kinds: list[tuple[str, torch.dtype | None, bool]] = [
        ("float32, channels last", None, True),
        ("bfloat16 autocast", torch.bfloat16, False),
    ]
    if device.type == "cuda":
        kinds.append(("float16 autocast", torch.float16, False))
    found = {}
    with torch.no_grad():
        plain = answer(blend, images)
    for name, dtype, channels_last in kinds:
        if on_notice is not None:
            on_notice(name)
        tried = _channels_last(blend) if channels_last else blend
        cast: AbstractContextManager[object] = (
            nullcontext() if dtype is None else torch.autocast(device.type, dtype)
        )
        once = partial(answer, tried, images)
        with torch.no_grad(), cast:
            label = once()
            taken = latency(once, device, runs=runs, warm_ups=warm_ups)
        found[name] = {**asdict(taken), "same_label": bool(torch.equal(label, plain))}
    return found


def _channels_last(blend: Blend) -> Blend:
    members = tuple(
        replace(member, model=deepcopy(member.model).to(memory_format=torch.channels_last))
        for member in blend.members
    )
    return replace(blend, members=members)


def parameters(blend: Blend) -> int:
    """Count the parameters of all members together."""
    return sum(p.numel() for member in blend.members for p in member.model.parameters())


def device_name(device: torch.device) -> str:
    """Return the name of the device that the latency was measured on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {torch.get_num_threads()} thread(s)"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def draw_picture(pixels: int, *, seed: int = 0) -> bytes:
    """Make a JPEG file of `pixels` x `pixels`, about as hard to decode as a photograph."""
    drawn = np.random.default_rng(seed)
    layers = [
        Image.fromarray(drawn.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize(
            (pixels, pixels), Image.Resampling.BICUBIC
        )
        for side in (4, 32, max(1, pixels // 3))
    ]
    picture = Image.blend(Image.blend(layers[0], layers[1], 0.35), layers[2], 0.15)
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=90)
    return content.getvalue()
