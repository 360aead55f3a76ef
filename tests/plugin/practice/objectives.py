"""Objectives as they are written for Optuna, importable as a user's are."""

import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

import optuna


def branches(trial):
    """Parameters that depend on others; a curve that is pruned where the rate is far off."""
    rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
    kind = trial.suggest_categorical("kind", ["sgd", "adam", None])
    momentum = trial.suggest_float("momentum", 0.0, 0.9) if kind == "sgd" else 0.0
    layers = trial.suggest_int("layers", 1, 3)
    widths = [trial.suggest_int(f"width_{place}", 8, 64, step=8) for place in range(layers)]
    trial.set_user_attr("process", os.getpid())
    trial.set_user_attr("widths", widths)
    score = 0.0
    for step in range(8):
        score = rate + momentum + 0.1 * layers + 1.0 / (step + 1)
        trial.report(score, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return score


@dataclass(frozen=True)
class DiesOnce:
    """Ends its process behind the second of three parameters, when it is called first."""

    folder: Path

    def __call__(self, trial):
        first = trial.suggest_float("first", 0.0, 1.0)
        trial.report(first, 1)
        marker = self.folder / str(trial.number)
        second = trial.suggest_float("second", 0.0, 1.0)
        if not marker.exists():
            marker.write_text(f"{first} {second}")
            os._exit(3)
        return first + second + trial.suggest_float("third", 0.0, 1.0)


def slow(trial):
    """Takes a second and says when its first value was there."""
    total = 0.0
    for place in range(5):
        total += trial.suggest_float(f"x{place}", 0.0, 1.0)
        trial.report(total, place)
        time.sleep(0.2)
    return total


def noisy(trial):
    """Another score with every call, as with another seed."""
    return trial.suggest_float("x", 0.0, 1.0) + random.random()
