"""What errors about files advise, followed by hand: the file is mended as it says and then read."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import tunewright
from tunewright.errors import TunewrightError
from tunewright.recipes.pairs.data.array_files import describe
from tunewright.recipes.pairs.data.pair_files import open_pairs, save_pairs

LR = "optim.lr: {type: float, low: 1e-5, high: 1e-2, log: true}"
WIDTH = "model.hidden_dim: {choices: [8, 16]}"
SPACES = {
    # The wrong part of a space, its right form, and what the remedy says.
    "a key": ("optim.lrr", "optim.lr", "Did you mean 'optim.lr'?"),
    "a type": ("type: flaot", "type: float", "Did you mean 'float'?"),
    "a field": ("hihg", "high", "Did you mean 'high'?"),
    "zero on a log scale": ("low: 0,", "low: 1e-6,", "Take a small low"),
    "a section": ("forbdi", "forbid", "Did you mean 'forbid'?"),
    "a list": ("- optim.lr", "optim.lr", "without a dash"),
    "a key of when": ("model.tpye", "model.type", "Did you mean 'model.type'?"),
    "a value of when": ("model.type: mpl", "model.type: mlp", "Correct its `when`"),
    "a key of forbid": ("model.hiden_dim", "model.hidden_dim", "Did you mean 'model.hidden_dim'?"),
    "no choice that fits": ("value > 20", "value > 9", "Add a choice that fits"),
    "a key of the study": ("prunr", "pruner", "Did you mean 'pruner'?"),
    "a derived key": ("model.outptu_dim", "model.output_dim", "Did you mean 'model.output_dim'?"),
    "a source of derived": (": model.hiden_dim", ": model.hidden_dim", "'model.hidden_dim'?"),
    "a setting": ("trails", "trials", "Did you mean 'study.trials'?"),
    "a step": ("setp", "step", "Did you mean 'step'?"),
    "choices": ("choice:", "choices:", "Did you mean 'choices'?"),
    "a sampler": ("gird", "grid", "Did you mean 'grid'?"),
    "a pruner": ("asah", "asha", "Did you mean 'asha'?"),
}
TEXTS = {
    "a key": "parameters: {optim.lrr: {choices: [1e-3, 1e-2]}}",
    "a type": "parameters: {optim.lr: {type: flaot, low: 1e-5, high: 1e-2}}",
    "a field": "parameters: {optim.lr: {type: float, low: 1e-5, hihg: 1e-2}}",
    "zero on a log scale": "parameters: {optim.lr: {type: float, low: 0, high: 1e-2, log: true}}",
    "a section": f"parameters: {{{WIDTH}}}\nforbdi: []",
    "a list": f"parameters:\n  - {LR}",
    "a key of when": "parameters:\n  model.type: {choices: [mlp, clip]}\n"
    "  model.hidden_dim: {choices: [8, 16], when: {model.tpye: mlp}}",
    "a value of when": "parameters:\n  model.type: {choices: [mlp, clip]}\n"
    "  model.hidden_dim: {choices: [8, 16], when: {model.type: mpl}}",
    "a key of forbid": f"parameters: {{{WIDTH}}}\nforbid: [{{model.hiden_dim: 8}}]",
    "no choice that fits": "parameters: {model.hidden_dim: {choices: [8, 16], fits: value > 20}}",
    "a key of the study": "study: {name: a, direction: maximize, metric: val_t2i_recall_1, "
    f"n_trials: 3, prunr: asha}}\nhyperparameters: {{{LR.replace('optim.', '')}}}",
    "a derived key": f"parameters: {{{WIDTH}}}\nderived: {{model.outptu_dim: model.hidden_dim}}",
    "a source of derived": f"parameters: {{{WIDTH}}}\n"
    "derived: {model.output_dim: model.hiden_dim}",
    "a setting": f"parameters: {{{WIDTH}}}\nsettings: {{study: {{trails: 3}}}}",
    "a step": "parameters: {model.hidden_dim: {type: int, low: 8, high: 16, setp: 8}}",
    "choices": "parameters: {model.hidden_dim: {choice: [8, 16]}}",
    "a sampler": f"parameters: {{{WIDTH}}}\nsettings: {{study: {{sampler: {{type: gird}}}}}}",
    "a pruner": f"parameters: {{{WIDTH}}}\nsettings: {{study: {{pruner: {{type: asah}}}}}}",
}


@pytest.mark.parametrize("case", SPACES)
def test_a_space_mended_as_advised_is_read(case, tmp_path):
    wrong, right, advice = SPACES[case]
    file = tmp_path / "space.yaml"
    file.write_text(TEXTS[case] + "\n", encoding="utf-8")
    with pytest.raises(TunewrightError) as refused:
        tunewright.space(str(file), recipe="pairs")
    assert advice in str(refused.value)
    assert "= ," not in str(refused.value)
    assert TEXTS[case].count(wrong) == 1
    file.write_text(TEXTS[case].replace(wrong, right) + "\n", encoding="utf-8")
    tunewright.space(str(file), recipe="pairs")


MATRIX = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
TENSOR = torch.from_numpy(MATRIX)
ARRAYS = {
    # The file, how it came about, what the remedy says, and what it leads to.
    "cut short": ("a.npy", lambda f: cut(f, np.save), "copy", lambda f: np.save(f, MATRIX)),
    "no array file": (
        "a.npy", lambda f: f.write_text("<html>"), "numpy.save", lambda f: np.save(f, MATRIX)
    ),
    "three axes": (
        "a.npy", lambda f: np.save(f, MATRIX[:, None]), "flatten the other axes",
        lambda f: np.save(f, MATRIX[:, None].reshape(12, -1)),
    ),
    "columns": (
        "a.npy", lambda f: np.save(f, np.asfortranarray(MATRIX)), "numpy.ascontiguousarray",
        lambda f: np.save(f, np.ascontiguousarray(np.asfortranarray(MATRIX))),
    ),
    "texts": (
        "a.npy", lambda f: np.save(f, MATRIX.astype(str)), "float32",
        lambda f: np.save(f, MATRIX.astype(str).astype(np.float32)),
    ),
    "something after it": (
        "a.npy", lambda f: (np.save(f, MATRIX), f.write_bytes(f.read_bytes() + b"x")),
        "save one array with numpy.save", lambda f: np.save(f, MATRIX),
    ),
    "two tensors": (
        "a.safetensors", lambda f: save_file({"a": MATRIX, "b": MATRIX}, f), "save_file",
        lambda f: save_file({"embeddings": MATRIX}, f),
    ),
    "no safetensors": (
        "a.safetensors", lambda f: f.write_bytes(b"x" * 99), "save_file",
        lambda f: save_file({"embeddings": MATRIX}, f),
    ),
    "a cut safetensors": (
        "a.safetensors", lambda f: cut(f, lambda p, m: save_file({"embeddings": m}, p)),
        "again", lambda f: save_file({"embeddings": MATRIX}, f),
    ),
    "a transposed tensor": (
        "a.pt", lambda f: torch.save(TENSOR.T, f), "contiguous().clone()",
        lambda f: torch.save(TENSOR.T.contiguous().clone(), f),
    ),
    "a strided tensor": (
        "a.pt", lambda f: torch.save(TENSOR[:, ::2], f), "contiguous().clone()",
        lambda f: torch.save(TENSOR[:, ::2].contiguous().clone(), f),
    ),
    "no torch file": (
        "a.pt", lambda f: f.write_bytes(b"x" * 99), "again", lambda f: torch.save(TENSOR, f)
    ),
    "integers of a torch file": (
        "a.pt", lambda f: torch.save(TENSOR.long(), f), "float32",
        lambda f: torch.save(TENSOR.long().float(), f),
    ),
}  # fmt: skip


def cut(file: Path, save) -> None:
    save(file, MATRIX)
    file.write_bytes(file.read_bytes()[:-9])


@pytest.mark.parametrize("case", ARRAYS)
def test_embeddings_saved_as_advised_are_read(case, tmp_path):
    name, damage, advice, mend = ARRAYS[case]
    file = tmp_path / name
    damage(file)
    with pytest.raises(TunewrightError) as refused:
        describe(file)
    assert advice.lower() in str(refused.value).lower()
    file.unlink()
    mend(file)
    assert describe(file).rows in (4, 12)


def drop(key: str):
    return lambda stored: stored.pop(key)


def put(key: str, value: object):
    return lambda stored: stored.update({key: value})


SETS = {
    "no ids": (drop("image_ids"), "image_ids", put("image_ids", [*range(12)])),
    "ids of two types": (
        put("image_ids", [*range(11), "x"]), "all text",
        put("image_ids", [*map(str, range(12))]),
    ),
    "long ids": (
        put("image_ids", [2**70 + n for n in range(12)]), "Write them as text",
        put("image_ids", [str(2**70 + n) for n in range(12)]),
    ),
    "ids of another set": (
        put("image_ids", [*range(9)]), "make them again together", put("image_ids", [*range(12)])
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SETS)
def test_a_set_of_pairs_mended_as_advised_is_read(case, tmp_path):
    damage, advice, mend = SETS[case]
    save_pairs(tmp_path, "t", MATRIX, MATRIX, {"image_ids": [*range(12)]})
    [file] = tmp_path.glob("*.json")

    def change(how) -> None:
        stored = json.loads(file.read_text())
        how(stored)
        file.write_text(json.dumps(stored))

    change(damage)
    with pytest.raises(TunewrightError) as refused:
        open_pairs(tmp_path, "t")
    assert advice in str(refused.value)
    change(mend)
    assert len(open_pairs(tmp_path, "t").ids) == 12


def test_other_files_of_a_set_mended_as_advised(tmp_path):
    save_pairs(tmp_path, "t", MATRIX, MATRIX, {"image_ids": [*range(12)]})
    [meta] = tmp_path.glob("*.json")
    whole = meta.read_text()
    meta.write_text(whole.replace("0", "NaN]", 1))
    with pytest.raises(TunewrightError, match="Copy the file again"):
        open_pairs(tmp_path, "t")
    meta.write_text(whole)
    twice = tmp_path / "t_image_embeddings.pt"
    torch.save(TENSOR, twice)
    with pytest.raises(TunewrightError, match="Delete or rename the one"):
        open_pairs(tmp_path, "t")
    twice.rename(tmp_path / "old.pt")
    [matrix] = tmp_path.glob("t_text_embeddings.*")
    matrix.rename(tmp_path / "u_text_embeddings.npy")
    with pytest.raises(TunewrightError, match=re.escape("`tunewright pairs embed`")):
        open_pairs(tmp_path, "t")
    save_pairs(tmp_path / "new", "t", MATRIX, MATRIX, {"image_ids": [*range(12)]})
    open_pairs(tmp_path / "new", "t")
