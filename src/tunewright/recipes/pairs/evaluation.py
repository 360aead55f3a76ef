"""Evaluate a trained pair of heads: metrics, baselines, curves and a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tunewright.analysis.score_intervals import interval_methods, wilson_notes
from tunewright.config.check import validate
from tunewright.contrastive.retrieval import (
    RetrievalRanks,
    bootstrap_difference,
    bootstrap_interval,
    other_averages,
    retrieval_ranks,
    scores_of_ranks,
)
from tunewright.errors import ConfigError
from tunewright.recipes.pairs.baselines import LinearMap, ValidationPairs, best_ridge, procrustes
from tunewright.recipes.pairs.config import PairsConfig
from tunewright.recipes.pairs.data.datasets import PairSets, open_sets
from tunewright.recipes.pairs.data.groups import indistinct_texts, text_numbers
from tunewright.recipes.pairs.data.pair_files import PairSet
from tunewright.recipes.pairs.gallery import draw_retrieval
from tunewright.recipes.pairs.setup import PairTask, evaluation_batches, make_model
from tunewright.reports.figures import write_curves
from tunewright.runs.atomic import write_json
from tunewright.runs.ending import Ending, ending_of
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.training.checkpoint import load_weights
from tunewright.training.device import default_device

PANELS = {
    "loss": ["train_loss"],
    "recall on the validation set": ["val_i2t_r1", "val_t2i_r1", "val_i2t_r10", "val_t2i_r10"],
    "temperature": ["train_temperature"],
}
ALIKE = 1.1
"""Galleries whose sizes differ by at most this ratio count as equally hard."""
BASELINE_ROWS = 100_000
"""Rows that the linear maps are fitted on; more change their recall little but cost minutes."""


def evaluate(path: Path, split: str | None = None) -> dict[str, Any]:
    """Evaluate the run in `path` on a split (default: test if there is one) and write the results.

    Writes `evaluation.json`, `curves.html` and, if the pictures are known, `retrieval.png`. For an
    explicit split other than test the names are `evaluation-train.json` and so on. Returns the
    content of the JSON with the names of the files. Recalls are fractions; intervals are 95 %
    bootstrap intervals by image, or Wilson intervals where all images score alike.
    """
    folder = RunFolder(path)
    config = validate(folder.read_config(), PairsConfig)
    sets = open_sets(config.data)
    chosen, name = _select_split(sets, split)
    model = make_model(config, sets)
    model.load_state_dict(load_weights(folder.checkpoints / "best.safetensors"))
    device = default_device()
    model.to(device).eval()
    metrics = PairTask().metrics()
    passed = []
    with torch.no_grad():
        for batch in evaluation_batches(sets, chosen, config, device).epoch(0):
            arrays = PairTask().predict(model, batch)
            metrics.update(arrays)
            passed.append(arrays)
    ranks = metrics.ranks()
    scores = _scores(ranks)
    baselines = _baselines(sets, chosen, config)
    intervals = {f"recall_{k}": _interval(ranks, k) for k in (1, 10)}
    means = {f"recall_{k}": (scores[f"i2t_r{k}"] + scores[f"t2i_r{k}"]) / 2 for k in (1, 10)}
    result: dict[str, Any] = {
        "split": name,
        "pairs": chosen.rows,
        "metrics": scores,
        **{f"{metric}_interval": list(ends) for metric, ends in intervals.items()},
        "interval_methods": interval_methods(means, intervals),
        "baselines": {name: _scores(found) for name, found in baselines.items()},
        "recall_1_above_ridge_interval": list(bootstrap_difference(ranks, baselines["ridge"])),
        "temperature": float(model.criterion.temperature),
    }
    result["notes"] = [
        *_count_notes(chosen, result),
        *_other_galleries(sets.valid, config, result),
        *ridge_notes(result, ending_of(folder)),
    ]
    main = split is None or name == "test"  # other splits must not overwrite the test's files
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


def _select_split(sets: PairSets, split: str | None) -> tuple[PairSet, str]:
    if split is None:
        return (sets.test, "test") if sets.test is not None else (sets.valid, "valid")
    found = {"train": sets.train, "valid": sets.valid, "val": sets.valid, "test": sets.test}
    chosen = found.get(split)
    if chosen is None:
        there = ", ".join(name for name, pairs in found.items() if pairs is not None)
        raise ConfigError(f"split {split!r}", expected=f"one of {there}")
    return chosen, split


def _scores(ranks: RetrievalRanks) -> dict[str, float]:
    """Return scores averaged as in the literature, and the other averages where they may differ."""
    return scores_of_ranks(ranks) | other_averages(ranks)


def _interval(ranks: RetrievalRanks, k: int) -> tuple[float, float]:
    return bootstrap_interval(ranks.i2t, ranks.t2i, ranks.image_of_text, k=k)


def _baselines(sets: PairSets, chosen: PairSet, config: PairsConfig) -> dict[str, RetrievalRanks]:
    """Return the ranks that closed-form linear maps reach on the same split."""
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
            ValidationPairs(
                valid.images[:5000].float(),
                valid.texts[:5000].float(),
                valid.ids[:5000, 0],
                valid.ids[:5000, 1],
            ),
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


def _count_notes(chosen: PairSet, result: Mapping[str, Any]) -> list[str]:
    """Return notes on what was averaged, where texts or images occur on several rows."""
    metrics = result["metrics"]
    images, texts = int(metrics["t2i_gallery"]), int(metrics["i2t_gallery"])
    notes = []
    if texts < chosen.rows:
        by = "captions (case and spaces aside)" if "texts" in chosen.metadata else "embeddings"
        notes.append(f"{texts:,} distinct texts on {chosen.rows:,} caption rows, by their {by}")
    if (tied := indistinct_texts(chosen)) > 0:
        notes.append(
            f"{tied:,} texts have the same embedding as another text: no model can tell them "
            "apart, and each tie counts as a miss"
        )
    averages = (
        ("text-to-image", "t2i_r1", f"{chosen.rows:,} caption rows"),
        ("image-to-text", "i2t_r1", f"{images:,} images"),
    )
    others = (("t2i_by_text_r1", f"{texts:,} distinct texts"), ("i2t_by_row_r1", "caption rows"))
    for (way, name, unit), (other, other_unit) in zip(averages, others, strict=True):
        if other in metrics:
            notes.append(
                f"{way} R@1 is {metrics[name]:.4f} over the {unit}, as on COCO and Flickr30k, "
                f"and {metrics[other]:.4f} over the {other_unit}"
            )
    return notes


def _other_galleries(valid: PairSet, config: PairsConfig, result: Mapping[str, Any]) -> list[str]:
    """Return a note if the validation set, which chose the weights, has another gallery size."""
    texts = len(np.unique(text_numbers(valid))) if config.data.texts_repeat else valid.rows
    there = {"images": len(np.unique(valid.ids)), "texts": texts}
    metrics = result["metrics"]
    here = {"images": int(metrics["t2i_gallery"]), "texts": int(metrics["i2t_gallery"])}
    ratios = [max(here[name], there[name]) / min(here[name], there[name]) for name in here]
    if max(ratios) <= ALIKE:
        return []
    return [
        f"ranked among {here['images']:,} images and {here['texts']:,} texts, in the validation "
        f"set among {there['images']:,} and {there['texts']:,}: recalls over galleries of "
        "different sizes are not comparable"
    ]


def ridge_notes(result: Mapping[str, Any], ending: Ending | None) -> list[str]:
    """Return notes that compare the heads with a linear map, with advice if they are worse."""
    ridge = result["baselines"]["ridge"]["recall_1"]
    low, high = result["recall_1_above_ridge_interval"]
    above = f"R@1 {result['metrics']['recall_1'] - ridge:+.3f} ({low:+.3f} to {high:+.3f}, paired)"
    if high < 0:
        advice = "train longer, or on more data" if ending is None else ending.advice
        note = f"worse than ridge, a linear map: {above}; {advice}"
    elif low <= 0:
        note = f"not distinguishable from ridge, a linear map: {above}"
    else:
        note = f"better than ridge, a linear map: {above}"
    return [note, *wilson_notes(result["interval_methods"])]
