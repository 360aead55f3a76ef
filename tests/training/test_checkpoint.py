"""Checkpoints: which ones stay, and that a write that fails takes nothing with it."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor

from tunewright.config.schema import Kept, kept_of
from tunewright.errors import DataError
from tunewright.runs import atomic
from tunewright.training import checkpoint
from tunewright.training.checkpoint import Checkpoints, load_weights, read_best


def weights(epoch: int) -> Mapping[str, Tensor]:
    return {"weight": torch.full((3,), float(epoch))}


def trained(
    folder: Path, scores: list[float], *, last: Kept = 1, best: Kept = 1, direction: str = "max"
) -> Checkpoints:
    """A run that was checkpointed after every epoch."""
    made = Checkpoints(folder, keep_last=last, keep_best=best, direction=direction)
    for epoch, score in enumerate(scores, start=1):
        made.offer(epoch, score, {"val_score": score}, lambda epoch=epoch: weights(epoch))
        made.flush(epoch, lambda epoch=epoch: {"model": weights(epoch)})
    return made


def names(folder: Path) -> list[str]:
    """The files, without the JSON beside each checkpoint and the list of them."""
    found = [file.name for file in folder.iterdir()]
    return sorted(name for name in found if name == "best.json" or not name.endswith(".json"))


def test_the_last_and_the_best_are_kept_with_their_metrics(tmp_path: Path) -> None:
    made = trained(tmp_path, [0.1, 0.9, 0.5])
    assert names(tmp_path) == ["best.json", "best.safetensors", "last.pt"]
    assert json.loads((tmp_path / "best.json").read_text()) == {
        "epoch": 2,
        "score": 0.9,
        "metrics": {"val_score": 0.9},
    }
    assert torch.equal(load_weights(tmp_path / "best.safetensors")["weight"], torch.full((3,), 2.0))
    state = made.load_last()
    assert state is not None
    assert state["epoch"] == 3


def test_several_of_both_are_kept(tmp_path: Path) -> None:
    trained(tmp_path, [0.5, 0.3, 0.9, 0.7, 0.1, 0.2], last=3, best=3)
    assert names(tmp_path) == [
        "best-00001.safetensors",
        "best-00004.safetensors",
        "best.json",
        "best.safetensors",
        "last-00004.pt",
        "last-00005.pt",
        "last.pt",
    ]
    assert read_best(tmp_path / "best.safetensors").epoch == 3


def test_smaller_may_be_better(tmp_path: Path) -> None:
    trained(tmp_path, [0.5, 0.3, 0.9], direction="min")
    assert read_best(tmp_path / "best.safetensors").epoch == 2


def test_of_equals_the_first_is_best(tmp_path: Path) -> None:
    trained(tmp_path, [0.5, 0.5, 0.5])
    assert read_best(tmp_path / "best.safetensors").epoch == 1


@given(
    scores=st.lists(st.floats(-1, 1, allow_nan=False), min_size=1, max_size=12),
    best=st.integers(1, 4) | st.just("all"),
    last=st.integers(1, 3),
    flushes=st.data(),
)
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_right_ones_are_kept_whenever_they_are_written(
    tmp_path_factory: pytest.TempPathFactory,
    scores: list[float],
    best: int | str,
    last: int,
    flushes: Any,
) -> None:
    folder = tmp_path_factory.mktemp("run")
    kept: Kept = "all" if isinstance(best, str) else best
    made = Checkpoints(folder, keep_last=last, keep_best=kept)
    for epoch, score in enumerate(scores, start=1):
        made.offer(epoch, score, {}, lambda epoch=epoch: weights(epoch))
        if flushes.draw(st.booleans()):
            made.flush(epoch, lambda epoch=epoch: {"model": weights(epoch)})
            made = Checkpoints(folder, keep_last=last, keep_best=kept)  # a new attempt
            found = [read_best(file).epoch for file in folder.glob("best*.safetensors")]
            ranked = sorted(range(1, epoch + 1), key=lambda e: (-scores[e - 1], e))
            assert read_best(folder / "best.safetensors").epoch == ranked[0]
            assert sorted(scores[e - 1] for e in found) == sorted(
                scores[e - 1] for e in ranked[: kept_of(kept)]
            )
            assert len(list(folder.glob("last*.pt"))) <= last


def test_an_epoch_that_is_computed_again_takes_no_second_place(tmp_path: Path) -> None:
    trained(tmp_path, [0.1, 0.9, 0.5], best=2)
    again = Checkpoints(tmp_path, keep_last=1, keep_best=2)
    again.offer(2, 0.9, {}, lambda: weights(2))
    again.flush(2, None)
    assert sorted(read_best(f).epoch for f in tmp_path.glob("best*.safetensors")) == [2, 3]


def test_without_keep_last_the_state_goes_when_the_run_has_ended(tmp_path: Path) -> None:
    made = trained(tmp_path, [0.1, 0.2], last=0)
    assert (tmp_path / "last.pt").exists(), "while it runs it can be resumed"
    made.finish(2, lambda: {"model": weights(2)})
    assert names(tmp_path) == ["best.json", "best.safetensors"]


@pytest.mark.parametrize("broken", ["save_file", "torch.save", "replace"])
def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    made = trained(tmp_path, [0.1, 0.2])
    before = names(tmp_path)

    def full(*arguments: Any, **named: Any) -> None:
        for argument in arguments:
            if isinstance(argument, Path) and argument.name.startswith("."):
                argument.write_bytes(b"half")
        if broken == "replace":
            raise OSError(28, "No space left on device")
        raise RuntimeError("[enforce fail at inline_container.cc] PytorchStreamWriter failed")

    with monkeypatch.context() as patched:
        if broken == "save_file":
            patched.setattr(checkpoint, "save_file", full)
        elif broken == "torch.save":
            patched.setattr(torch, "save", full)
        else:
            patched.setattr(atomic.Path, "replace", full)
        made.offer(3, 0.9, {}, lambda: weights(3))
        with pytest.raises(DataError, match="cannot be written"):
            made.flush(3, lambda: {"model": weights(3)})
    assert names(tmp_path) == before, "no half-written file stays"
    best = read_best(tmp_path / "best.safetensors")
    assert torch.equal(
        load_weights(tmp_path / "best.safetensors")["weight"], torch.full((3,), float(best.epoch))
    )
    state = Checkpoints(tmp_path, keep_last=1, keep_best=1).load_last()
    assert state is not None
    assert state["epoch"] == 2


def test_half_written_files_of_a_killed_attempt_are_swept(tmp_path: Path) -> None:
    trained(tmp_path, [0.1])
    (tmp_path / ".last.pt.k2j3h4").write_bytes(b"half")
    Checkpoints(tmp_path, keep_last=1, keep_best=1)
    assert names(tmp_path) == ["best.json", "best.safetensors", "last.pt"]


def test_the_description_follows_the_weights_after_a_kill_between_them(tmp_path: Path) -> None:
    trained(tmp_path, [0.1, 0.9])
    (tmp_path / "best.json").write_text('{"epoch": 1, "score": 0.1, "metrics": {}}')
    Checkpoints(tmp_path, keep_last=1, keep_best=1).flush(2, None)
    assert json.loads((tmp_path / "best.json").read_text())["epoch"] == 2


@pytest.mark.parametrize("size", [0, 1, 100, 700, -1])
def test_a_state_that_is_not_whole_falls_back_to_the_one_before(tmp_path: Path, size: int) -> None:
    made = trained(tmp_path, [0.1, 0.2, 0.3], last=2)
    file = tmp_path / "last.pt"
    file.write_bytes(file.read_bytes()[:size] if size >= 0 else b"\xff" * 2000)
    state = made.load_last()
    assert state is not None
    assert state["epoch"] == 2
    (tmp_path / "last-00002.pt").unlink()
    assert made.load_last() is None, "from the beginning, then"


def test_a_broken_state_does_not_replace_a_whole_one(tmp_path: Path) -> None:
    made = trained(tmp_path, [0.1, 0.2], last=2)
    (tmp_path / "last.pt").write_bytes(b"broken")
    made.flush(3, lambda: {"model": weights(3)})
    assert [
        torch.load(tmp_path / f, weights_only=True)["epoch"] for f in ("last.pt", "last-00001.pt")
    ] == [3, 1]


def test_a_state_with_code_in_it_is_not_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (print, ("executed",))

    torch.save({"epoch": 1, "model": Evil()}, tmp_path / "last.pt")
    assert Checkpoints(tmp_path, keep_last=1, keep_best=1).load_last() is None


def test_weights_that_are_missing_or_broken_are_an_error_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not exist.*train this configuration again"):
        load_weights(tmp_path / "best.safetensors")
    (tmp_path / "best.safetensors").write_bytes(b"broken")
    with pytest.raises(DataError, match="cannot be read"):
        load_weights(tmp_path / "best.safetensors")
    with pytest.raises(DataError, match="not a Tunewright checkpoint"):
        read_best(tmp_path / "best.safetensors")


def described(folder: Path, name: str = "checkpoint_info") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return found


def test_the_metrics_of_every_checkpoint_stand_beside_it_and_in_one_list(tmp_path: Path) -> None:
    trained(tmp_path, [0.5, 0.3, 0.9, 0.7], last=2, best=2)
    info = described(tmp_path)
    assert (info["direction"], info["keep_last"], info["keep_best"]) == ("max", 2, 2)
    assert info["best"]["file"] == "best.safetensors"
    assert [(one["file"], one["epoch"]) for one in info["kept_best"]] == [
        ("best.safetensors", 3),
        ("best-00004.safetensors", 4),
    ]
    assert [(one["file"], one["epoch"]) for one in info["kept_last"]] == [
        ("last.pt", 4),
        ("last-00003.pt", 3),
    ]
    for one in (*info["kept_best"], *info["kept_last"]):
        beside = described(tmp_path, Path(one["file"]).stem)
        assert one == {"file": one["file"], **beside}
        assert beside["metrics"] == {"val_score": beside["score"]}
    stems = {file.stem for file in tmp_path.iterdir() if file.suffix != ".json"}
    assert {file.stem for file in tmp_path.glob("*.json")} == stems | {"checkpoint_info"}


@pytest.mark.parametrize("last", [0, 3, "all"])
@pytest.mark.parametrize("best", [0, 3, "all", 99])
@pytest.mark.parametrize("direction", ["max", "min"])
def test_sixty_epochs_that_improve_keep_the_newest(
    tmp_path: Path, last: Kept, best: Kept, direction: str
) -> None:
    """A rising PSNR keeps its last epochs, and a falling loss too."""
    sign = 1.0 if direction == "max" else -1.0
    scores = [20.0 + sign * epoch / 10 for epoch in range(60)]
    made = trained(tmp_path, scores, last=last, best=best, direction=direction)
    made.finish(60, lambda: {"model": weights(60)})
    info = described(tmp_path)
    assert info["best"]["epoch"] == 60
    assert described(tmp_path, "best")["epoch"] == 60
    epochs = [one["epoch"] for one in info["kept_best"]]
    assert epochs == list(range(60, 60 - min(kept_of(best), 60), -1))
    for one in info["kept_best"]:
        stored = load_weights(tmp_path / one["file"])["weight"]
        assert torch.equal(stored, weights(one["epoch"])["weight"])
    states = [one["epoch"] for one in info["kept_last"]]
    assert states == list(range(60, 60 - min(kept_of(last), 60), -1))
    assert (info["best"]["file"] is None) == (best == 0)
    again = Checkpoints(tmp_path, keep_last=last, keep_best=best, direction=direction)
    assert again.best is not None
    assert again.best.epoch == 60


def test_a_kill_after_the_former_best_got_its_own_name_costs_no_place(tmp_path: Path) -> None:
    trained(tmp_path, [0.9], best=2)
    (tmp_path / "best-00001.safetensors").hardlink_to(tmp_path / "best.safetensors")
    again = Checkpoints(tmp_path, keep_last=1, keep_best=2)
    again.offer(2, 0.5, {}, lambda: weights(2))
    again.flush(2, None)
    assert names(tmp_path) == ["best-00002.safetensors", "best.json", "best.safetensors", "last.pt"]


SAVING = """
import itertools, os, signal, sys, torch
from pathlib import Path
from tunewright.training.checkpoint import Checkpoints

