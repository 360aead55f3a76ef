"""Guess from a metric's name whether lower is better: `val_loss`, `rmse`, `error_rate`."""

import re

from tunewright.runs.record import COSTS, Direction


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LESS = _words(
    """
    loss losses error errors err mistakes failures cost regret risk deviance residual residuals
    logloss crossentropy xent bce nll ppl perplexity bpp bpc bpb bpd divergence kl kld aic bic
    mse rmse nmse nrmse msle rmsle mae nmae medae mape smape wape mase rmsd
    wer cer ter der eer fpr fnr fdr ece mce brier crps pinball
    fid kid fvd lpips dists niqe brisque mpjpe ade fde epe levenshtein hausdorff chamfer
    latency seconds milliseconds ms time runtime walltime elapsed delay
    """
)
"""Words that mean lower is better as the last word of a name."""
_LONGER = re.compile(
    r"(cross entropy|(neg|negative) (ll|elbo|log likelihood|loglikelihood)"
    r"|(edit|hamming|wasserstein|frechet|inception) distance"
    r"|bits per (sub)?(pixel|dim|dimension|char|character|byte|token|word)"
    r"|(error|err|failure|fault|miss|misclassification|loss|false [a-z]+) (rate|ratio|percent\w*))"
)
"""Phrases that mean lower is better."""
_BESIDE = _words(
    """
    val valid validation test eval evaluation train training dev holdout heldout oof cv fold top
    mean avg average median sum total overall all final best last min max epoch step batch ema
    macro micro weighted raw smoothed score value metric s sec us ns db p percent pct
    dataloader idx
    """
)
"""Words that may follow the decisive one: the split, the average, the unit; `loss_val_mean`."""
_SPLIT = re.compile(r"^(validation|valid|val|test|eval|train|dev)(?=[a-z])")
_TURNED = _words(
    """
    neg negative negated minus inverse inverted inv one no non not without free
    improvement reduction gain saved profit
    """
)
"""Words that reverse the direction, as in scikit-learn's `neg_mean_squared_error`."""
_TIMES = _words(
    """
    inference prediction predict training train fit test eval response run wall cpu gpu
    elapsed execution processing compute computing step epoch total mean average median
    """
)
"""Words before `time` that mean lower is better: `train_time`, but not `survival_time`."""


def lower_is_better(name: str) -> bool:
    """Return whether lower values of the metric `name` are better, judged by its words.

    False for names that leave it open, such as `distance`, and for names that mean the opposite,
    such as `lossless_ratio`, `error_free` or `1-wer`.
    """
    words = [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    if name.startswith("-") or words[:1] == ["1"]:
        return False
    words = [word for word in words if not word.isdigit()]
    while words and not _ends(words):
        if "per" in words[1:]:  # seconds per image
            del words[words.index("per") :]
        elif words[-1] in _BESIDE:
            words.pop()
        else:
            return False
    return bool(words)


def _ends(words: list[str]) -> bool:
    """Return whether the last words mean lower is better, and no word before reverses them."""
    text = " ".join(words)
    for match in _LONGER.finditer(text):
        if match.end() == len(text):
            return not _TURNED & set(text[: match.start()].split())
    last = _SPLIT.sub("", words[-1])
    if last not in _LESS or _TURNED & set(words):
        return False
    before = words[:-1]
    if before[-1:] == ["per"]:  # images per seconds
        return False
    return last != "time" or not before or before[-1] in _TIMES


def direction_of(name: str) -> Direction:
    """Return the direction of a metric that nobody has declared."""
    return "min" if name in COSTS or lower_is_better(name) else "max"
