"""Tensors through safetensors or `weights_only`; nothing else is unpickled."""

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tunewright.errors import DataError
from tunewright.training.weights.weights_file import read_weights, weights_fault

STATE = {"a": torch.arange(3.0), "b": torch.ones(2, 2, dtype=torch.bfloat16)}


class Attack:
    """What a hostile file would run."""

    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize(
    "stored",
    [
        STATE,
        OrderedDict(STATE),
        {name: nn.Parameter(tensor) for name, tensor in STATE.items()},
        {"optimizer": {"state": {0: {"m": torch.ones(1)}}}, "model": STATE, "lr": 0.1},
        {"ema": {"a": torch.zeros(3)}, "state_dict": STATE},
        {"ours": STATE, "small": {"c": torch.zeros(1)}},
        nn.Linear(2, 2).state_dict(),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_state_dicts_of_both_formats(tmp_path, stored, zipped):
    file = tmp_path / "w.pth"
    torch.save(stored, file, _use_new_zipfile_serialization=zipped)
    assert weights_fault(file) == ""
    found, notices = read_weights(file)
    bare = all(isinstance(value, torch.Tensor) for value in stored.values())
    wanted = stored if bare else STATE
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor)
    assert bool(notices) != bare


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (nn.Linear(2, 2), "not tensors only"),
        ({"state_dict": STATE, "best": np.float64(1)}, "not tensors only"),
        ({"state_dict": STATE, "by": Attack()}, "not tensors only"),
        (torch.ones(3), "without names"),
        ([torch.ones(3)], "without names"),
        ({"epoch": 3}, "no tensor"),
    ],
)
def test_anything_else_is_refused_and_nothing_runs(tmp_path, monkeypatch, stored, said):
    monkeypatch.chdir(tmp_path)
    for zipped in (True, False):
        torch.save(stored, "w.pth", _use_new_zipfile_serialization=zipped)
        assert said in weights_fault(Path("w.pth"))
        with pytest.raises(DataError, match="expected tensors only"):
            read_weights(Path("w.pth"))
    assert not Path("ran").exists()


def test_other_files_and_damaged_ones_are_one_sentence(tmp_path):
    whole = io.BytesIO()
    torch.save(STATE, whole)
    file = tmp_path / "w.pth"
    for content in (
        b"",
        b"text",
        pickle.dumps(Attack()),
        pickle.dumps(Attack(), protocol=0),
        whole.getvalue()[:-30],
        whole.getvalue()[:200],
    ):
        file.write_bytes(content)
        assert weights_fault(file)
        with pytest.raises(DataError):
            read_weights(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "")
    assert "zip" in weights_fault(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("w/constants.pkl", "")
        archive.writestr("w/data.pkl", "")
    assert "TorchScript" in weights_fault(file)
    assert "directory" in weights_fault(tmp_path)


def test_a_header_that_looks_like_a_pickle_is_safetensors(tmp_path):
    for length in range(40, 400, 7):
        save_file({"a" * length: torch.ones(1)}, tmp_path / "w.safetensors")
        assert weights_fault(tmp_path / "w.safetensors") == ""
