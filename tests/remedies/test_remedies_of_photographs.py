"""What errors about trainings of compressors advise, followed by hand."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from mend_as_advised import Advice, enter, obey
from tunewright import CheckpointManager
from tunewright.errors import TaskWeightsCollapsed
from tunewright.images.loading.batching import Batching
from tunewright.recipes.compression.balance.hierarchical import HierarchicalTask
from tunewright.recipes.compression.balance.task import COLLAPSED, BalancedTask, FamoTask, QpTask
from tunewright.recipes.compression.config import HyperpriorConfig
from tunewright.recipes.compression.data.crops import Cropping, Crops
from tunewright.recipes.compression.models.factory import load_first_weights, make_compressor

TUNE = "tune compression data.dir=d data.crop=128 data.val_split=.3 training.batch_size=1"
SHAPE = {"channels": 8, "latent": 12}
HYPERPRIOR = f"{TUNE} model.type=hyperprior model.channels=8 model.latent=12"
STAGE = "training.epochs=4 stages.explore.training.epochs=4 study.pruner.type=none"


def photograph(name: str, seed: int) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((130, 130)).save(name)


def photographs(count: int = 4, folder: str = "d") -> Callable[[], None]:
    return lambda: [photograph(f"{folder}/{n}.png", n) for n in range(count)] and None


def with_code() -> None:
    photographs()()
    torch.save(Path("x"), "w.pt")


def tensors_alone(**shape: int) -> None:
    """Write the weights of a model, as its training would."""
    model = make_compressor(HyperpriorConfig(**{**SHAPE, **shape}))
    torch.save(model.state_dict(), "w.pt")


SCALES = "balance.type=hierarchical"
WITHOUT_CONTEXT = "~finetune.lr_scales.context ~finetune.unfreeze.context"
PARTS = f"{HYPERPRIOR} model.weights=w.pt finetune.type=parts {WITHOUT_CONTEXT}"
FIXED = "balance.type=famo balance.schedule.type=fixed"
COSINE = "balance.type=famo balance.schedule.type=cosine"
CASES = {
    "no photographs": Advice(
        TUNE, "Check the path", None, lambda: Path("d").mkdir(), photographs()
    ),
    "a single photograph": Advice(TUNE, "Add photographs", None, photographs(1), photographs()),
    "a single photograph, others": Advice(
        TUNE, "data.valid_dir=FOLDER", f"{TUNE} data.valid_dir=v", photographs(1),
        lambda: photograph("v/0.png", 9),
    ),
    "level and lambda": Advice(
        f"{TUNE} loss.quality=3 loss.lmbda=.0483", "Leave out loss.quality",
        f"{TUNE} loss.lmbda=.0483", photographs(),
    ),
    "lambda and level": Advice(
        f"{TUNE} loss.quality=3 loss.lmbda=.0483", "or loss.lmbda", f"{TUNE} loss.quality=3",
        photographs(),
    ),
    "fine-tuning of nothing": Advice(
        f"{HYPERPRIOR} finetune.type=whole", "model.weights=FILE",
        f"{HYPERPRIOR} finetune.type=whole model.weights=w.pt", photographs(), tensors_alone,
    ),
    "fine-tuning of nothing, by a flag": Advice(
        f"{HYPERPRIOR} finetune.type=whole", "Add --checkpoint RUN",
        f"{HYPERPRIOR} finetune.type=whole --checkpoint w.pt", photographs(), tensors_alone,
    ),
    "scales of another model": Advice(
        f"{PARTS} finetune.scale_patience=3", "finetune.scale_patience=null",
        f"{PARTS} finetune.scale_patience=null",
        lambda: (photographs()(), tensors_alone()),
    ),
    "scales of another loss": Advice(
        f"{TUNE.replace('128', '256')} loss=ms_ssim {SCALES}", "Write balance.type=famo",
        f"{TUNE.replace('128', '256')} loss=ms_ssim balance.type=famo", photographs(),
    ),
    "weights with code": Advice(
        f"{HYPERPRIOR} model.weights=w.pt", "torch.save(model.state_dict(), FILE)", None,
        with_code, tensors_alone,
    ),
    "a final gamma above the first": Advice(
        f"{TUNE} {COSINE} balance.schedule.final=.01", "balance.schedule.final=0.0006",
        f"{TUNE} {COSINE} balance.schedule.final=0.0006", photographs(),
    ),
    "a final gamma above the first, fixed": Advice(
        f"{TUNE} {COSINE} balance.schedule.final=.01", "or balance.schedule.type=fixed",
        f"{TUNE} {FIXED}", photographs(),
    ),
    "a warm-up as long as the run": Advice(
        f"{TUNE} {STAGE} {COSINE} balance.schedule.warmup=4", "balance.schedule.warmup=0.05",
        f"{TUNE} {STAGE} {COSINE} balance.schedule.warmup=0.05", photographs(),
    ),
    "milestones behind the run": Advice(
        f"{TUNE} {STAGE} balance.type=famo balance.schedule.type=step "
        "balance.schedule.milestones=[2,9]", "balance.schedule.milestones=[0.3333,0.6667]",
        f"{TUNE} {STAGE} balance.type=famo balance.schedule.type=step "
        "balance.schedule.milestones=[0.3333,0.6667]", photographs(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_advice_about_a_training_of_a_compressor_helps(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    obey(CASES[case])


def crops(accumulate: int, per_photo: int) -> Callable[[], object]:
    photos = np.zeros((3, 3, 40, 40), np.uint8)
    batching = Batching(batch_size=8, seed=0, micro_batches=accumulate)
    return lambda: Crops(photos, Cropping(16, per_photo), batching)  # type: ignore[arg-type]


def first_weights(**shape: int) -> Callable[[], None]:
    return lambda: load_first_weights(
        make_compressor(HyperpriorConfig(**{**SHAPE, **shape})), Path("w.pt")
    )


def manager(**options: object) -> CheckpointManager:
    return CheckpointManager("kept", **options)  # type: ignore[arg-type]


def best_of(found: CheckpointManager) -> object:
    found.save_checkpoint(0, {"weight": torch.ones(2)}, {}, 1.0)
    return found.load_best_checkpoint()


CALLS = {
    "more micro-batches than crops": Advice(
        crops(4, 1), "Lower training.accumulate", crops(3, 1)
    ),
    "more micro-batches than crops, of more crops": Advice(
        crops(4, 1), "or raise data.crops_per_photo", crops(4, 2)
    ),
    "weights of another shape": Advice(
        first_weights(), "model.channels and model.latent as in the run",
        first_weights(latent=16), lambda: tensors_alone(latent=16),
    ),
    "weights of another shape, others": Advice(
        first_weights(), "or name weights of this model", None,
        lambda: tensors_alone(latent=16), tensors_alone,
    ),
    "a metric without direction": Advice(
        lambda: manager(metric_name="sharpness"), "Known without it: loss",
        lambda: manager(metric_name="loss"),
    ),
    "no weights kept": Advice(
        lambda: best_of(manager(keep_best=0)), "Use keep_best=1",
        lambda: best_of(manager(keep_best=1)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CALLS)
def test_the_advice_of_a_class_helps(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    obey(CALLS[case])


COLLAPSES = {
    FamoTask: (
        "balance.type=famo",
        ("balance.gamma=.1", "balance.w_lr=.001", "loss.lmbda=.0483"),
    ),
    QpTask: ("balance.type=qp", ("loss.lmbda=.0483", "balance=famo")),
    HierarchicalTask: (
        SCALES,
        ("balance.gamma_s1=.1", "balance.gamma_s2=.1", "balance.gamma_s3=.1", "balance.w_lr=.001"),
    ),
}


@pytest.mark.parametrize("task", COLLAPSES)
def test_what_to_change_where_task_weights_collapse_can_be_set(task, tmp_path, monkeypatch):
    """That one of them has all of the weight takes a training; what helps is a setting each."""
    monkeypatch.chdir(tmp_path)
    photographs()()
    held = object.__new__(task)
    held.finetune = None
    held.tasks, held._sum, held._least = ("distortion", "bpp"), torch.ones(2), torch.ones(())
    assert COLLAPSED < 1
    with pytest.raises(TaskWeightsCollapsed) as refused:
        BalancedTask.on_valid(held, {}, SimpleNamespace(epoch=3))
    balance, settings = COLLAPSES[task]
    for setting in settings:
        key = setting.partition("=")[0]
        assert {"loss.lmbda": "another lambda", "balance": setting}.get(
            key, key.removeprefix("balance.")
        ) in refused.value.remedy
        enter(f"{TUNE} {setting if key == 'balance' else f'{balance} {setting}'}")
