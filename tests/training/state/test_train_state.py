"""The best epoch, patience, and the names that checkpoints have for both."""

from types import SimpleNamespace
from typing import Any

import pytest

from tunewright.training.state.train_state import TrainState

SCORES = [0.5, 0.5004, 0.502, 0.4, 0.501]


def after(scores: list[float], direction: Any, min_delta: float) -> TrainState:
    state = TrainState()
    for score in scores:
        state.epoch += 1
        assert state.record(score, {"val": score}, direction, min_delta) is (
            state.best_epoch == state.epoch
        )
    return state


@pytest.mark.parametrize("direction", ["max", "min"])
def test_the_best_epoch_is_exact_and_patience_counts_from_what_is_better_by_min_delta(
    direction: str,
) -> None:
    scores = SCORES if direction == "max" else [-score for score in SCORES]
    state = after(scores[:2], direction, 0.001)
    assert (state.best_epoch, state.early_stop_epoch) == (2, 1)
    state = after(scores, direction, 0.001)
    assert (state.best_epoch, state.best_score, state.early_stop_epoch) == (3, scores[2], 3)
    assert state.best_metrics == {"val": scores[2]}


@pytest.mark.parametrize(
    ("epochs", "patience", "goes_on"), [(9, None, True), (9, 3, True), (9, 2, False), (5, 9, False)]
)
def test_training_goes_on_while_epochs_and_patience_are_left(
    epochs: int, patience: int | None, goes_on: bool
) -> None:
    state = after(SCORES, "max", 0.0)  # two epochs after the best one
    training: Any = SimpleNamespace(epochs=epochs, patience=patience)
    assert state.goes_on(training) is goes_on


def test_checkpoints_keep_the_older_names() -> None:
    state = after(SCORES, "max", 0.0)
    stored = state.as_stored()
    assert (stored["hopeful_score"], stored["hopeful_epoch"]) == (0.502, 3)
    assert "early_stop_best" not in stored
    assert TrainState.from_stored(stored) == state
