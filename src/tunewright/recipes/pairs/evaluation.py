"""What a trained pair of heads is worth: metrics, baselines, curves and a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tunewright.config.check import checked
from tunewright.errors import ConfigError
from tunewright.parts.linear_maps import LinearMap, best_ridge, procrustes
from tunewright.parts.retrieval import (
    RetrievalRanks,
    bootstrap_difference,
    bootstrap_interval,
    retrieval_ranks,
    scores_of_ranks,
)
from tunewright.parts.score_intervals import interval_methods, wilson_notes
from tunewright.recipes.pairs.config import PairsConfig
from tunewright.recipes.pairs.files import PairSet
from tunewright.recipes.pairs.gallery import draw_retrieval
from tunewright.recipes.pairs.sets import PairSets, open_sets
from tunewright.recipes.pairs.setup import PairTask, evaluation_batches, make_model
from tunewright.report.figures import write_curves
from tunewright.runs.atomic import write_json
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.training.checkpoint import load_weights

PANELS = {
    "loss": ["train_loss"],
    "recall on the validation set": ["val_i2t_r1", "val_t2i_r1", "val_i2t_r10", "val_t2i_r10"],
    "temperature": ["train_temperature"],
}
BASELINE_ROWS = 100_000
"""Rows that the linear maps are fitted on: more change their recall little, and cost minutes."""


def evaluate(path: Path, split: str | None = None) -> dict[str, Any]:
    """Measure the run in `path` on a split (default: test if there is one) and write the files.

    Writes `evaluation.json`, `curves.html` and, when the pictures are known, `retrieval.png`; for
    a split other than test that is asked for, `evaluation-train.json` and so on;
    returns the content of the JSON with the files' names. Recalls are fractions; intervals are
    95 % bootstrap by image, or Wilson's where all images fare alike.
    """
    folder = RunFolder(path)
    config = checked(folder.read_config(), PairsConfig)
    sets = open_sets(config.data)
    chosen, name = _chosen(sets, split)
    model = make_model(config, sets)
    model.load_state_dict(load_weights(folder.checkpoints / "best.safetensors"))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).eval()
    metrics = PairTask().metrics()
    passed = []
    with torch.no_grad():
        for batch in evaluation_batches(sets, chosen, config, device).epoch(0):
            arrays = PairTask().predict(model, batch)
            metrics.update(arrays)
            passed.append(arrays)
    ranks = metrics.ranks()
    scores = scores_of_ranks(ranks)
    baselines = _baselines(sets, chosen, config)
    intervals = {f"recall_{k}": _interval(ranks, k) for k in (1, 10)}
    means = {f"recall_{k}": (scores[f"i2t_r{k}"] + scores[f"t2i_r{k}"]) / 2 for k in (1, 10)}
    result: dict[str, Any] = {
        "split": name,
        "pairs": chosen.rows,
        "metrics": scores,
        **{f"{metric}_interval": list(ends) for metric, ends in intervals.items()},
        "interval_methods": interval_methods(means, intervals),
        "baselines": {name: scores_of_ranks(found) for name, found in baselines.items()},
        "recall_1_above_ridge_interval": list(bootstrap_difference(ranks, baselines["ridge"])),
        "temperature": float(model.criterion.temperature),
    }
    result["notes"] = _notes(result)
    main = split is None or name == "test"  # other splits leave the test's figures alone
    suffix = "" if main else f"-{'valid' if name == 'val' else name}"
    files = [folder.path / f"evaluation{suffix}.json", folder.path / "curves.html"]
    write_curves(read_progress(folder.progress), PANELS, files[1])
    images, texts, ids = (
        torch.cat([arrays[name] for arrays in passed]).cpu() for name in ("images", "texts", "ids")
    )
    picture = folder.path / f"retrieval{suffix}.png"
    if draw_retrieval(chosen, images, texts, ids, picture):
        files.append(picture)
    result["files"] = [file.name for file in files]
    write_json(files[0], result)
    return result


def _chosen(sets: PairSets, split: str | None) -> tuple[PairSet, str]:
    if split is None:
        return (sets.test, "test") if sets.test is not None else (sets.valid, "valid")
    found = {"train": sets.train, "valid": sets.valid, "val": sets.valid, "test": sets.test}
    chosen = found.get(split)
    if chosen is None:
        there = ", ".join(name for name, pairs in found.items() if pairs is not None)
        raise ConfigError(f"split {split!r}", expected=f"one of {there}")
    return chosen, split


def _interval(ranks: RetrievalRanks, k: int) -> tuple[float, float]:
    return bootstrap_interval(ranks.i2t, ranks.t2i, ranks.image_of_text, k=k)


def _baselines(sets: PairSets, chosen: PairSet, config: PairsConfig) -> dict[str, RetrievalRanks]:
    """What maps without any training by gradients find on the same split."""
    cpu = torch.device("cpu")
    train = evaluation_batches(sets, sets.train, config, cpu)
    valid = evaluation_batches(sets, sets.valid, config, cpu)
    images, texts, ids = _whole(evaluation_batches(sets, chosen, config, cpu))
    seen = slice(0, BASELINE_ROWS)
    maps: dict[str, LinearMap] = {
        "procrustes": procrustes(train.images[seen], train.texts[seen]),
        "ridge": best_ridge(
            train.images[seen],
            train.texts[seen],
            valid.images[:5000].float(),
            valid.texts[:5000].float(),
            valid.ids[:5000, 0],
        )[0],
    }
    return {
        name: retrieval_ranks(
            linear.images(images), linear.texts(texts), ids[:, 0], text_ids=ids[:, 1]
        )
        for name, linear in maps.items()
    }


def _whole(batches: Any) -> tuple[Tensor, Tensor, Tensor]:
    parts = list(batches.epoch(0))
    images, texts, ids = (torch.cat([part[i] for part in parts]) for i in range(3))
    return images, texts, ids


def _notes(result: Mapping[str, Any]) -> list[str]:
    """What a reader of the figures must know."""
    ridge = result["baselines"]["ridge"]["recall_1"]
    low, high = result["recall_1_above_ridge_interval"]
    above = f"R@1 {result['metrics']['recall_1'] - ridge:+.3f} ({low:+.3f} to {high:+.3f}, paired)"
    if high < 0:
        said = f"worse than ridge, a linear map: {above}; train longer, or on more data"
    elif low <= 0:
        said = f"not distinguishable from ridge, a linear map: {above}"
    else:
        said = f"better than ridge, a linear map: {above}"
    return [said, *wilson_notes(result["interval_methods"])]
