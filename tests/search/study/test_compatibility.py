"""What counts as another space when a study is continued."""

from typing import Any

import pytest

from tunewright.config.study_schema import AshaConfig, TpeConfig
from tunewright.search.storage.database import Settings
from tunewright.search.study.compatibility import changed_space

LR = {"type": "float", "low": 1e-4, "high": 1e-2}
KINDS = {"type": "categorical", "choices": ["adamw", "sgd"]}


def stored(parameters: dict[str, Any]) -> Settings:
    return Settings(
        recipe="quadratic",
        goal="val_score",
        metric="val_score",
        direction="max",
        sampler=TpeConfig().model_dump(),
        pruner=AshaConfig().model_dump(),
        space={"parameters": parameters},
        configuration={},
        seed=7,
    )


@pytest.mark.parametrize("searched", [{}, {"optim.type": KINDS}])
def test_a_key_that_more_kinds_have_by_now_is_the_same_parameter(searched: dict[str, Any]) -> None:
    """The kinds that have a key are stored with a study; later versions ship more of them."""
    before, now = (
        stored(searched | {"optim.beta1": LR | {"when": {"optim.type": kinds}}})
        for kinds in (["adamw"], ["adamw", "adam"])
    )
    assert changed_space(before, now) == ()


def test_a_condition_that_differs_between_trials_counts() -> None:
    before, now = (
        stored({"optim.type": KINDS, "optim.lr": LR | when})
        for when in ({"when": {"optim.type": ["adamw"]}}, {})
    )
    assert changed_space(before, now) == ("optim.lr",)
    assert changed_space(before, stored({"optim.type": KINDS})) == ("optim.lr",)
