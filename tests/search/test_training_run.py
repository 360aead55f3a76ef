"""One configuration in full: by one seed or several, interrupted and taken up."""

import json
import statistics
from pathlib import Path

import pytest

from tunewright.config.compose import compose
from tunewright.errors import RunError
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.search.callbacks import StudyCallback
from tunewright.search.prepare import run_part
from tunewright.search.signals import Interrupted
from tunewright.search.stages import train
from tunewright.search.training_run import TrainResult, free_folder


def trained(
    runs: Path, recipe: str, *overrides: str, watch: StudyCallback | None = None
) -> TrainResult:
    found = find_recipe(recipe)
    composed = compose(found, ["executor.type=inline", *overrides])
    return train(found, composed, name="run", runs=runs, watch=watch)


def test_several_seeds_are_trained_and_their_spread_is_reported(tmp_path: Path) -> None:
    found = trained(tmp_path, "blobs", "seeds=[1,2,3]")
    assert [folder.path.name for folder in found.folders] == ["seed-1", "seed-2", "seed-3"]
    assert len(set(found.scores)) == 3
    assert found.mean == pytest.approx(statistics.mean(found.scores))
    assert found.spread == pytest.approx(statistics.stdev(found.scores))
    stored = json.loads((tmp_path / "run/seeds.json").read_text())
    assert stored["metric"] == "val_loss"
    assert list(stored["scores"]) == ["1", "2", "3"]
    assert stored["standard_deviation"] == pytest.approx(found.spread)
    best = found.scores.index(min(found.scores))
    assert found.best("min") == found.folders[best]
    for seed, folder in zip((1, 2, 3), found.folders, strict=True):
        assert folder.read_config()["seed"] == seed
        assert (folder.checkpoints / "best.safetensors").exists()


def test_a_run_from_before_a_switch_was_there_is_the_same_run(tmp_path: Path) -> None:
    tree = compose(find_recipe("blobs"), ["executor.type=inline"]).tree
    run = RunFolder(tmp_path / "run")
    del tree["training"]["keep_predictions"]
    run.write_config(run_part(tree))
    now = compose(find_recipe("blobs"), ["executor.type=inline"]).tree
    assert free_folder(run.path, now).path == run.path
    now["training"]["keep_predictions"] = True
    assert free_folder(run.path, now).path.name == "run-2"


def test_of_seeds_that_rounding_tells_apart_the_first_is_the_best(tmp_path: Path) -> None:
    folders = tuple(RunFolder(tmp_path / name) for name in "abc")
    for sign, direction in ((1.0, "max"), (-1.0, "min")):
        scores = (sign * 0.2, sign * (0.1 + 0.2), sign * 0.3)
        assert TrainResult("m", folders, (), scores).best(direction) == folders[1]
        assert TrainResult("m", folders[::-1], (), scores[::-1]).best(direction) == folders[2]


def test_seeds_in_workers_give_what_seeds_in_this_process_give(tmp_path: Path) -> None:
    here = trained(tmp_path / "here", "blobs", "seeds=[1,2]", "executor.threads=1")
    there = trained(
        tmp_path / "there", "blobs", "seeds=[1,2]", "executor.type=local", "study.jobs=2",
        "executor.threads=1",
    )  # fmt: skip
    assert here.scores == there.scores


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    found = trained(tmp_path, "blobs")
    assert len(found.scores) == 1
    assert found.spread == 0.0
    assert found.folders[0].path == tmp_path / "run"


def test_what_is_done_is_not_trained_again(tmp_path: Path) -> None:
    first = trained(tmp_path, "blobs", "seeds=[1,2]")
    again = trained(tmp_path, "blobs", "seeds=[1,2]")
    assert first == again
    assert [folder.attempt for folder in again.folders] == [1, 1]


def test_another_configuration_takes_another_folder(tmp_path: Path) -> None:
    trained(tmp_path, "blobs")
    found = trained(tmp_path, "blobs", "optim.lr=0.02")
    assert found.folders[0].path == tmp_path / "run-2"


def test_seeds_that_were_interrupted_belong_to_their_configuration(tmp_path: Path) -> None:
    class Presses(StudyCallback):
        def on_epoch(self, *_arguments: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        trained(tmp_path, "quadratic", "seeds=[1,2]", watch=Presses())
    other = trained(tmp_path, "quadratic", "seeds=[1,2]", "point.x=1.5")
    assert other.folders[0].path.parent == tmp_path / "run-2"
    assert other.folders[0].read_config()["point"]["x"] == 1.5
    again = trained(tmp_path, "quadratic", "seeds=[1,2]")
    assert again.folders[0].path.parent == tmp_path / "run"


def test_an_interrupted_training_is_taken_up(tmp_path: Path) -> None:
    class Presses(StudyCallback):
        def on_epoch(self, *_arguments: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="Run the same command again to resume"):
        trained(tmp_path, "quadratic", watch=Presses())
    assert len(trained(tmp_path, "quadratic").scores) == 1


def test_a_failed_training_says_why_and_where_the_story_is(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"failed \(diverged\): the loss is not.*on the terminal"):
        trained(tmp_path, "quadratic", "faults.kind=diverged")


def test_a_worker_that_always_dies_ends_the_training_with_its_signal(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="killed by signal 9"):
        trained(tmp_path, "quadratic", "faults.kind='signal 9'", "executor.type=local")
    found = trained(
        tmp_path, "quadratic", "faults.kind='signal 9'", "faults.first_attempts=1",
        "executor.type=local",
    )  # fmt: skip
    assert found.folders[0].path == tmp_path / "run-2", "another configuration"
