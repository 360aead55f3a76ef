"""How much better an ensemble is than the best of its members, in pairs on the same pictures."""

from dataclasses import asdict
from typing import Any


def score_of(scores: Any, labels: Any) -> float:
    """Return the accuracy of scores [N, C], or of several labels their mean average precision."""
    from tunewright.classification.delivery.export import score

    return score(scores, labels)


def measure_label_gain(targets: Any, ours: Any, others: Any) -> dict[str, Any]:
    """Measure how much higher the mean average precision of `ours` is, in pairs; all [N, C]."""
    from tunewright.classification.metrics.multi_label import map_difference

    truth = targets.bool().numpy()
    return {
        "metric": "map",
        "pictures": len(targets),
        "ensemble": score_of(ours, targets),
        "single": score_of(others, targets),
        **asdict(map_difference(truth, ours.numpy(), others.numpy())),
    }


def measure_gain(labels: Any, ours: Any, others: Any, counts: Any) -> dict[str, Any]:
    """Measure how much more often `ours` is right than `others`, in pairs on the same rows."""
    from tunewright.classification.metrics.intervals import bootstrap_differences, mcnemar

    truth, mine, theirs = labels.numpy(), ours.numpy(), others.numpy()
    gains = bootstrap_differences(truth, mine, theirs, counts)
    test = mcnemar(truth, mine, theirs)
    return {
        "pictures": len(labels),
        "ensemble": float((mine == truth).mean()),
        "single": float((theirs == truth).mean()),
        **asdict(gains["accuracy"]),
        "macro_f1": asdict(gains["macro_f1"]),
        "p_value": test.p_value,
    }
