"""Model, task and crops of `compression`, as the trainer wants them."""

from pathlib import Path

import torch

from tunewright.config.check import validate
from tunewright.config.tree import Tree
from tunewright.images.image_table import ImageTable
from tunewright.images.loading.batching import Batching
from tunewright.images.progress import ShowProgress
from tunewright.recipes.compression.balance.config import FamoConfig, QpConfig
from tunewright.recipes.compression.balance.gamma import plan_gamma
from tunewright.recipes.compression.balance.hierarchical import HierarchicalTask
from tunewright.recipes.compression.balance.hierarchy_config import HierarchicalConfig
from tunewright.recipes.compression.balance.task import TASKS, FamoTask, QpTask
from tunewright.recipes.compression.balance.task_weights import FamoWeights, QpWeights
from tunewright.recipes.compression.config import CompressionConfig
from tunewright.recipes.compression.config_checks import check_fit
from tunewright.recipes.compression.data.crops import (
    Cropping,
    Crops,
    Photographs,
    ResidentPhotos,
    StreamedPhotos,
)
from tunewright.recipes.compression.data.photo_store import build_photo_store, choose
from tunewright.recipes.compression.data.photos import open_photos
from tunewright.recipes.compression.finetune.config import FineTuneParts
from tunewright.recipes.compression.finetune.schedule import FineTuneSchedule
from tunewright.recipes.compression.models.compressor import Compressor
from tunewright.recipes.compression.models.factory import (
    fitting_weights,
    load_first_weights,
    make_compressor,
)
from tunewright.recipes.compression.rate_distortion import LOSSES
from tunewright.recipes.compression.task import CompressionTask
from tunewright.training.task import Setup


def make_setup(config: CompressionConfig, device: torch.device) -> Setup:
    """Make model, task and crops for a validated configuration.

    The store of the photographs is chosen here and written into the run's configuration.
    """
    check_fit(config)
    # First, so that weights of another model are refused before photographs are opened.
    model, task = make_model(config), make_task(config, device)
    if isinstance(config.finetune, FineTuneParts):
        task.finetune = FineTuneSchedule.of(config.finetune, model)
        task.scores_scales |= task.finetune.patience is not None
    data, training = config.data, config.training
    photos = open_photos(data)
    choice = choose([photos.train, photos.valid], data.store)
    threads = torch.get_num_threads() if choice.store == "stream" else 0

    def store_photos(table: ImageTable) -> Photographs:
        if choice.store == "stream":
            return StreamedPhotos(table)
        with ShowProgress("decoding photographs") as progress:
            return ResidentPhotos(
                build_photo_store(table, progress=progress, skip_bad=data.skip_bad)
            )

    train = Crops(
        store_photos(photos.train),
        Cropping(data.crop, data.crops_per_photo, data.hflip, data.vflip),
        Batching(
            batch_size=training.batch_size, seed=config.seed, micro_batches=training.accumulate
        ),
        device=device,
        threads=threads,
    )
    valid = Crops(
        store_photos(photos.valid),
        Cropping(data.crop),
        Batching(
            batch_size=max(1, training.batch_size // training.accumulate),
            seed=0,
            shuffle=False,
            drop_last=False,
        ),
        device=device,
        threads=threads,
    )
    return Setup(
        model,
        task,
        train,
        valid,
        notices=(choice.why,),
        resolved={"data.store": choice.store},
    )


def check_first_weights(tree: Tree) -> None:
    """Raise DataError where the initial weights of a configuration do not fit its model.

    Raises ConfigError for parts to fine-tune that the model lacks.
    """
    config = validate(tree, CompressionConfig)
    assert config.model.weights is not None
    with torch.device("meta"):
        model = make_compressor(config.model)
    fitting_weights(model, Path(config.model.weights))
    if isinstance(config.finetune, FineTuneParts):
        FineTuneSchedule.of(config.finetune, model)


def make_task(config: CompressionConfig, device: torch.device) -> CompressionTask:
    """Make the task of a configuration: with the plain loss, or with task weights on `device`."""
    criterion, balance = LOSSES[config.loss.type](**config.loss.keywords()), config.balance
    match balance:
        case FamoConfig():
            return FamoTask(
                criterion,
                FamoWeights(len(TASKS), w_lr=balance.w_lr, device=device),
                gamma=balance.gamma,
                schedule=plan_gamma(balance.gamma, balance.schedule, config.training.epochs),
                every=balance.every,
            )
        case QpConfig():
            return QpTask(criterion, QpWeights(device=device), every=balance.every)
        case HierarchicalConfig():
            return HierarchicalTask(criterion, balance, device)
        case _:
            return CompressionTask(criterion)


def make_model(config: CompressionConfig) -> Compressor:
    """Make the compressor of a configuration, with its initial weights."""
    model = make_compressor(config.model)
    if config.model.weights is not None:
        load_first_weights(model, Path(config.model.weights).expanduser())
    return model
