"""A whole training step on pictures: our trainer against timm's loop and a plain one, on a CPU.

Each arm trains the same network from the same weights in the same precision, on the same rows in
the same order, and only its second epoch is timed, from before the first batch is gathered until
after the last step; the losses at its end are printed beside each other.

ours     the trainer on `ImageBatches`: uint8 pictures that are gathered and normalised a batch at a
         time, our loss and task, clipping, schedule, metrics of the epoch, watching for requests
timm     what timm's own script does in a step, in its order: the forward pass and the loss under
         autocast, the loss read for its meter, backward, `dispatch_clip_grad`, the optimizer of
         `timm.optim.create_optimizer_v2`, zeroed gradients, `step_update` of its scheduler
         (huggingface/pytorch-image-models, `train.py`, `train_one_epoch`), on float tensors that
         lie in memory, normalised
plain    the shortest loop that trains the same, on those tensors: no meter, nobody who asks

    python benchmarks/image_training.py [--quick]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from rounds import judge, ratio, run_rounds, save
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import AverageMeter, dispatch_clip_grad
from torch import Tensor, nn
from torch.nn import functional as F
from watched import Watched

from tunewright.classification.losses.losses import LOSSES
from tunewright.classification.models.config import FineTuneConfig, ImageModelConfig
from tunewright.classification.models.image_classifier import make_image_model
from tunewright.classification.task import ClassifyTask
from tunewright.config.schema import AdamWConfig, CosineSchedule, RunConfig, TrainingConfig
from tunewright.images.loading.batches import IMAGENET, Finishing, ImageBatches, normalise
from tunewright.images.loading.batching import Batching
from tunewright.runs.folder import RunFolder
from tunewright.training.autotune.precision import Precision
from tunewright.training.reporter import Reporter
from tunewright.training.task import Setup
from tunewright.training.trainer import TrainingPlan, train

SIZE, CLASSES, BATCH, CLIP, LR, DECAY, EPOCHS = 144, 17, 32, 1.0, 1e-3, 0.05, 2
THREADS = 2


@dataclass(frozen=True)
class Case:
    """A network and a precision."""

    name: str
    model: ImageModelConfig
    precision: Precision


CASES = (
    Case("colornet_v1 fp32", ImageModelConfig(fusion="global_concat"), "no"),
    Case("resnet18 fp32", ImageModelConfig(name="resnet18", fusion="none"), "no"),
    Case("resnet18 bf16", ImageModelConfig(name="resnet18", fusion="none"), "bf16"),
)


@dataclass(frozen=True)
class Data:
    """The same pictures twice: as bytes, and as what a network takes."""

    images: Tensor
    floats: Tensor
    labels: Tensor

    def batches(self) -> ImageBatches:
        return ImageBatches(
            self.images, self.labels, Batching(batch_size=BATCH, seed=0), Finishing(IMAGENET)
        )

    def rows(self, epoch: int) -> list[Tensor]:
        """The rows of each batch, as ours draws them."""
        return [batch.rows for batch in self.batches().epoch(epoch)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="one case, 3 steps, 2 rounds; not saved"
    )
    options = parser.parse_args()
    steps, rounds, cases = (3, 2, CASES[:1]) if options.quick else (8, 7, CASES)
    torch.set_num_threads(THREADS)
    data = drawn(steps * BATCH)
    found = {case.name: compare(case, data, rounds) for case in cases}
    if not options.quick:
        facts = {"pixels": SIZE, "batch_size": BATCH, "steps": steps, "threads": THREADS}
        path = save("image_training", "python benchmarks/image_training.py", None, **facts, **found)
        print(f"written: {path}")


def drawn(rows: int) -> Data:
    """Pictures of noise: what they show costs nothing."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(256, (rows, 3, SIZE, SIZE), dtype=torch.uint8, generator=draw)
    labels = torch.randint(CLASSES, (rows,), generator=draw)
    return Data(images, normalise(images, IMAGENET), labels)


