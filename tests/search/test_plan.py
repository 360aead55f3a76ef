"""What `plan` foretells, from a training of two epochs that leaves nothing behind."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from practice.quadratic.studies import tuned

import tunewright
from tunewright.cli import main
from tunewright.cli.output.plan import plan_rows
from tunewright.errors import RunError
from tunewright.search.forecast.disk import folder_bytes

INLINE = ("quadratic", "executor.type=inline")


@pytest.fixture(scope="module", autouse=True)
def torch_is_imported() -> None:
    """The start of a worker is no part of these figures."""
    __import__("tunewright.job")


def test_a_plan_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    made = tunewright.plan(
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
    made = tunewright.plan(*INLINE, "epoch_seconds=0.05", trials=20, runs_dir=tmp_path)
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
    made = tunewright.plan(*words, space=space, runs_dir=tmp_path)
    assert (made.grid, made.points, made.trials) == ((4, 2, 2), 16, 16)
    some = tunewright.plan(*words, space=space, trials=5, runs_dir=tmp_path)
    assert (some.points, some.trials) == (16, 5)


def test_a_study_that_was_begun_is_planned_to_its_end(tmp_path: Path) -> None:
    tuned(tmp_path, "study.trials=4")
    made = tunewright.plan(*INLINE, name="study", trials=10, runs_dir=tmp_path)
    assert (made.trials, made.begun) == (10, 4)
    done = tunewright.plan(*INLINE, name="study", trials=4, runs_dir=tmp_path)
    assert done.search_seconds == 0.0


def test_a_plan_says_what_fits_into_a_budget(tmp_path: Path) -> None:
    words = (*INLINE, "epoch_seconds=0.1", "study.pruner.type=none", "training.epochs=4")
    made = tunewright.plan(*words, trials=1000, budget="1m", runs_dir=tmp_path)
    assert made.fitting is not None
    assert 60 < made.fitting < 150  # of 0.4 s and a little each
    assert made.final_fits
    assert made.seconds == 60.0
    short = tunewright.plan(*words, trials=1000, budget=0.6, runs_dir=tmp_path)
    assert not short.final_fits


def test_a_first_configuration_that_does_not_train_is_the_answer(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="a bug in the recipe"):
        tunewright.plan(*INLINE, "faults.kind=error", "faults.epoch=1", runs_dir=tmp_path)


def test_a_function_can_be_planned(tmp_path: Path) -> None:
    made = tunewright.plan(
        lambda params, report: params["x"], {"x": {"low": 0.0, "high": 1.0}}, trials=3
    )
    assert (made.trials, made.step_seconds) == (3, 0.0)


def test_disk_is_foretold_within_a_factor_of_two(tmp_path: Path) -> None:
    words = (*INLINE, "study.name=study", "study.trials=12")
    made = tunewright.plan(*words, runs_dir=tmp_path)
    tuned(tmp_path, "study.trials=12", "study.final=true")
    assert 0.5 < made.disk_bytes / folder_bytes(tmp_path / "study") < 2.0


def test_disk_of_a_function_is_measured_by_its_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = {"x": {"type": "float", "low": 0.0, "high": 1.0}}
    bare = "study.report=false"  # a page of 5 MB would hide all else
    made = tunewright.plan(reports_thrice, space, bare, trials=12, jobs=1)
    tunewright.tune(reports_thrice, space, bare, trials=12, jobs=1, name="study", runs_dir=tmp_path)
    real = folder_bytes(tmp_path / "study")
    assert 0.5 < made.disk_bytes / real < 2.0
    announced = re.search(r"12 trials: about .* in all, about (\d+) KB", capsys.readouterr().err)
    assert announced is not None
    assert 0.5 < 1000 * int(announced[1]) / real < 2.0


def reports_thrice(params: dict[str, float], report: Callable[[int, float], None]) -> float:
    """Report at steps far apart, and far below the last step that is allowed."""
    for step in range(1, 4):
        report(step * 1000, params["x"])
    return params["x"]


def test_every_seed_is_a_run(tmp_path: Path) -> None:
    words = (*INLINE, "epoch_seconds=0.05", "study.pruner.type=none")
    one = tunewright.plan(*words, trials=10, runs_dir=tmp_path)
    three = tunewright.plan(*words, "study.seeds=3", trials=10, runs_dir=tmp_path)
    assert three.search_seconds > 2.0 * one.search_seconds
    assert three.final_seconds < 2.0 * one.final_seconds


FINITE = {
    "point.x": {"type": "categorical", "choices": [0.0, 1.0, 2.0]},
    "point.side": {"type": "categorical", "choices": ["left", "right"]},
}


def finite(**rest: Any) -> dict[str, Any]:
    return {"inherit": False, "parameters": FINITE, **rest}


@pytest.mark.parametrize("sampler", ["tpe", "random", "quasi_random"])
def test_a_space_that_comes_to_an_end_bounds_any_sampler(tmp_path: Path, sampler: str) -> None:
    words = (*INLINE, f"study.sampler.type={sampler}", "study.pruner.type=none")
    made = tunewright.plan(*words, space=finite(), trials=20, runs_dir=tmp_path)
    assert (made.grid, made.points, made.trials) == ((), 6, 6)
    space = finite(forbid=[{"point.x": 0.0, "point.side": "left"}])
    made = tunewright.plan(*words, space=space, trials=20, runs_dir=tmp_path)
    assert (made.points, made.trials) == (5, 5)
    assert ("trials", "a space of 5 points: 5 trials of 8 epochs") in [
        (name, text) for name, text in plan_rows(replace(made, step_seconds=0.1))
    ]


def test_a_space_that_nobody_would_count_is_not_counted(tmp_path: Path) -> None:
    many = {f"point.{name}": {"low": -5.0, "high": 5.0, "step": 0.05} for name in ("x", "y")}
    made = tunewright.plan(*INLINE, space={"parameters": many}, trials=7, runs_dir=tmp_path)
    assert (made.points, made.trials) == (None, 7)


def test_what_comes_from_elsewhere_is_counted_and_nothing_is_stored(tmp_path: Path) -> None:
    words = (*INLINE, "study.pruner.type=none")
    first = tunewright.tune(
        *words, "study.final=false", space=finite(), trials=4, name="first", runs_dir=tmp_path
    )
    assert len(first.record.trials) == 4
    before = sorted(file.name for file in tmp_path.iterdir())
    made = tunewright.plan(
        *words, space=finite(), trials=20, name="new", from_="first", runs_dir=tmp_path
    )
    assert (made.carried, made.begun, made.trials, made.points) == (4, 0, 2, 6)
    assert "4 of 4 trials of first are imported" in made.notices
    assert any("starting at the best configuration" in notice for notice in made.notices)
    assert sorted(file.name for file in tmp_path.iterdir()) == before
    table = tmp_path / "table.csv"
    table.write_text("point.x,point.side,val_score\n1.0,left,0.5\n2.0,left,0.25\n")
    made = tunewright.plan(
        *words, space=finite(), trials=20, name="new", imports=[table], runs_dir=tmp_path
    )
    assert (made.carried, made.trials) == (2, 4)
    found = tunewright.tune(
        *words, "study.final=false", space=finite(), trials=20, name="new", imports=[table],
        runs_dir=tmp_path,
    )  # fmt: skip
    assert len(found.record.own) == made.trials


def test_a_plan_of_another_study_alone_is_typed_as_the_search_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned(tmp_path, "study.trials=3")
    words = ["plan", "--from", "study", "--name", "new", "--trials", "5", "--runs-dir"]
    monkeypatch.setattr("sys.argv", ["tunewright", *words, str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code
    assert "5 trials, beside 3 carried over" in capsys.readouterr().out


def test_a_study_whose_space_has_changed_is_planned_with_what_fits(tmp_path: Path) -> None:
    words = (*INLINE, "study.pruner.type=none")
    tunewright.tune(
        *words, "study.final=false", space=finite(), trials=6, name="study", runs_dir=tmp_path
    )
    smaller = finite(forbid=[{"point.side": "left"}])
    made = tunewright.plan(*words, space=smaller, trials=20, name="study", runs_dir=tmp_path)
    assert (made.begun, made.trials, made.points) == (3, 3, 3)


def test_a_plan_of_one_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = tunewright.plan_training(*INLINE, "epoch_seconds=0.05", "training.epochs=200")
    assert (made.epochs, made.seeds, made.slots, made.patience) == (200, 1, 1, None)
    assert made.step_seconds == pytest.approx(0.05)
    expected = made.worker_seconds + made.startup_seconds + 200 * made.step_seconds
    assert made.seconds == pytest.approx(expected)
    assert made.memory_mib > 0
    assert list(tmp_path.iterdir()) == [], "nothing is stored"
    several = tunewright.plan_training(*INLINE, "epoch_seconds=0.05", "seeds=[1,2,3]")
    assert several.seeds == 3
    assert several.seconds > 3 * several.epochs * 0.05


def test_the_disk_of_a_training_is_about_what_it_takes(tmp_path: Path) -> None:
    words = ("blobs", "executor.type=inline", "training.epochs=40", "training.keep_best=3")
    made = tunewright.plan_training(*words)
    trained = tunewright.train(*words, name="run", runs_dir=tmp_path)
    taken = folder_bytes(trained.folders[0].path)
    assert taken / 2 < made.disk_bytes < 2 * taken


def test_a_training_that_fails_is_said_at_once() -> None:
    with pytest.raises(RunError, match="a bug in the recipe"):
        tunewright.plan_training(*INLINE, "faults.kind=error", "faults.epoch=1")


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        (["training.epochs=200"], "training    200 epochs"),
        (["seeds=[1,2]", "training.patience=7"], "if training.patience=7 does not end it"),
        (["--json"], '"startup_seconds": '),
        (["--trials", "3"], "--trials with --train: expected one of them"),
        (["--from", "x"], "--from with --train: expected one of them"),
    ],
)
def test_a_plan_of_one_training_as_it_is_typed(
    typed: list[str],
    printed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["tunewright", "plan", "--train", *INLINE, *typed])
    with pytest.raises(SystemExit):
        main()
    shown = capsys.readouterr()
    assert printed in shown.out + shown.err


def test_replicates_are_part_of_the_plan(tmp_path: Path) -> None:
    words = (*INLINE, "epoch_seconds=0.02", "study.pruner.type=none", "study.final=false")
    made = tunewright.plan(*words, trials=85, runs_dir=tmp_path)
    assert made.replicates == 15
    trial = made.startup_seconds + made.epochs * made.step_seconds
    assert made.replicate_seconds == pytest.approx(15 * trial)
    assert made.seconds == pytest.approx(made.search_seconds + made.replicate_seconds)
    rows = dict(plan_rows(made))
    assert rows["replicates"].startswith("at most 15 trainings")
    without = tunewright.plan(*words, "study.replicate=0", trials=85, runs_dir=tmp_path)
    assert (without.replicates, without.replicate_seconds) == (0, 0.0)
    assert "replicates" not in dict(plan_rows(without))
    assert without.disk_bytes < made.disk_bytes


def test_a_budget_leaves_time_for_the_replicates(tmp_path: Path) -> None:
    words = (*INLINE, "epoch_seconds=0.02", "study.pruner.type=none", "study.final=false")
    made = tunewright.plan(*words, trials=85, budget=8, runs_dir=tmp_path)
    without = tunewright.plan(*words, "study.replicate=0", trials=85, budget=8, runs_dir=tmp_path)
    assert 0 < made.fitting < without.fitting
