"""Short runs of one small hyperprior, and their differences over seeds with intervals.

Shared by the comparisons of balanced training with the plain loss. A run that is finished is kept
with its figures, so that a comparison goes on where it was stopped.
"""

import json
import math
import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image
from scipy.special import stdtrit

from tunewright import job
from tunewright.config.compose import compose
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.search.prepare import run_part

COMMON = (
    *("model=hyperprior", "model.channels=16", "model.latent=24", "loss.lmbda=0.013"),
    *("data.crop=128", "data.crops_per_photo=2", "training.batch_size=4", "optim=cautious_adam"),
    *("training=short", "optim.lr=2e-3", "training.precision=fp32"),
)
SIDE, EVERY_TILE = 128, 4
MEASURES = ("val_loss", "val_bpp", "val_psnr")
KEPT = (*MEASURES, "task_weights/bpp")
COLLAPSED = "task weights collapsed"
Figures = dict[str, float]


def cut_tiles(pictures: Path, into: Path) -> list[str]:
    """Write each fourth whole tile of 128 pixels of each PNG, unless they are there; name them.

    A run validates on one crop of each picture: tiles show it more of a few pictures.
    """
    if not into.exists():
        unfinished = into.with_name(f"{into.name}.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for path in sorted(pictures.glob("*.png")):
            with Image.open(path) as opened:
                picture = opened.convert("RGB")
            corners = [
                (left, top)
                for top in range(0, picture.height - SIDE + 1, SIDE)
                for left in range(0, picture.width - SIDE + 1, SIDE)
            ]
            for left, top in corners[::EVERY_TILE]:
                tile = picture.crop((left, top, left + SIDE, top + SIDE))
                tile.save(unfinished / f"{path.stem}-{top}-{left}.png")
        unfinished.rename(into)
    names = sorted(path.name for path in into.glob("*.png"))
    if not names:
        raise SystemExit(f"{pictures} holds no PNG of at least {SIDE} pixels a side")
    return names


@dataclass(frozen=True)
class Trained:
    """The metrics of each epoch of a run, what the whole run took, and why it failed, if it did."""

    epochs: list[Figures]
    cpu_seconds: float
    seconds: float
    failure: str | None

    @property
    def last(self) -> Figures:
        """What is compared, of the last epoch, with the costs of the run."""
        kept = {key: self.epochs[-1][key] for key in KEPT if key in self.epochs[-1]}
        return kept | {"cpu_seconds": self.cpu_seconds, "seconds": self.seconds}


def train(place: Path, words: Sequence[str]) -> Trained:
    """Train one run in the folder `place` to its end; weights that collapse are a result.

    A run of the same words that is finished there is not trained again.
    """
    words, kept = [*COMMON, *words], place / "figures.json"
    if kept.exists() and (read := json.loads(kept.read_text()))["words"] == words:
        return Trained(**read["trained"])
    shutil.rmtree(place, ignore_errors=True)
    folder = RunFolder(place)
    folder.write_config(run_part(compose(find_recipe("compression"), words).tree))
    folder.begin_attempt()
    cpu = time.process_time()
    outcome = job.run(folder, threads=1)
    cpu = time.process_time() - cpu
    epochs = [dict(report.metrics) for report in read_progress(folder.progress)]
    failure = None
    if outcome.state != "done":
        failure = f"{outcome.cause}, after {len(epochs)} whole epochs"
        if outcome.cause != COLLAPSED or not epochs:
            raise SystemExit(f"{' '.join(words)}: {failure}: {outcome.reason}")
    trained = Trained(epochs, cpu, outcome.seconds, failure)
    kept.write_text(json.dumps({"words": words, "trained": asdict(trained)}))
    return trained


def difference(
    arm: Mapping[int, Figures], other: Mapping[int, Figures], key: str
) -> dict[str, object]:
    """The mean of an arm minus another over seeds, with its 95 % interval by Student's t."""
    values = [arm[seed][key] - other[seed][key] for seed in other]
    mean = statistics.fmean(values)
    half = math.inf
    if len(values) > 1:
        spread = statistics.stdev(values) / math.sqrt(len(values))
        half = float(stdtrit(len(values) - 1, 0.975)) * spread
    resolved = "resolved" if abs(mean) > half else "not resolved"
    return {
        "mean": mean,
        "low": mean - half,
        "high": mean + half,
        "words": f"{key} {mean:+.4g} [{mean - half:+.4g}, {mean + half:+.4g}]: {resolved}",
    }