def compare(case: Case, data: Data, rounds: int) -> dict[str, object]:
    """All arms on one case: the rounds, the ratios that are claimed, and the verdicts."""
    print(f"-- {case.name}: {len(data.labels) // BATCH} steps of {BATCH} pictures of {SIZE} pixels")
    losses: dict[str, float] = {}

    def arm(name: str, run: Callable[[nn.Module, Case, Data], tuple[float, float]]) -> object:
        def once() -> dict[str, float]:
            torch.manual_seed(0)
            model = make_image_model(case.model, CLASSES, image_size=SIZE)
            seconds, losses[name] = run(model, case, data)
            return {"pictures_per_s": len(data.labels) / seconds}

        return once

    arms = {"ours": arm("ours", ours), "timm": arm("timm", timms), "plain": arm("plain", plain)}
    measured = run_rounds(arms, rounds=rounds, null="ours")  # type: ignore[arg-type]
    print("last losses: " + ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items()))
    ratios = {
        "ours over timm": ratio(measured, "ours", "timm", "pictures_per_s"),
        "ours over plain": ratio(measured, "ours", "plain", "pictures_per_s"),
        "ours over ours": ratio(measured, "ours again", "ours", "pictures_per_s"),
    }
    verdicts = {
        "at least 1.0x timm's loop": judge(ratios["ours over timm"], at_least=1.0),
        "never below 0.97x a plain loop": judge(ratios["ours over plain"], at_least=0.97),
    }
    for name, said in {**ratios, **verdicts}.items():
        print(f"{name}: {said}")
    return {
        "median_pictures_per_s": {name: measured.median(name, "pictures_per_s") for name in arms},
        "last_losses": losses,
        "ratios": ratios,
        "verdicts": verdicts,
        "first_calls": measured.first_calls,
        "rounds": measured.rounds,
    }


def ours(model: nn.Module, case: Case, data: Data) -> tuple[float, float]:
    """Seconds of the last epoch, and the loss of its last batch before its step."""
    config = RunConfig(
        recipe="benchmark",
        goal="val_loss",
        optim=AdamWConfig(lr=LR, weight_decay=DECAY),
        schedule=CosineSchedule(),
        training=TrainingConfig(epochs=EPOCHS, batch_size=BATCH, clip_norm=CLIP),
    )
    counts = data.labels.bincount(minlength=CLASSES)
    loader = Watched(data.batches())
    task = Listening(LOSSES["cross_entropy"](counts), counts, FineTuneConfig())
    few = ImageBatches(
        data.images[:4],
        data.labels[:4],
        Batching(batch_size=4, seed=0, shuffle=False),
        Finishing(IMAGENET),
    )
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(Path(place))
        reporter = Reporter(folder, folder.begin_attempt())
        try:
            plan = TrainingPlan(config, "val_loss", "min", case.precision)
            train(Setup(model, task, loader, few), plan, reporter, folder)
        finally:
            reporter.close()
    return loader.seconds, float(task.last)


class Listening(ClassifyTask):
    """Keeps the loss of the last step, which is compared with the others'."""

    last = torch.zeros(())

    def after_step(self, model: nn.Module, batches: object, loss: object) -> None:
        self.last = loss.total  # type: ignore[attr-defined]


def timms(model: nn.Module, case: Case, data: Data) -> tuple[float, float]:
    """As timm's script trains with its defaults for AdamW on one process without a loss scaler."""
    optimizer = create_optimizer_v2(model, opt="adamw", lr=LR, weight_decay=DECAY)
    steps = len(data.labels) // BATCH
    scheduler = CosineLRScheduler(optimizer, t_initial=EPOCHS * steps, t_in_epochs=False)
    criterion = nn.CrossEntropyLoss()
    updates, seconds = 0, 0.0
    meter = AverageMeter()
    for epoch in range(EPOCHS):
        order = data.rows(epoch)
        model.train()
        meter.reset()
        began = time.perf_counter()
        for rows in order:
            images, labels = data.floats[rows], data.labels[rows]
            with torch.autocast("cpu", torch.bfloat16, enabled=case.precision == "bf16"):
                loss = criterion(model(images), labels)
            loss.backward()
            dispatch_clip_grad(model.parameters(), value=CLIP, mode="norm")
            optimizer.step()
            meter.update(loss.item(), images.size(0))
            updates += 1
            optimizer.zero_grad()
            scheduler.step_update(num_updates=updates, metric=meter.avg)
        seconds = time.perf_counter() - began
    return seconds, meter.val


def plain(model: nn.Module, case: Case, data: Data) -> tuple[float, float]:
    """The shortest loop that does the same."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, weight_decay=DECAY, fused=True)
    steps = EPOCHS * (len(data.labels) // BATCH)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    seconds, loss = 0.0, torch.zeros(())
    for epoch in range(EPOCHS):
        order = data.rows(epoch)
        model.train()
        began = time.perf_counter()
        for rows in order:
            with torch.autocast("cpu", torch.bfloat16, enabled=case.precision == "bf16"):
                loss = F.cross_entropy(model(data.floats[rows]), data.labels[rows])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()
        seconds = time.perf_counter() - began
    return seconds, loss.item()


if __name__ == "__main__":
    main()
