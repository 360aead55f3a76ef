"""The declaration of `compression`; imports without torch."""

from collections.abc import Mapping
from pathlib import Path

from tunewright.config.dialect import NOT_BUILT, SHARED_ALIASES, Dialect
from tunewright.config.schema import RunConfig
from tunewright.recipes.compression.config import METRICS, CompressionConfig
from tunewright.recipes.compression.config_checks import check_fit
from tunewright.recipes.recipe import Recipe
from tunewright.recipes.scheduled_values import ScheduledValue
from tunewright.runs.machine.child_process import call_in_child

HERE = Path(__file__).parent
CHECK_WEIGHTS = "tunewright.recipes.compression.setup:check_first_weights"

ALIASES = {
    **SHARED_ALIASES,
    # Arguments of the guide and of HPCM's own programs.
    "lambda": "loss.lmbda",
    "lmbda": "loss.lmbda",
    "loss.lambda": "loss.lmbda",
    "quality": "loss.quality",
    "metric": "loss.type",
    "use_balanced": "balance.type",
    "adaptive_gamma": "balance.schedule.type",
    "gamma_strategy": "balance.schedule.type",
    "gamma": "balance.gamma",
    "gamma_final": "balance.schedule.final",
    "gamma_warmup": "balance.schedule.warmup",
    "w_lr": "balance.w_lr",
    "gamma_s1": "balance.gamma_s1",
    "gamma_s2": "balance.gamma_s2",
    "gamma_s3": "balance.gamma_s3",
    "scale_weights": "balance.scale_weights",
    "step_epochs": "balance.schedule.milestones",
    "adaptive_window": "balance.schedule.window",
    "adaptive_threshold": "balance.schedule.threshold",
    "checkpoint": "model.weights",
    "finetune": "finetune.type",
    "finetune_lr": "optim.lr",
    "clip_max_norm": "training.clip_norm",
    "keep_last_n": "training.keep_last",
    "training.keep_last_n": "training.keep_last",
    "keep_best": "training.keep_best",
    "dataset": "data.dir",
    "patch_size": "data.crop",
    "crop_size": "data.crop",
    "skip_bad": "data.skip_bad",
}

SWITCHES = ("use_balanced", "adaptive_gamma", "finetune")
VALUE_ALIASES = {
    "loss.type": {"ms-ssim": "ms_ssim"},
    "balance.type": {"true": "famo", "false": "none"},
    "finetune.type": {"true": "whole", "false": "none"},
    "balance.schedule.type": {"true": "linear", "false": "fixed"},  # the guide's default strategy
}


def _facts(config: RunConfig) -> Mapping[str, float]:
    from tunewright.recipes.compression.data.photos import facts  # NumPy; `show` needs none of it

    assert isinstance(config, CompressionConfig)
    return facts(config.data)


def _fingerprints(config: RunConfig) -> Mapping[str, str]:
    from tunewright.recipes.compression.data.photos import fingerprints

    assert isinstance(config, CompressionConfig)
    return fingerprints(config.data)


def _schedules(config: RunConfig) -> list[ScheduledValue]:
    from tunewright.recipes.compression.balance.scheduled_gamma import scheduled_gammas

    assert isinstance(config, CompressionConfig)
    return scheduled_gammas(config)


def _check(config: RunConfig) -> list[str]:
    """Check the data and return notices; photographs are decoded here, with a progress display."""
    from tunewright.images.progress import ShowProgress
    from tunewright.recipes.compression.data.photo_store import build_photo_store, choose
    from tunewright.recipes.compression.data.photos import open_photos, size_notices

    assert isinstance(config, CompressionConfig)
    notices = check_fit(config)
    if config.model.weights is not None:  # before minutes go into the photographs
        call_in_child(CHECK_WEIGHTS, config.model_dump(mode="json"))
    data = config.data
    with ShowProgress("reading photographs") as progress:
        photos = open_photos(data, progress)
    choice = choose([photos.train, photos.valid], data.store)
    notices += [*photos.notices, *size_notices(data, photos)]
    crops, batch = len(photos.train) * data.crops_per_photo, config.training.batch_size
    if crops < batch:
        notices.append(
            f"an epoch has {crops:,} crops, fewer than training.batch_size = {batch:,}: an epoch "
            "is one smaller step; raise data.crops_per_photo for several crops of each photograph"
        )
    if choice.store == "resident":
        for table in (photos.train, photos.valid):
            with ShowProgress("decoding photographs") as progress:
                store = build_photo_store(table, progress=progress, skip_bad=data.skip_bad)
            notices += store.notices
    return [*dict.fromkeys(notices), choice.why]


RECIPE = Recipe(
    name="compression",
    config=CompressionConfig,
    conf=HERE / "conf",
    space=HERE / "space.yaml",
    metrics=METRICS,
    setup="tunewright.recipes.compression.setup:make_setup",
    data_facts=_facts,
    check_data=_check,
    fingerprints=_fingerprints,
    schedules=_schedules,
    capabilities={
        "evaluate": "tunewright.recipes.compression.evaluation.evaluation:evaluate",
        "evaluate_on": "tunewright.recipes.compression.evaluation.evaluation:evaluate_on",
        "compressor": "tunewright.recipes.compression.codec.trained_compressor:open_compressor",
    },
    heat_maps=(("balance.gamma", "balance.w_lr"),),
    dialect=Dialect(
        aliases=ALIASES,
        value_aliases=VALUE_ALIASES,
        not_built=NOT_BUILT["compression"],
        switches=SWITCHES,
    ),
)
