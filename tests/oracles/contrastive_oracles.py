"""Recompute contrastive.json without Tunewright: `python contrastive_oracles.py [--write]`.

What open_clip and torchmetrics define is taken from them; what they do not (several positives, the
queue, ranks with pessimistic ties) is written out entry by entry in plain Python. Without --write
the committed numbers are compared. Needs open_clip_torch 3.3 and torchmetrics 1.9.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import torch
from open_clip.loss import ClipLoss, SigLipLoss
from torchmetrics.functional.retrieval import retrieval_hit_rate, retrieval_reciprocal_rank

COMMITTED = Path(__file__).with_name("contrastive.json")

INPUTS: dict[str, Any] = {
    "images": [[1, 0, 0], [0, 1, 0], [0.6, 0.8, 0], [0, 0, 1]],
    "texts": [[0.8, 0.6, 0], [0, 1, 0], [0, 0.6, 0.8], [0.6, 0, 0.8]],
    "diagonal_ids": [0, 1, 2, 3],
    "multi_ids": [0, 0, 1, 2],
    "queue": [[0, 0, 1], [0.6, 0.8, 0], [1, 0, 0]],
    "queue_ids": [2, 9, 0],
}
SIMILARITY = [[sum(a * b for a, b in zip(x, y, strict=True)) for y in INPUTS["texts"]]
              for x in INPUTS["images"]]  # fmt: skip
DIAGONAL, MULTI = INPUTS["diagonal_ids"], INPUTS["multi_ids"]
ITEMS = range(len(MULTI))


def clip(temperature: float) -> float:
    images, texts = (torch.tensor(INPUTS[k], dtype=torch.float64) for k in ("images", "texts"))
    return ClipLoss()(images, texts, torch.tensor(1 / temperature, dtype=torch.float64)).item()


def siglip(scale: float, bias: float) -> float:
    images, texts = (torch.tensor(INPUTS[k], dtype=torch.float64) for k in ("images", "texts"))
    logits = (torch.tensor(value, dtype=torch.float64) for value in (scale, bias))
    return SigLipLoss()(images, texts, *logits).item()


def log_sum_exp(values: list[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values))


def softmax_multi(temperature: float) -> float:
    logits = [[s / temperature for s in row] for row in SIMILARITY]
    total = 0.0
    for table in (logits, [list(column) for column in zip(*logits, strict=True)]):
        for i in ITEMS:
            positives = [table[i][j] for j in ITEMS if MULTI[j] == MULTI[i]]
            total += log_sum_exp(table[i]) - sum(positives) / len(positives)
    return total / 2 / len(ITEMS)


def sigmoid(scale: float, bias: float, ids: list[int]) -> float:
    total = 0.0
    for i in ITEMS:
        for j in ITEMS:
            sign = 1 if ids[i] == ids[j] else -1
            total += math.log1p(math.exp(-sign * (scale * SIMILARITY[i][j] + bias)))
    return total / len(ITEMS)


def queue(temperature: float, ids: list[int], *, filled: bool, mask_batch: bool) -> float:
    total = 0.0
    for i, image in enumerate(INPUTS["images"]):
        rivals = [
            SIMILARITY[i][j]
            for j in ITEMS
            if j == i or not (mask_batch and ids[j] == ids[i])
        ]  # fmt: skip
        if filled:
            for text, text_id in zip(INPUTS["queue"], INPUTS["queue_ids"], strict=True):
                if text_id != ids[i]:
                    rivals.append(sum(a * b for a, b in zip(image, text, strict=True)))
        total += log_sum_exp([r / temperature for r in rivals]) - SIMILARITY[i][i] / temperature
    return total / len(ITEMS)


def ranks(table: list[list[float]]) -> list[int]:
    return [1 + sum(table[i][j] >= table[i][i] for j in ITEMS if j != i) for i in ITEMS]


def without_ties(function: Any) -> float:
    target = torch.eye(len(ITEMS), dtype=torch.bool)
    rows = zip(torch.tensor(SIMILARITY, dtype=torch.float64), target, strict=True)
    return sum(function(row, wanted).item() for row, wanted in rows) / len(ITEMS)


def values() -> dict[str, Any]:
    transposed = [list(column) for column in zip(*SIMILARITY, strict=True)]
    return {
        "softmax_diagonal": {str(t): clip(t) for t in (0.07, 0.1, 0.01)},
        "softmax_multi": {str(t): softmax_multi(t) for t in (0.07, 0.1)},
        "sigmoid_t10_diagonal": siglip(10, -10),
        "sigmoid_t10_multi": sigmoid(10, -10, MULTI),
        "sigmoid_t1_no_bias_diagonal": siglip(1, 0),
        "mean_bce_t10_no_bias_multi": sigmoid(10, 0, MULTI) / len(ITEMS),
        "queue_empty": queue(0.07, DIAGONAL, filled=False, mask_batch=True),
        "queue_unmasked": queue(0.07, MULTI, filled=True, mask_batch=False),
        "queue_masked": queue(0.07, MULTI, filled=True, mask_batch=True),
        "i2t_ranks": ranks(SIMILARITY),
        "t2i_ranks": ranks(transposed),
        "i2t_mrr": without_ties(retrieval_reciprocal_rank),
        "i2t_hit_1": without_ties(lambda row, wanted: retrieval_hit_rate(row, wanted, top_k=1)),
    }


def main() -> int:
    found = {"inputs": INPUTS, "values": values()}
    if "--write" in sys.argv[1:]:
        COMMITTED.write_text(json.dumps(found, indent=2) + "\n")
        return 0
    committed = json.loads(COMMITTED.read_text())["values"]
    wrong = [name for name, value in found["values"].items() if not close(value, committed[name])]
    print("differs: " + ", ".join(wrong) if wrong else f"{len(committed)} values agree")
    return bool(wrong)


def close(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return bool(a == b)
    return math.isclose(a, b, rel_tol=1e-12)


if __name__ == "__main__":
    sys.exit(main())