torch.set_num_threads(1)
CALLS = ("replace", "hardlink_to", "unlink")

def train(folder, point):
    left = itertools.count(point, -1)

    def killing(real):
        def call(*args, **named):
            if next(left) == 0:
                half = Path(args[0]).parent / ".best.safetensors.half"
                half.write_bytes(b"half")
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **named)
        return call

    for name in CALLS:
        setattr(Path, name, killing(getattr(Path, name)))
    made = Checkpoints(folder, keep_last=2, keep_best=3, direction="max", metric="psnr")
    state = made.load_last()
    for epoch in range(state["epoch"] + 1 if state else 1, 31):
        weights = {"weight": torch.full((3,), float(epoch))}
        made.offer(epoch, 10.0 - abs(epoch - 20), {}, lambda: weights)
        made.flush(epoch, lambda: {"model": weights})

for point in range(0, 90):
    pid = os.fork()
    if pid == 0:
        train(Path(sys.argv[1]), point)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    print("whole" if status == 0 else "killed", flush=True)
    if status == 0:
        break
"""


def test_a_process_killed_at_any_moment_of_writing_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    """Each process is killed before a rename, a link or a removal, the next one a little later."""
    trains = [sys.executable, "-c", SAVING, str(tmp_path)]
    done = subprocess.run(trains, capture_output=True, text=True, check=True, timeout=120)
    ways = done.stdout.split()
    assert ways[-1] == "whole", done.stderr
    assert ways.count("killed") > 12
    info = described(tmp_path)
    assert [one["epoch"] for one in info["kept_best"]] == [20, 19, 21]
    assert [one["epoch"] for one in info["kept_last"]] == [30, 29]
    assert names(tmp_path) == [
        "best-00019.safetensors",
        "best-00021.safetensors",
        "best.json",
        "best.safetensors",
        "last-00029.pt",
        "last.pt",
    ]
