"""Evaluate a trained compressor by real files, decoded again, and by classical codecs."""

import contextlib
import itertools
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tunewright.errors import ConfigError, DataError
from tunewright.images.dataset.value_range import dark_picture_notices
from tunewright.images.image_table import PicturePlace
from tunewright.images.sources.archive import is_picture, list_files
from tunewright.recipes.compression.codec.trained_compressor import (
    TrainedCompressor,
    open_compressor,
)
from tunewright.recipes.compression.data.photos import open_photos
from tunewright.recipes.compression.evaluation.classical_codecs import Curves, available
from tunewright.recipes.compression.evaluation.comparison import (
    baselines,
    comparison_notes,
    lambda_of,
    model_name,
    plot_curves,
)
from tunewright.recipes.compression.evaluation.measure import CompressionScores, measure
from tunewright.reports.figures import write_curves
from tunewright.reports.rate_distortion import (
    MS_SSIM,
    PSNR,
    rate_distortion_svg,
    write_rate_distortion,
)
from tunewright.runs.atomic import read_json, write_json, write_text
from tunewright.runs.cache import cache_folder
from tunewright.runs.folder import RunFolder
from tunewright.runs.machine.free_cores import cores
from tunewright.runs.progress import read_progress
from tunewright.training.device import default_device

OWN, SIDE = 24, 1024
"""Photographs of the run's own data that are measured, and pixels a side of their middles.

Every training ends with it: it must neither take long nor need more memory than there is.
"""
FILES = (("evaluation", "json"), ("rate-distortion", "html"), ("rate-distortion", "svg"))
"""Stems and ends of the files that an evaluation writes."""
KODAK = re.compile(r"kodim(0[1-9]|1\d|2[0-4])", re.IGNORECASE)
PANELS = {
    "loss": ["train_loss", "val_loss"],
    "bits per pixel": ["train_bpp", "val_bpp"],
    "PSNR of the validation set, dB": ["val_psnr"],
    "gamma": ["gamma"],
    "best so far": ["checkpoint/is_best"],
}
TASK_WEIGHTS = "task_weights/"
HEADLINES = ("bpp", "psnr", "ms_ssim")
"""Metrics at the top level of the JSON, where `bd-rate` reads them, and with intervals."""


def evaluate(path: Path, split: str | None = None) -> dict[str, Any]:
    """Measure the run in `path` on its validation photographs; see `evaluate_on`.

    split: valid, or train. At most 24 evenly spaced photographs are measured, only the middle of
    large ones; JPEG is the only classical codec.
    """
    opened = _open(path)
    name = "valid" if split in (None, "val") else split
    assert opened.config is not None
    photos = open_photos(opened.config.data)
    found = {"train": photos.train, "valid": photos.valid}.get(str(name))
    if found is None:
        raise ConfigError(
            f"split {split!r}",
            expected="one of train, valid",
            remedy="tunewright evaluate RUN --data DIR measures it on other pictures.",
        )
    rows = sorted({round(row) for row in np.linspace(0, len(found) - 1, min(OWN, len(found)))})
    pictures = [(found.ids[row], found.places[row]) for row in rows]
    notes = [f"{len(rows)} of {len(found):,} photographs"] if len(rows) < len(found) else []
    suffix = "" if split is None else f"-{name}"
    curves = Curves(
        [codec for codec in available() if codec.name == "jpeg"], keep=codec_cache_folder()
    )
    measured = measure(opened, pictures, curves, side=SIDE)
    return _write_evaluation(opened, str(name), measured, suffix=suffix, notes=notes)


def evaluate_on(path: Path, data: Path, on_message: Callable[[Any], None]) -> dict[str, Any]:
    """Measure the run in `path` on a folder or zip of pictures, or one picture, in whole files.

    Each picture is compressed to the bytes of a file and decompressed again; PSNR and MS-SSIM are
    those of the result, bits per pixel those of all bytes. Writes `evaluation.json`,
    `rate-distortion.html` and `rate-distortion.svg`, with JPEG, WebP and AVIF measured on the same
    pictures, and returns the content of the JSON. on_message: called with a tuple (what is being
    done, how much is done, of how much). Earlier figures of other pictures are kept under their
    name, as `evaluation-NAME.json`. Raises DataError for pictures that cannot be coded.
    """
    opened = _open(path)
    curves = Curves(keep=codec_cache_folder())
    pictures = list_pictures(data)
    measured = measure(
        opened,
        pictures,
        curves,
        skip_bad=opened.config is not None and opened.config.data.skip_bad,
        on_progress=lambda *progress: on_message(progress),
    )
    notes = dark_picture_notices(pictures, data)
    return _write_evaluation(opened, data.name, measured, notes=notes, data=data)


