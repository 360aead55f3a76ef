"""What `plan` foretells, from a training of two epochs that leaves nothing behind."""

from pathlib import Path

import pytest
from practice.quadratic.studies import tuned

from tunewright import api
from tunewright.errors import RunError
from tunewright.search.disk import folder_bytes

INLINE = ("quadratic", "executor.type=inline")


@pytest.fixture(scope="module", autouse=True)
def torch_is_imported() -> None:
    """The start of a worker is no part of these figures."""
    __import__("tunewright.job")


def test_a_plan_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    made = api.plan(
        *INLINE, "epoch_seconds=0.05", "study.pruner.type=none", "training.epochs=30",
        "+stages.explore.training.epochs=10", trials=20, runs_dir=tmp_path,
    )  # fmt: skip
    assert (made.trials, made.begun, made.epochs, made.slots) == (20, 0, 10, 1)
    assert made.step_seconds == pytest.approx(0.05)
    trial = made.startup_seconds + 10 * made.step_seconds
    assert made.search_seconds - made.worker_seconds == pytest.approx(20 * trial)
    assert made.final_epochs == 30
    assert made.final_seconds == pytest.approx(made.startup_seconds + 30 * made.step_seconds)
    assert made.seconds == pytest.approx(made.search_seconds + made.final_seconds)
    assert made.trained_share == 1.0
    assert made.memory_mib > 0
    assert list(tmp_path.iterdir()) == [], "nothing is stored"


def test_pruning_is_assumed_and_said(tmp_path: Path) -> None:
    made = api.plan(*INLINE, "epoch_seconds=0.05", trials=20, runs_dir=tmp_path)
    assert made.pruner == "asha"
    assert made.trained_share == pytest.approx(0.5)  # of 8: 2, half to 4, a quarter to the end
    assert made.search_seconds < made.unpruned_seconds


def test_a_grid_says_how_many_runs_it_is(tmp_path: Path) -> None:
    space = {
        "point.x": {"type": "categorical", "choices": [0.0, 1.0, 2.0, 3.0]},
        "point.y": {"type": "categorical", "choices": [0.0, 1.0]},
        "point.side": {"type": "categorical", "choices": ["left", "right"]},
    }
    words = (*INLINE, "study.sampler.type=grid", "epoch_seconds=0.01")
    made = api.plan(*words, space=space, runs_dir=tmp_path)
    assert (made.grid, made.points, made.trials) == ((4, 2, 2), 16, 16)
    some = api.plan(*words, space=space, trials=5, runs_dir=tmp_path)
    assert (some.points, some.trials) == (16, 5)


def test_a_study_that_was_begun_is_planned_to_its_end(tmp_path: Path) -> None:
    tuned(tmp_path, "study.trials=4")
    made = api.plan(*INLINE, name="study", trials=10, runs_dir=tmp_path)
    assert (made.trials, made.begun) == (10, 4)
    done = api.plan(*INLINE, name="study", trials=4, runs_dir=tmp_path)
    assert done.search_seconds == 0.0


def test_a_plan_says_what_fits_into_a_budget(tmp_path: Path) -> None:
    words = (*INLINE, "epoch_seconds=0.1", "study.pruner.type=none", "training.epochs=4")
    made = api.plan(*words, trials=1000, budget="1m", runs_dir=tmp_path)
    assert made.fitting is not None
    assert 60 < made.fitting < 150  # of 0.4 s and a little each
    assert made.final_fits
    assert made.seconds == 60.0
    short = api.plan(*words, trials=1000, budget=0.6, runs_dir=tmp_path)
    assert not short.final_fits


def test_a_first_configuration_that_does_not_train_is_the_answer(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="a bug in the recipe"):
        api.plan(*INLINE, "faults.kind=error", "faults.epoch=1", runs_dir=tmp_path)


def test_a_function_can_be_planned(tmp_path: Path) -> None:
    made = api.plan(lambda params, report: params["x"], {"x": {"low": 0.0, "high": 1.0}}, trials=3)
    assert (made.trials, made.step_seconds) == (3, 0.0)


def test_disk_is_foretold_within_a_factor_of_two(tmp_path: Path) -> None:
    words = (*INLINE, "study.name=study", "study.trials=12")
    made = api.plan(*words, runs_dir=tmp_path)
    tuned(tmp_path, "study.trials=12", "study.final=true")
    assert 0.5 < made.disk_bytes / folder_bytes(tmp_path / "study") < 2.0


def test_every_seed_is_a_run(tmp_path: Path) -> None:
    words = (*INLINE, "epoch_seconds=0.05", "study.pruner.type=none")
    one = api.plan(*words, trials=10, runs_dir=tmp_path)
    three = api.plan(*words, "study.seeds=3", trials=10, runs_dir=tmp_path)
    assert three.search_seconds > 2.0 * one.search_seconds
    assert three.final_seconds < 2.0 * one.final_seconds
