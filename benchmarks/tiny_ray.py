"""The arm Ray Tune of two benchmarks, run by the Python of an environment that has Ray.

    PYTHON_WITH_RAY benchmarks/tiny_ray.py TRIALS WARM JOBS [ADDRESS OF A CLUSTER]

Optuna's TPE through Ray's own searcher on a SQLite file, asynchronous halving as the prune check,
actors reused. Prints one JSON object; the time runs from the end of trial number WARM to the end
of the last one, so neither Ray's start nor its shutdown is in it.
"""

import json
import os
import sys
import tempfile
import time

os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # nothing is written but the study
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"

import optuna
import ray
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from tiny_trial import STEPS, score, suggested


class Tiny(tune.Trainable):
    """One report a trial; reset instead of restarted between trials."""

    def setup(self, config):
        torch.set_num_threads(1)

    def step(self):
        return {"value": score(self.config), "done": True}

    def reset_config(self, new_config):
        return True

    def save_checkpoint(self, checkpoint_dir):
        """Nothing to keep."""

    def load_checkpoint(self, checkpoint):
        """Nothing was kept."""


class Ends(tune.Callback):
    def __init__(self):
        self.times = []

    def on_trial_complete(self, iteration, trials, trial, **info):
        self.times.append(time.perf_counter())


def main(trials, warm, jobs, address=None):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ends = Ends()
    with tempfile.TemporaryDirectory() as place:
        where = {"num_cpus": jobs, "include_dashboard": False} if address is None else {}
        ray.init(address, log_to_driver=False, logging_level="ERROR", **where)
        search = OptunaSearch(
            space=suggested_space,
            metric="value",
            mode="min",
            sampler=optuna.samplers.TPESampler(
                multivariate=True, group=True, constant_liar=True, seed=0
            ),
            storage=optuna.storages.RDBStorage(f"sqlite:///{place}/study.db"),
        )
        tuner = tune.Tuner(
            Tiny,
            tune_config=tune.TuneConfig(
                search_alg=search,
                scheduler=ASHAScheduler(metric="value", mode="min", max_t=STEPS, grace_period=1),
                num_samples=trials + warm,
                max_concurrent_trials=jobs,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=place,
                name="tiny",
                callbacks=[ends],
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        results = tuner.fit()
        ray.shutdown()
    assert len(results) == trials + warm, len(results)
    assert not results.errors
    seconds = ends.times[-1] - ends.times[warm - 1]
    print(json.dumps({"ms_per_trial": seconds / trials * 1000.0, "ray": ray.__version__}))


def suggested_space(trial):
    suggested(trial)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), *sys.argv[4:5])
