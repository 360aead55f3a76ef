"""Names of Optuna lead to ours, for every recipe."""

import pytest
from practice.quadratic.recipe import RECIPE

from tunewright.config.compose import compose
from tunewright.config.leaves import choices_of, leaves
from tunewright.config.optuna_names import KEYS, WORDS
from tunewright.config.schema import RunConfig


def test_every_key_and_word_leads_to_one_of_ours() -> None:
    assert set(KEYS.values()) <= leaves(RunConfig).keys()
    assert leaves(RunConfig).keys().isdisjoint(KEYS)
    for path in ("study.sampler.type", "study.pruner.type"):
        assert set(WORDS[path].values()) <= set(choices_of(RunConfig, path))


@pytest.mark.parametrize("word", sorted(WORDS["study.sampler.type"]))
def test_a_sampler_by_optunas_name(word: str) -> None:
    own = WORDS["study.sampler.type"][word]
    assert compose(RECIPE, [f"study.sampler.type={word}"]).config.study.sampler.type == own


def test_a_pruner_by_optunas_names() -> None:
    study = compose(
        RECIPE,
        [
            "study.pruner.type=PatientPruner",
            "study.pruner.patience=2",
            "study.pruner.wrapped.type=MedianPruner",
            "study.pruner.wrapped.startup_trials=3",
        ],
    ).config.study
    assert study.pruner.model_dump() == {
        "type": "patient",
        "patience": 2,
        "min_delta": 0.0,
        "wrapped": {"type": "median", "startup_trials": 3, "warmup_steps": 0, "interval_steps": 1},
    }
