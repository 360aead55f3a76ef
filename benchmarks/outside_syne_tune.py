"""Syne Tune as a child of `outside_search.py`, run by the Python of an environment that has it.

ASHA with conformal quantile regression, its recommended multi-fidelity searcher (Salinas et al.
2023), as it comes.
"""

import contextlib
import datetime
import sys

import numpy as np
from outside_protocol import Parent
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import lograndint, loguniform, randint, uniform
from syne_tune.optimizer.baselines import ASHACQR
from syne_tune.optimizer.scheduler import SchedulerDecision

KINDS = {
    ("int", False): randint,
    ("int", True): lograndint,
    ("float", False): uniform,
    ("float", True): loguniform,
}


def main(parent: Parent) -> None:
    """Search until the parent ends it."""
    given = parent.given
    np.random.seed(given["seed"])  # its brackets are drawn from the global numbers
    scheduler = ASHACQR(
        {
            name: KINDS[kind, log](low, high)
            for name, (kind, low, high, log) in given["space"].items()
        },
        metric="score",
        time_attr="epoch",
        max_t=given["last"],
        grace_period=given["first"],
        do_minimize=False,
        random_seed=given["seed"],
        points_to_evaluate=given["start"],
    )
    number = 0
    while (suggestion := scheduler.suggest()) is not None:
        trial = Trial(number, suggestion.config, datetime.datetime.now())
        number += 1
        scheduler.on_trial_add(trial)
        for epoch in range(1, given["last"] + 1):
            score, done = parent.train(dict(suggestion.config), epoch)
            result = {"score": score, "epoch": epoch}
            decision = scheduler.on_trial_result(trial, result)
            if done or decision == SchedulerDecision.STOP:
                scheduler.on_trial_complete(trial, result)
                break


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        main(Parent())
