"""Hyper-parameters that are learned while trials run: the same whatever the machine does."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunewright.search.curves.learning import Learner
from tunewright.search.curves.model import Array, CurveModel, Observations

GROUPS = np.array([0, 1])


def observed(count: int) -> Observations:
    rng = np.random.default_rng(0)
    x = rng.random((200, 2))
    z = np.sin(6 * x[:, 0])
    whole = Observations(x, np.zeros(200), np.arange(200), (z - z.mean()) / z.std())
    return whole.take(np.arange(count))


@pytest.fixture
def delay(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Makes learning slow."""
    learn = CurveModel.most_probable

    def set_delay(seconds: float) -> None:
        def slow(self: CurveModel, data: Observations, start: Array) -> Array:
            time.sleep(seconds)
            return learn(self, data, start)

        monkeypatch.setattr(CurveModel, "most_probable", slow)

    return set_delay


def thetas(counts: range, file: Path | None = None) -> list[list[float]]:
    model = CurveModel(GROUPS)
    learner = Learner(model, 0, file)
    seen = []
    for count in counts:
        learner.update(observed(count))
        seen.append(model.theta.tolist())
    learner.wait()
    return seen


def test_what_is_learned_holds_from_the_next_observation_on() -> None:
    model = CurveModel(GROUPS)
    learner, before = Learner(model, 0), model.theta.copy()
    learner.update(observed(20))
    assert model.theta.tolist() == before.tolist(), "trials run meanwhile"
    learner.update(observed(20))
    assert model.theta.tolist() == before.tolist(), "the same observations decide the same"
    learner.update(observed(21))
    assert model.theta.tolist() != before.tolist()
    learned = model.theta.tolist()
    learner.update(observed(24))
    assert model.theta.tolist() == learned, "it has not grown by a quarter"


def test_the_speed_of_the_machine_decides_nothing(delay: Callable[[float], None]) -> None:
    fast = thetas(range(10, 30))
    delay(0.02)
    assert thetas(range(10, 30)) == fast


def test_a_resumed_search_goes_on_with_what_was_being_learned(tmp_path: Path) -> None:
    whole = thetas(range(10, 40))
    file = tmp_path / "curve_model.json"
    for stop in (11, 12, 20, 31):
        file.unlink(missing_ok=True)
        begun = thetas(range(10, stop), file)
        assert begun + thetas(range(stop, 40), file) == whole


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "{}",
        '{"observations": 5, "theta": [1], "rows": {"x": [[0]], "t": [0], "trial": [0], "z": [0]}}',
        '{"observations": 5, "theta": null, "rows": 3}',
    ],
)
def test_a_file_that_does_not_fit_is_left_aside(tmp_path: Path, text: str) -> None:
    file = tmp_path / "curve_model.json"
    file.write_text(text)
    assert thetas(range(10, 14), file) == thetas(range(10, 14))
    assert json.loads(file.read_text())["observations"] in (10, 13), "it is written anew"


def test_a_failure_in_the_background_leaves_what_was_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError("no memory")

    monkeypatch.setattr(CurveModel, "most_probable", fail)
    model = CurveModel(GROUPS)
    learner, before = Learner(model, 0), model.theta.tolist()
    for count in (10, 20, 30):
        learner.update(observed(count))
    assert model.theta.tolist() == before
    assert learner.failure == "no memory"
