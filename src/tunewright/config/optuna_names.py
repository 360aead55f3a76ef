"""Names that other programs write: Optuna's samplers, pruners and settings; timm's optimisers."""

KEYS = {
    "optim.name": "optim.type",
    "optim.opt": "optim.type",
    "study.sampler.n_startup_trials": "study.sampler.startup_trials",
    "study.pruner.n_startup_trials": "study.pruner.startup_trials",
    "study.pruner.n_warmup_steps": "study.pruner.warmup_steps",
    "study.pruner.wrapped_pruner.type": "study.pruner.wrapped.type",
    "study.pruner.wrapped_pruner.n_startup_trials": "study.pruner.wrapped.startup_trials",
    "study.pruner.wrapped_pruner.n_warmup_steps": "study.pruner.wrapped.warmup_steps",
    **{
        f"study.pruner.wrapped_pruner.{key}": f"study.pruner.wrapped.{key}"
        for key in (
            "interval_steps",
            "percentile",
            "min_resource",
            "reduction_factor",
            "min_early_stopping_rate",
        )
    },
}
"""Config paths as others write them, and ours."""

_PRUNERS = {
    "ASHA": "asha",
    "SuccessiveHalving": "asha",
    "SuccessiveHalvingPruner": "asha",
    "Hyperband": "hyperband",
    "HyperbandPruner": "hyperband",
    "Median": "median",
    "MedianPruner": "median",
    "Percentile": "percentile",
    "PercentilePruner": "percentile",
    "NopPruner": "none",
    "null": "none",
}

WORDS = {
    "study.sampler.type": {
        "TPE": "tpe",
        "TPESampler": "tpe",
        "Random": "random",
        "RandomSampler": "random",
        "Grid": "grid",
        "GridSampler": "grid",
        "QMC": "quasi_random",
        "QMCSampler": "quasi_random",
        "GP": "gp",
        "GPSampler": "gp",
        "CmaEs": "cma_es",
        "CmaEsSampler": "cma_es",
    },
    "study.pruner.type": {**_PRUNERS, "Patient": "patient", "PatientPruner": "patient"},
    "study.pruner.wrapped.type": _PRUNERS,
}
"""Values that others write, and ours, by our path."""
