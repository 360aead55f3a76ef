"""Which run a name or a path stands for."""

import os
from pathlib import Path

import pytest

from tunewright.deliver.evaluate import evaluate
from tunewright.deliver.find_run import find_run, places, run_or_checkpoint
from tunewright.deliver.select_runs import of_study, resolve_runs
from tunewright.errors import DataError, UsageError
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Outcome, OutcomeState


def make_run(path: Path, *, written: float | None = 1e9) -> RunFolder:
    """A run of `flowers`. written: its weights, seconds since 1970; None for no weights yet."""
    folder = RunFolder(path)
    folder.checkpoints.mkdir(parents=True)
    folder.config.write_text("recipe: flowers\n")
    if written is not None:
        weights = folder.checkpoints / "best.safetensors"
        weights.write_bytes(b"")
        os.utime(weights, (written, written))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "runs" / "train-flowers").path


@pytest.mark.parametrize("name", ["train-flowers", "flowers"])
def test_by_its_name_or_that_of_its_recipe(run: Path, name: str) -> None:
    found = find_run(Path(name), run.parent)
    assert (found.folder.path, found.notes) == (run, ())


def test_a_name_is_no_pattern(tmp_path: Path) -> None:
    make_run(tmp_path / "train-a1-2")
    with pytest.raises(DataError, match="no trained run"):
        find_run(Path("a[0-9]"), tmp_path)
    own = make_run(tmp_path / "train-a[0-9]-2").path
    assert find_run(Path("a[0-9]"), tmp_path).folder.path == own


def test_by_its_folder_or_by_the_weights_in_it(run: Path, tmp_path: Path) -> None:
    assert find_run(run, tmp_path).folder.path == run
    assert find_run(run / "checkpoints" / "best.safetensors", tmp_path).folder.path == run


@pytest.mark.parametrize("newest", ["train-flowers", "train-flowers-2", "train-flowers-10"])
def test_a_recipes_name_is_the_newest_of_its_runs_without_a_name(
    tmp_path: Path, newest: str
) -> None:
    for name in ("train-flowers", "train-flowers-2", "train-flowers-10", "train-flowers-mine"):
        make_run(tmp_path / name, written=2e9 if name == newest else 1e9)
    found = find_run(Path("flowers"), tmp_path)
    assert found.folder.path == tmp_path / newest
    assert found.notes == (f"flowers: the newest of 3 runs, {tmp_path / newest}",)
    exact = find_run(Path("train-flowers"), tmp_path)
    assert (exact.folder.path, exact.notes) == (tmp_path / "train-flowers", ())


def test_of_several_seeds_one_is_to_be_named(tmp_path: Path) -> None:
    make_run(tmp_path / "train-flowers", written=1e9)
    for seed in (1, 2):
        make_run(tmp_path / "train-flowers-2" / f"seed-{seed}", written=2e9)
    with pytest.raises(DataError, match=r"holds 2 runs: expected one of them.*seed-1"):
        find_run(Path("flowers"), tmp_path)
    assert find_run(tmp_path / "train-flowers-2" / "seed-2", tmp_path).notes == ()


@pytest.mark.parametrize("state", ["done", "pruned"])
def test_a_training_that_ended_needs_no_note(run: Path, state: OutcomeState) -> None:
    folder = RunFolder(run)
    folder.write_outcome(Outcome(state, folder.begin_attempt()))
    assert find_run(run, run.parent).notes == ()


def test_a_training_that_goes_on_is_noted(run: Path) -> None:
    folder = RunFolder(run)
    attempt = folder.begin_attempt()
    assert "train-flowers has not ended" in find_run(run, run.parent).notes[0]
    folder.write_outcome(Outcome("paused", attempt))
    assert "train-flowers ended as paused" in find_run(run, run.parent).notes[0]


def test_a_training_that_was_stopped_before_it_had_weights(tmp_path: Path) -> None:
    make_run(tmp_path / "one", written=None).begin_attempt()
    with pytest.raises(
        DataError, match=r"has not ended, before it had weights.*again to resume it"
    ):
        find_run(Path("one"), tmp_path)


