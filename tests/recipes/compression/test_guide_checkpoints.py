"""The guide's CheckpointManager, as typed there."""

import json
from itertools import product
from pathlib import Path

import pytest
import torch

from tunewright import CheckpointManager
from tunewright.config.schema import Kept, kept_of
from tunewright.errors import DataError, UsageError


def saved(manager: CheckpointManager, values: list[float]) -> CheckpointManager:
    for epoch, value in enumerate(values):
        manager.save_checkpoint(
            epoch=epoch,
            model_state={"weight": torch.full((2,), float(epoch))},
            optimizer_state={"step": epoch},
            metric_value=value,
            additional_info={"bpp": 0.5},
        )
    return manager


def test_the_guides_lines_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_path = tmp_path / "checkpoints"
    checkpoint_manager = CheckpointManager(
        save_dir=save_path,
        keep_last_n=3,  # Reduce from 5
        keep_best=3,  # Reduce from 5
    )
    saved(checkpoint_manager, [1.0, 0.8, 0.9, 0.7, 0.75, 0.6, 0.65, 0.5, 0.95])
    info = json.loads((save_path / "checkpoint_info.json").read_text())
    assert (info["metric"], info["direction"]) == ("loss", "min")
    assert [one["epoch"] for one in info["kept_best"]] == [7, 5, 6]
    assert [one["epoch"] for one in info["kept_last"]] == [8, 7, 6]
    assert info["best"]["metrics"] == {"loss": 0.5, "bpp": 0.5}
    assert checkpoint_manager.get_best_metric() == 0.5
    best = checkpoint_manager.load_best_checkpoint()
    assert (best["epoch"], best["model_state_dict"]["weight"].tolist()) == (7, [7.0, 7.0])
    latest = checkpoint_manager.load_latest_checkpoint()
    assert latest is not None
    assert (latest["epoch"], latest["optimizer_state_dict"]) == (8, {"step": 8})
    checkpoint_manager.list_checkpoints()
    printed = capsys.readouterr().out
    assert "Epoch    7: loss=0.5000  best.safetensors  [BEST]" in printed


def test_the_direction_is_that_of_the_metric(tmp_path: Path) -> None:
    rising = [20.0 + epoch for epoch in range(60)]
    saved(CheckpointManager(tmp_path, 3, 3, metric_name="val_psnr"), rising)
    info = json.loads((tmp_path / "checkpoint_info.json").read_text())
    assert [one["epoch"] for one in info["kept_best"]] == [59, 58, 57]
    with pytest.raises(UsageError, match=r"'sharpness' without mode.*which values"):
        CheckpointManager(tmp_path, metric_name="sharpness")
    assert CheckpointManager(tmp_path, metric_name="sharpness", mode="max").mode == "max"


def test_every_pair_of_counts_has_the_right_best(tmp_path: Path) -> None:
    counts: tuple[Kept, ...] = (0, 2, "all", 50)
    for number, (last, best) in enumerate(product(counts, counts)):
        folder = tmp_path / str(number)
        manager = CheckpointManager(folder, last, best, metric_name="psnr")
        saved(manager, [3.0, 1.0, 5.0, 4.0])
        manager = CheckpointManager(folder, last, best, metric_name="psnr")  # a new process
        assert manager.get_best_metric() == 5.0
        if best == 0:
            with pytest.raises(DataError, match=r"no weights are kept .*best epoch was 2"):
                manager.load_best_checkpoint()
        else:
            assert manager.load_best_checkpoint()["epoch"] == 2
        assert len(list(folder.glob("best*.safetensors"))) == min(kept_of(best), 4)
        latest = manager.load_latest_checkpoint()
        assert (None if latest is None else latest["epoch"]) == (None if last == 0 else 3)
        assert len(list(folder.glob("last*.pt"))) == min(kept_of(last), 4)


def test_a_script_that_goes_on_keeps_what_an_unbroken_one_keeps(tmp_path: Path) -> None:
    values = [1.0, 0.2, 0.9, 0.7, 0.75, 0.6]
    saved(CheckpointManager(tmp_path / "whole", 2, 2), values)
    for epoch, value in enumerate(values):  # a new process for each epoch
        CheckpointManager(tmp_path / "parts", 2, 2).save_checkpoint(
            epoch, {"weight": torch.full((2,), float(epoch))}, {"step": epoch}, value, {"bpp": 0.5}
        )
    whole, parts = (
        {file.name: file.read_text() for file in (tmp_path / name).glob("*.json")}
        for name in ("whole", "parts")
    )
    assert whole == parts


def test_bad_values_are_refused(tmp_path: Path) -> None:
    for wrong in (-1, True, 1.5, "some"):
        with pytest.raises(UsageError, match="keep_best ="):
            CheckpointManager(tmp_path, keep_best=wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="mode = 'up'"):
        CheckpointManager(tmp_path, mode="up")  # type: ignore[arg-type]
    manager = CheckpointManager(tmp_path)
    for value in (float("nan"), float("inf")):
        with pytest.raises(DataError, match=r"loss is .* after epoch 0"):
            saved(manager, [value])
    with pytest.raises(UsageError, match="additional_info with epoch"):
        manager.save_checkpoint(0, {}, {}, 1.0, {"epoch": 3})
    with pytest.raises(DataError, match="holds no checkpoint yet"):
        manager.load_best_checkpoint()
