"""Recompute classification.json without Tunewright: `python classification_oracles.py [--write]`.

Scores are those of scikit-learn, intervals and tests those of SciPy, and torchmetrics holds the
calibration error to its seven digits; losses and weights, which no library defines as they are
meant here, are written out in plain Python. Without --write the committed numbers are compared.
Needs torchmetrics 1.9, scikit-learn 1.9 and SciPy 1.17.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import torch
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest
from sklearn.metrics import f1_score, log_loss, precision_score, recall_score
from torchmetrics.functional.classification import multiclass_calibration_error

COMMITTED = Path(__file__).with_name("classification.json")

# The three rows of the reference sheets.
X = [[2.0, -1.0, 0.5], [0.0, 1.5, -0.5], [-2.0, 0.3, 1.2]]
Y = [0, 1, 1]
N = [1000, 100, 10]
ROWS, CLASSES = range(len(Y)), range(len(N))

# A split with what goes wrong: class 5 is predicted and never true, class 6 is neither, and no
# class of the group "few" has a row.
LABELS = [0] * 20 + [1] * 10 + [2] * 6 + [3] * 3 + [4]
TRAIN_COUNTS = [500, 150, 100, 60, 20, 19, 0]
HEAD, TAIL = [0, 1, 2], [3, 4, 5, 6]
MANY, MEDIUM = [0, 1], [2, 3, 4]


def made_up(seed: int) -> list[list[float]]:
    """Logits with some knowledge of the labels."""
    return [
        [
            -9.0 if c == 6 else round(3 * math.sin(seed + 7 * i + c * c) + 2 * (c == label), 6)
            for c in range(7)
        ]
        for i, label in enumerate(LABELS)
    ]


LOGITS, OTHER_LOGITS = made_up(1), made_up(2)


def softmax(row: list[float]) -> list[float]:
    top = max(row)
    exponentials = [math.exp(v - top) for v in row]
    return [e / sum(exponentials) for e in exponentials]


def ce(row: list[float], y: int, smoothing: float = 0.0) -> float:
    p = softmax(row)
    target = [(1 - smoothing) * (c == y) + smoothing / len(row) for c in range(len(row))]
    return -sum(t * math.log(q) for t, q in zip(target, p, strict=True))


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def focal(gamma: float, alpha: list[float], smoothing: float = 0.0) -> float:
    return mean(
        [alpha[Y[i]] * (1 - softmax(X[i])[Y[i]]) ** gamma * ce(X[i], Y[i], smoothing) for i in ROWS]
    )


def modulated(tau: float, t: float, kind: str = "cosine") -> list[float]:
    m = {"linear": t, "cosine": (1 - math.cos(math.pi * t)) / 2, "step": float(t >= 0.5)}[kind]
    v = [n**-tau for n in N]
    w = [(1 - m) / len(N) + m * value / sum(v) for value in v]
    return [value / mean(w) for value in w]


def weighted(weights: list[float]) -> float:
    return mean([weights[Y[i]] * ce(X[i], Y[i]) for i in ROWS])


def adjusted(tau: float) -> float:
    prior = [tau * math.log(n / sum(N)) for n in N]
    return mean([ce([x + p for x, p in zip(X[i], prior, strict=True)], Y[i]) for i in ROWS])


def class_balanced(beta: float) -> list[float]:
    w = [(1 - beta) / (1 - beta**n) for n in N]
    return [value / mean(w) for value in w]


def margins(largest: float) -> list[float]:
    raw = [n**-0.25 for n in N]
    return [largest * value / max(raw) for value in raw]


def ldam(scale: float, largest: float, weights: list[float]) -> float:
    """On cosines X / 2, as `LDAMLoss.forward` of the authors has it, but divided by B."""
    total = []
    for i in ROWS:
        cosines = [x / 2 - margins(largest)[c] * (c == Y[i]) for c, x in enumerate(X[i])]
        total.append(weights[Y[i]] * ce([scale * cosine for cosine in cosines], Y[i]))
    return mean(total)


def ece_of_torchmetrics(logits: list[list[float]], labels: list[int]) -> float:
    """Good to seven digits: it computes in float32, whatever comes in."""
    p = torch.tensor([softmax(row) for row in logits], dtype=torch.float64)
    target = torch.tensor(labels)
    return multiclass_calibration_error(p, target, num_classes=p.shape[1], n_bins=15).item()


def ece(logits: list[list[float]], labels: list[int]) -> float:
    bins: dict[int, list[float]] = {}
    for row, y in zip(logits, labels, strict=True):
        confidence = max(softmax(row))
        gap = (row.index(max(row)) == y) - confidence
        bins.setdefault(max(math.ceil(15 * confidence), 1), []).append(gap)
    found = math.fsum(abs(math.fsum(gaps)) for gaps in bins.values()) / len(labels)
    assert math.isclose(found, ece_of_torchmetrics(logits, labels), rel_tol=1e-6)
    return found


def predictions(logits: list[list[float]]) -> list[int]:
    return [row.index(max(row)) for row in logits]


def scores(logits: list[list[float]]) -> dict[str, float]:
    predicted = predictions(logits)
    options: dict[str, Any] = {"average": "macro", "zero_division": 0}
    found = {
        "accuracy": mean([float(a == b) for a, b in zip(LABELS, predicted, strict=True)]),
        "macro_f1": f1_score(LABELS, predicted, **options),
        "weighted_f1": f1_score(LABELS, predicted, average="weighted", zero_division=0),
        # Of scikit-learn too; `balanced_accuracy_score` is the same and warns of class 5.
        "balanced_accuracy": recall_score(LABELS, predicted, labels=sorted(set(LABELS)), **options),
        "macro_precision": precision_score(LABELS, predicted, **options),
        "macro_recall": recall_score(LABELS, predicted, **options),
        "ece": ece(logits, LABELS),
        "loss": log_loss(LABELS, [softmax(row) for row in logits], labels=range(7)),
    }
    occurs = set(LABELS) | set(predicted)
    for name, group in {"head": HEAD, "tail": TAIL, "many": MANY, "medium": MEDIUM}.items():
        rows = [(a, b) for a, b in zip(LABELS, predicted, strict=True) if a in group]
        found[f"{name}_accuracy"] = mean([float(a == b) for a, b in rows])
        each = f1_score(LABELS, predicted, labels=[c for c in group if c in occurs], average=None)
        found[f"{name}_f1"] = mean(each.tolist())
    return {name: float(value) for name, value in found.items()}


def temperature(logits: list[list[float]]) -> float:
    def nll(log_t: float) -> float:
        rows = zip(logits, LABELS, strict=True)
        return mean([ce([x / math.exp(log_t) for x in row], y) for row, y in rows])

    return math.exp(minimize_scalar(nll, bounds=(-1, 4), options={"xatol": 1e-10}).x)


def mcnemar() -> dict[str, float]:
    rights = [
        [a == b for a, b in zip(LABELS, predictions(logits), strict=True)]
        for logits in (LOGITS, OTHER_LOGITS)
    ]
    first = sum(a and not b for a, b in zip(*rights, strict=True))
    second = sum(b and not a for a, b in zip(*rights, strict=True))
    p_value = binomtest(first, first + second).pvalue
    return {"only_first": first, "only_second": second, "p_value": p_value}


def wilson(hits: int, rows: int) -> list[float]:
    interval = binomtest(hits, rows).proportion_ci(method="wilson")
    return [interval.low, interval.high]


def values() -> dict[str, Any]:
    return {
        "cross_entropy": weighted([1, 1, 1]),
        "cross_entropy_smoothing_0.1": mean([ce(X[i], Y[i], 0.1) for i in ROWS]),
        "focal_alpha_0.25": {str(g): focal(g, [0.25] * 3) for g in (1.0, 2.0, 3.0)},
        "focal_class_alpha": focal(2, [0.1, 0.25, 0.5]),
        "focal_smoothing_0.1": focal(2, [1.0] * 3, 0.1),
        "focal_alpha_0.25_smoothing_0.1": focal(2, [0.25] * 3, 0.1),
        "p_t": softmax([4.0, 0.0, 0.0])[0],
        "logit_adjustment": {str(tau): adjusted(tau) for tau in (1.0, 0.5)},
        "class_balanced_weights": class_balanced(0.999),
        "class_balanced": weighted(class_balanced(0.999)),
        "margins": margins(0.5),
        "ldam": ldam(30, 0.5, [1, 1, 1]),
        "ldam_deferred": ldam(30, 0.5, class_balanced(0.9999)),
        "smooth_modulation_weights": {
            kind: {
                str(tau): {str(t): modulated(tau, t, kind) for t in (0.25, 0.5, 1.0)}
                for tau in (0.3, 0.5, 0.8)
            }
            for kind in ("linear", "cosine", "step")
        },
        "smooth_modulation": {str(t): weighted(modulated(0.5, t)) for t in (0.0, 0.25, 0.5, 1.0)},
        "ece": ece(X, Y),
        "ece_of_torchmetrics": ece_of_torchmetrics(X, Y),
        "scores": scores(LOGITS),
        "temperature": temperature(LOGITS),
        "wilson": {f"{h}/{n}": wilson(h, n) for h, n in ((0, 10), (7, 10), (10, 10), (2919, 2989))},
        "mcnemar": mcnemar(),
    }


def inputs() -> dict[str, Any]:
    return {
        "x": X,
        "y": Y,
        "n": N,
        "labels": LABELS,
        "logits": LOGITS,
        "other_logits": OTHER_LOGITS,
        "train_counts": TRAIN_COUNTS,
    }


def main() -> int:
    found = {"inputs": inputs(), "values": values()}
    if "--write" in sys.argv[1:]:
        COMMITTED.write_text(json.dumps(found, indent=1) + "\n")
        return 0
    committed = json.loads(COMMITTED.read_text())["values"]
    wrong = [name for name, value in found["values"].items() if not close(value, committed[name])]
    print("differs: " + ", ".join(wrong) if wrong else f"{len(committed)} values agree")
    return bool(wrong)


def close(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b, strict=True))
    return math.isclose(a, b, rel_tol=1e-8)


if __name__ == "__main__":
    sys.exit(main())