def test_nothing_there(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no trained run in other.*Train first"):
        find_run(Path("other"), run.parent)
    with pytest.raises(DataError, match="Did you mean 'flowers'"):
        find_run(Path("flowes"), run.parent)
    with pytest.raises(DataError, match="Only the best trial of a study keeps its weights"):
        find_run(tmp_path / "one" / "trials" / "00003", tmp_path)


@pytest.mark.parametrize("there", ["lt", "train-lt", "lr-find-lt"])
def test_a_folder_that_is_no_run_is_not_suggested(tmp_path: Path, there: str) -> None:
    (tmp_path / there).mkdir()
    for name in ("lt", "lt1"):
        with pytest.raises(DataError, match=f"no trained run in {name}.*Train first") as refused:
            find_run(Path(name), tmp_path)
        assert "Did you mean" not in str(refused.value)


def test_a_checkpoint_of_others_that_is_to_be_evaluated_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        evaluate("best_model.pt", runs=tmp_path)
    (tmp_path / "best_model.pt").write_bytes(b"a pickle that nobody opens")
    with pytest.raises(DataError, match=r"not in a run folder.*model\.weights=FILE"):
        evaluate(tmp_path / "best_model.pt", runs=tmp_path)


def test_an_ensemble_is_evaluated_by_its_runs(tmp_path: Path) -> None:
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "ensemble.json").write_text("{}")
    with pytest.raises(DataError, match="both is an ensemble: expected one run"):
        evaluate("both", runs=tmp_path)


def test_nothing_to_evaluate_by_itself(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no trained run in .*Train one first"):
        evaluate(runs=tmp_path)


@pytest.mark.parametrize("kind", ["run", "study", "seeds"])
def test_an_exact_name_is_that_folder_however_new_the_others_are(tmp_path: Path, kind: str) -> None:
    exact = tmp_path / "compression"
    inside = {"run": exact, "study": exact / "final", "seeds": exact / "seed-7"}[kind]
    make_run(inside, written=1e9)
    make_run(tmp_path / "train-compression", written=2e9)
    found = find_run(Path("compression"), tmp_path)
    assert (found.folder.path, found.notes) == (inside, ())


@pytest.mark.parametrize("kind", ["run", "study"])
def test_an_exact_name_without_weights_is_not_another_run(tmp_path: Path, kind: str) -> None:
    exact = tmp_path / "flowers"
    exact.mkdir()
    (exact / {"run": "config.yaml", "study": "study.yaml"}[kind]).write_text("recipe: flowers\n")
    make_run(tmp_path / "train-flowers-2")
    with pytest.raises(DataError, match=r"flowers has no weights yet.*: train-flowers-2\."):
        find_run(Path("flowers"), tmp_path)


def test_a_folder_of_something_else_is_no_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run.parent / "flowers").mkdir()
    (run.parent.parent / "flowers").mkdir()  # data, say
    monkeypatch.chdir(run.parent.parent)
    assert find_run(Path("flowers"), Path("runs")).folder.path == Path("runs/train-flowers")


def test_a_file_of_the_same_name_is_not_the_run(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train-flowers").write_text("a note")
    monkeypatch.chdir(tmp_path)
    assert find_run(Path("train-flowers"), Path("runs")).folder.path == Path("runs/train-flowers")


def test_an_exact_path_hides_what_has_its_name_in_the_folder_of_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "mine", written=1e9)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "ensemble.json").write_text("{}")
    (tmp_path / "runs" / "mine" / "trials").mkdir()
    monkeypatch.chdir(tmp_path)
    assert places(Path("mine"), Path("runs")) == (Path("mine"),)
    assert resolve_runs("mine", runs=Path("runs")).folder == tmp_path / "mine"
    assert of_study(Path("mine"), Path("runs")) is None


def test_a_recipe_beside_a_checkpoint_says_what_it_is(run: Path) -> None:
    runs = run.parent
    recipe = str(RunFolder(run).read_config()["recipe"])
    assert run_or_checkpoint(recipe, run, runs) == run
    assert run_or_checkpoint(None, run, runs) == run
    assert run_or_checkpoint("one", None, runs) == "one"
    other = "pairs" if recipe != "pairs" else "longtail"
    with pytest.raises(UsageError, match=f"is a run of the recipe {recipe}: .* Leave {other} out"):
        run_or_checkpoint(other, run, runs)
    with pytest.raises(UsageError, match=r"they mean the same\. Leave one out"):
        run_or_checkpoint("one", run, runs)
