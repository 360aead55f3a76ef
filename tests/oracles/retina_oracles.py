"""Recompute retina.json without Tunewright: `python retina_oracles.py [--write]`.

The loss of a branch is open_clip's; AUROC, average precision and kappa are scikit-learn's. Without
--write the committed numbers are compared. Needs open_clip_torch 3.3.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip.loss import ClipLoss
from sklearn.metrics import average_precision_score, cohen_kappa_score, roc_auc_score

COMMITTED = Path(__file__).with_name("retina.json")
IMAGES = [[1, 0, 0], [0, 1, 0], [0.6, 0.8, 0], [0, 0, 1]]
TEXTS = [[0.8, 0.6, 0], [0, 1, 0], [0, 0.6, 0.8], [0.6, 0, 0.8]]
SCALES = ("90", "10", "14.285714285714286")
POSITIVE = [0, 1, 1, 0, 1, 0, 0, 1, 0, 0]
SCORES = [0.1, 0.4, 0.35, 0.8, 0.8, 0.2, 0.4, 0.9, 0.1, 0.3]
GRADES = [0, 1, 2, 3, 4, 4, 2, 0, 1, 3]
SAID = [0, 2, 2, 3, 1, 4, 2, 0, 0, 4]


def clip(scale: str) -> float:
    images, texts = (torch.tensor(rows, dtype=torch.float64) for rows in (IMAGES, TEXTS))
    return ClipLoss()(images, texts, torch.tensor(float(scale), dtype=torch.float64)).item()


def computed() -> dict[str, Any]:
    return {
        "clip_loss": {scale: clip(scale) for scale in SCALES},
        "positive": POSITIVE,
        "scores": SCORES,
        "auroc": float(roc_auc_score(POSITIVE, SCORES)),
        "aupr": float(average_precision_score(POSITIVE, SCORES)),
        "grades": GRADES,
        "said": SAID,
        "kappa": float(cohen_kappa_score(GRADES, SAID, weights="quadratic")),
    }


def main() -> None:
    found = computed()
    if "--write" in sys.argv:
        COMMITTED.write_text(json.dumps(found, indent=1) + "\n")
        return
    committed = json.loads(COMMITTED.read_text())
    assert found.keys() == committed.keys()
    for name, value in found.items():
        if isinstance(value, float):
            assert np.isclose(value, committed[name], rtol=1e-12), name
    for scale, value in found["clip_loss"].items():
        assert np.isclose(value, committed["clip_loss"][scale], rtol=1e-12), scale
    print("equal")


if __name__ == "__main__":
    main()