def codec_cache_folder() -> Path:
    """Return the cache folder of the classical codecs' figures, which do not depend on the run."""
    return cache_folder() / "classical"


def _open(path: Path) -> TrainedCompressor:
    device = default_device()
    return open_compressor(RunFolder(path), device)


def list_pictures(data: Path) -> list[tuple[str, PicturePlace]]:
    """Return names and places of the pictures in a folder or zip, or of one; or raise DataError."""
    if data.is_file() and is_picture(data.name):
        return [(data.name, PicturePlace(data))]
    shelf = list_files(data)
    if not shelf.pictures:
        raise DataError(
            f"{data} holds no pictures",
            expected="files such as .png or .jpg, in it or in the folders inside it",
        )
    return [(name, shelf.at(name)) for name in shelf.pictures]


def _write_evaluation(
    opened: TrainedCompressor,
    split: str,
    measured: CompressionScores,
    *,
    suffix: str = "",
    notes: Sequence[str] = (),
    data: Path | None = None,
) -> dict[str, Any]:
    """Collect what was measured into one mapping, and write it into the run's folder."""
    folder, config = opened.folder, opened.config
    assert folder is not None
    assert config is not None
    names, means = [row["name"] for row in measured.rows], measured.means
    result: dict[str, Any] = {
        "split": split,
        "images": len(names),
        "data": None if data is None else str(data),
        "digest": measured.digest,
        "model": model_name(config),
        "lmbda": lambda_of(config),
        "loss": config.loss.type,
        **{key: means[key] for key in HEADLINES if key in means},
        "metrics": means,
        **{
            f"{key}_interval": list(measured.intervals[key])
            for key in HEADLINES
            if key in measured.intervals
        },
        "baselines": baselines(means, measured.classical),
        "device": _device(opened.device),
        "threads": torch.get_num_threads(),
        "per_image": measured.rows,
        "classical": measured.classical,
        "published": "kodak" if all(KODAK.fullmatch(Path(name).stem) for name in names) else None,
    }
    result["notes"] = [*notes, *measured.notes, *comparison_notes(result)]
    if not suffix:
        _keep_earlier(folder, result)
    drawn = [*_draw(folder, result, suffix), *_draw_training(folder)]
    result["files"] = [f"evaluation{suffix}.json", *drawn]
    write_json(folder.path / f"evaluation{suffix}.json", result)
    return result


def _keep_earlier(folder: RunFolder, result: Mapping[str, Any]) -> None:
    """Rename the figures of other pictures, so that these do not replace them."""
    earlier = _stored(folder, "")
    if earlier is None or _measured_on(earlier) == _measured_on(result):
        return
    name = re.sub(r"[^\w.]+", "-", str(earlier.get("split")))
    numbered = (f"-{name}" if count == 1 else f"-{name}-{count}" for count in itertools.count(1))
    suffix = next(
        one
        for one in numbered
        if (there := _stored(folder, one)) is None or _measured_on(there) == _measured_on(earlier)
    )
    for stem, end in FILES:
        with contextlib.suppress(FileNotFoundError):  # the first measurements have no plots
            (folder.path / f"{stem}.{end}").replace(folder.path / f"{stem}{suffix}.{end}")
    kept = {"files": [f"{stem}{suffix}.{end}" for stem, end in FILES]}
    write_json(folder.path / f"evaluation{suffix}.json", {**earlier, **kept})


def _stored(folder: RunFolder, suffix: str) -> Mapping[str, Any] | None:
    return read_json(folder.path / f"evaluation{suffix}.json")


def _measured_on(result: Mapping[str, Any]) -> tuple[Any, ...]:
    return result.get("split"), result.get("data")


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}, {cores()} cores)"


def _draw(folder: RunFolder, result: Mapping[str, Any], suffix: str) -> list[str]:
    """Write the plot as a page and as a picture; return their names."""
    page, picture = (folder.path / f"rate-distortion{suffix}.{end}" for end in ("html", "svg"))
    title = f"{result['split']}, {result['images']} pictures, {result['model']}"
    curves = plot_curves(result, "psnr")
    panels = [(PSNR, curves), (MS_SSIM, plot_curves(result, "ms_ssim"))]
    write_rate_distortion(panels, page, title=title)
    write_text(picture, rate_distortion_svg(curves, axis=PSNR, title=title))
    return [page.name, picture.name]


def _draw_training(folder: RunFolder) -> list[str]:
    """Write the curves of the training, by epoch; return the name of the page, if there is one."""
    history = read_progress(folder.progress)
    weights = {name for p in history for name in p.metrics if name.startswith(TASK_WEIGHTS)}
    page = folder.path / "curves.html"
    write_curves(history, {**PANELS, "task weights": sorted(weights)}, page)
    return [page.name] if page.exists() else []
