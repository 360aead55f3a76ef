"""Every optimiser that a configuration can name keeps the contract, a plug-in's included."""

from typing import Any, ClassVar

import pytest

from tunewright.config.components.optimizers import OTHER_OPTIMIZERS, REFUSED
from tunewright.testing.optimizers import OptimizerContract

ONLY_MATRICES = {"Muon"}
RATES = {"sgd": 0.1, "SGD": 0.1, "ASGD": 0.1, "asgd": 0.1, "adadelta": 1.0, "Adadelta": 1.0}
OWN_STEPS = {"ASGD", "asgd", "Rprop", "rprop"}
"""Their steps have sizes of their own; ASGD shrinks all weights, and Rprop none."""
FAST = {"lamb", "lion", "muon", "nadamw", "Adafactor", "RMSprop"}
"""Those that are tested in each run; the others are in the slow suite."""

pytestmark = pytest.mark.filterwarnings("ignore:It is highly recommended to have 'opt_einsum'")


class TestAdamW(OptimizerContract):
    name = "adamw"


class TestAdam(OptimizerContract):
    name = "adam"


class TestCautiousAdam(OptimizerContract):
    name = "cautious_adam"


class TestSgd(OptimizerContract):
    name = "sgd"


class TestAPlugin(OptimizerContract):
    name = "sign_descent"
    settings: ClassVar = {"options": {"momentum": 0.8}}


class TestAPluginThatSwapsWeights(OptimizerContract):
    name = "modal"
    decays = False


def contract(name: str) -> type[OptimizerContract]:
    fields: dict[str, Any] = {
        "name": name,
        "settings": {"lr": RATES.get(name, 1e-3)},
        "decays": name not in OWN_STEPS,
        "follows_rate": name not in OWN_STEPS,
    }
    if name.startswith("kron"):
        fields["settings"] = {"lr": 1e-3, "options": {"deterministic": True}}
    if name not in FAST:
        fields["pytestmark"] = pytest.mark.slow
    return type(f"Test_{name}", (OptimizerContract,), fields)


others = OTHER_OPTIMIZERS.keys() - REFUSED.keys() - ONLY_MATRICES
globals().update({f"Test_{name}": contract(name) for name in sorted(others)})
