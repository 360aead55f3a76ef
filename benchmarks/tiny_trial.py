"""A trial that only touches torch: what every arm of `trial_overhead.py` runs.

Run as a script it is the whole of a trial in a process of its own: parameters in as JSON, score
out.
"""

import json
import sys

SPACE = {
    "x": {"type": "float", "low": -1.0, "high": 1.0},
    "y": {"type": "float", "low": 1e-5, "high": 1.0, "log": True},
    "n": {"type": "int", "low": 1, "high": 8},
    "kind": {"type": "categorical", "choices": ["a", "b", "c"]},
}
STEPS = 3
"""The last step that a trial could report; it reports the first, where it may be pruned."""


def score(params):
    """A small tensor operation."""
    import torch

    tensor = torch.full((8,), float(params["x"]))
    return float((tensor * tensor).sum()) + params["y"] / params["n"]


def objective(params, report):
    """For `tunewright.tune`."""
    value = score(params)
    report(1, value=value)
    return value


def suggested(trial):
    """The same point from an Optuna trial."""
    return {
        "x": trial.suggest_float("x", -1.0, 1.0),
        "y": trial.suggest_float("y", 1e-5, 1.0, log=True),
        "n": trial.suggest_int("n", 1, 8),
        "kind": trial.suggest_categorical("kind", ["a", "b", "c"]),
    }


if __name__ == "__main__":
    import torch  # as any training script does, before it looks at its arguments

    torch.set_num_threads(1)
    print(score(json.loads(sys.argv[1])))
