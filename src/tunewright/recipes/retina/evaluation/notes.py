"""What the figures of an evaluation must be read with. Imports without torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.runs.record import Progress

BARELY = 0.99
"""Share of the loss of chance from which on a training loss is no better than chance."""
_CHANGES = {
    "tied with": "training changed nothing that this set can tell",
    "better than": "training made it better",
    "worse than": "training made it worse",
}


def chance_notes(history: Sequence[Progress]) -> list[str]:
    """Return a note where the last training loss is no better than that of guessing."""
    last = next((p.metrics for p in reversed(history) if "train_loss" in p.metrics), None)
    if last is None or "train_chance" not in last:
        return []
    loss, chance = last["train_loss"], last["train_chance"]
    if loss < BARELY * chance:
        return []
    return [
        f"the training loss ended at {loss:.3f}, no better than chance ({chance:.3f}): the scores "
        "say nothing about the settings; train longer, or with a higher rate or a shorter warm-up"
    ]


def score_notes(result: Mapping[str, Any], *, drawn: bool) -> list[str]:
    """Return what the scores must be read with. drawn: on the recipe's own drawings."""
    scores, notes = result["metrics"], []
    if "i2t_gallery" in scores:
        notes.append(
            f"retrieval among {scores['t2i_gallery']:,.0f} patients and "
            f"{scores['i2t_gallery']:,.0f} distinct reports; equal reports are no mistakes"
        )
    compared = "balanced_accuracy" if "balanced_accuracy" in scores else "mean_auroc"
    for name, gains in result.get("above_baselines", {}).items():
        if (gain := gains.get(compared)) is None:
            continue
        verdict = (
            "tied with"
            if gain["low"] <= 0 <= gain["high"]
            else ("better than" if gain["value"] > 0 else "worse than")
        )
        figures = (
            f"{compared} {gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f}, paired, "
            "by patient)"
        )
        if name == "before training":
            notes.append(f"{_CHANGES[verdict]}: {figures} against the weights it began from")
        else:
            notes.append(f"zero-shot is {verdict} the {name}: {figures}")
    if compared == "balanced_accuracy" and compared in scores:
        classes = sum(1 for row in result["per_class"] if row["n"])
        high = result.get(f"{compared}_interval", [0.0, 1.0])[1]
        if high < 1 / max(classes, 1):
            notes.append(
                f"{compared} is clearly below chance ({1 / classes:.3f} for {classes} classes): "
                "check that each class has its own prompts"
            )
    absent = [row["class"] for row in result.get("per_class", ()) if not row["n"]]
    if absent:
        notes.append(f"no patient has {', '.join(absent)}: left out of the means over classes")
    if drawn:
        notes.append("measured on drawings by the recipe, which say nothing about photographs")
    return notes
