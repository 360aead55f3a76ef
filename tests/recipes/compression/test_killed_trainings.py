"""Sixty epochs by the command line, killed while checkpoints are written, and typed again."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.training.checkpoint import load_weights, read_best

pytestmark = pytest.mark.slow
EPOCHS, KEPT = 60, 3
WEIGHTS, STATE = r"\.(tmp|best.*\.safetensors\.)", r"\.last\.pt\."
KILLS = ((4, WEIGHTS), (20, STATE), (36, STATE))
"""After how many epochs, and while which file is written; safetensors has names of its own."""


class Training:
    """`tunewright train compression` as a user types it, again and again."""

    def __init__(self, place: Path, name: str) -> None:
        self.folder = RunFolder(place / "runs" / name)
        self.said = place / f"{name}.txt"
        self.words = (
            *("train", "compression", "data.dir=photos", "data.val_split=0.25", "data.crop=64"),
            *("model=hyperprior", "model.channels=32", "model.latent=48", "balance=famo"),
            *("data.crops_per_photo=2", "training.batch_size=6", "optim.lr=2e-3"),
            *("training.checkpoint_seconds=0", "--epochs", str(EPOCHS), "--keep_last_n", str(KEPT)),
            *("--keep_best", str(KEPT), "--name", name),
        )

    def start(self) -> psutil.Process:
        command = [sys.executable, "-m", "tunewright", *self.words]
        with self.said.open("a") as said:
            return psutil.Popen(
                command, cwd=self.said.parent, stdout=said, stderr=subprocess.STDOUT
            )

    def end(self) -> None:
        assert self.start().wait(timeout=300) == 0, self.said.read_text()

    @property
    def losses(self) -> list[float]:
        progress = self.folder.progress
        return [r.metrics["val_loss"] for r in read_progress(progress)] if progress.exists() else []

    def half_written(self, pattern: str) -> dict[str, int]:
        """Return the bytes of files that are being written; not of one that was only made."""
        sizes = {}
        for file in self.folder.checkpoints.glob(".*"):
            if re.match(pattern, file.name):
                with suppress(FileNotFoundError):  # it got its name
                    sizes[file.name] = file.stat().st_size
        return {name: size for name, size in sizes.items() if size}

    def kill_while_writing(self, pattern: str, *, after: int) -> dict[str, int]:
        """Kill all of the command's processes while a file is half written; return its bytes.

        What is half written has a name of its own, with a dot before it.
        """
        command = self.start()
        deadline = time.monotonic() + 300
        while len(self.losses) < after:
            assert time.monotonic() < deadline, self.said.read_text()
            assert command.poll() is None, self.said.read_text()
            time.sleep(0.01)
        tree = [*command.children(recursive=True), command]
        best = self.folder.checkpoints / "best.safetensors"
        while command.poll() is None and time.monotonic() < deadline:
            if not self.half_written(pattern):
                assert best.exists(), "the best weights were deleted"
                time.sleep(0.0001)
                continue
            for process in tree:
                process.suspend()
            if half := self.half_written(pattern):
                for process in tree:
                    process.kill()
                psutil.wait_procs(tree, timeout=60)
                return half
            for process in tree:  # it was renamed in between: wait for the next one
                process.resume()
        raise AssertionError(f"never caught {pattern}: {self.said.read_text()}")


def draw(folder: Path) -> None:
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(4):
        coarse = Image.fromarray(random.integers(0, 256, (8, 10, 3), dtype=np.uint8))
        coarse.resize((100, 80), Image.Resampling.BICUBIC).save(folder / f"{number}.png")


def described(folder: Path, stem: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{stem}.json").read_text())
    return found


def without_seconds(state: dict[str, Any]) -> dict[str, Any]:
    state["standing"].pop("seconds")
    return state


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def test_killed_while_writing_checkpoints_it_keeps_what_an_unbroken_run_keeps(
    tmp_path: Path,
) -> None:
    draw(tmp_path / "photos")
    whole, killed = Training(tmp_path, "whole"), Training(tmp_path, "killed")
    whole.end()
    checkpoints = killed.folder.checkpoints
    for after, pattern in KILLS:
        half = killed.kill_while_writing(pattern, after=after)
        print(f"killed after epoch {len(killed.losses)} with bytes written: {half}")
        done = torch.load(checkpoints / "last.pt", weights_only=True)["epoch"]
        best = read_best(checkpoints / "best.safetensors")
        assert after - 1 <= done < EPOCHS
        assert best.score <= min(killed.losses[:done])
    killed.end()

    losses = killed.losses
    assert losses == whole.losses
    assert len(losses) == EPOCHS
    true_best = sorted(range(1, EPOCHS + 1), key=lambda epoch: losses[epoch - 1])[:KEPT]
    last = [EPOCHS - back for back in range(KEPT)]
    info = described(checkpoints, "checkpoint_info")
    assert [one["epoch"] for one in info["kept_best"]] == true_best
    assert [one["epoch"] for one in info["kept_last"]] == last
    names = {"best.safetensors", *(f"best-{epoch:05d}.safetensors" for epoch in true_best[1:])}
    names |= {"last.pt", *(f"last-{epoch:05d}.pt" for epoch in last[1:])}
    stems = {name.partition(".")[0] for name in names}
    beside = {f"{stem}.json" for stem in (*stems, "checkpoint_info")}
    assert {file.name for file in checkpoints.iterdir()} == names | beside
    for one in (*info["kept_best"], *info["kept_last"]):
        assert described(checkpoints, Path(one["file"]).stem) == {
            key: value for key, value in one.items() if key != "file"
        }
        assert one["metrics"]["val_loss"] == losses[one["epoch"] - 1]

    for name in names:
        pair = [training.folder.checkpoints / name for training in (whole, killed)]
        if name.endswith(".pt"):
            one, other = (without_seconds(torch.load(f, weights_only=True)) for f in pair)
        else:
            one, other = (load_weights(file) for file in pair)
        assert equal(one, other), name
