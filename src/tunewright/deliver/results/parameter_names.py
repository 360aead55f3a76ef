"""The names of lambda, gamma and w_lr in studies, scripts, trackers and tables."""

from collections.abc import Iterable, Mapping
from typing import Any

from tunewright.analysis.grid.run_result import Value, parse_value, plain_value
from tunewright.config.tree import flatten

LAMBDA, GAMMA, W_LR = "lambda", "gamma", "w_lr"
NAMES: Mapping[str, tuple[str, ...]] = {
    LAMBDA: ("lambda", "lmbda", "lambda_value", "loss.lmbda", "loss.lambda"),
    GAMMA: ("gamma", "balance.gamma"),
    W_LR: ("w_lr", "wlr", "balance.w_lr"),
}
PREFIXES = ("params_", "config.", "config/", "config_")
"""What exports put before the name of a parameter."""
SEED = ("seed", "training.seed")


def canonical_name(name: str) -> str:
    """Return `gamma` for `balance.gamma`, `lambda` for `loss.lmbda`; any other name as it is."""
    plain = name.strip()
    prefix = next((prefix for prefix in PREFIXES if plain.startswith(prefix)), "")
    plain = plain.removeprefix(prefix)
    return next((known for known, names in NAMES.items() if plain in names), plain)


def canonical_parameters(values: Mapping[str, Any]) -> dict[str, Value]:
    """Return parameters under their canonical names; of two with one name the first one."""
    found: dict[str, Value] = {}
    for name, value in values.items():
        plain = parse_value(value) if isinstance(value, str) else plain_value(value)
        found.setdefault(canonical_name(name), plain)
    return found


def flat_parameters(tree: Mapping[str, Any]) -> dict[str, Value]:
    """Return a nested configuration flat, under canonical names; lists are left out."""
    flat = flatten({str(key): value for key, value in tree.items()})
    return canonical_parameters(
        {path: value for path, value in flat.items() if not isinstance(value, list | dict)}
    )


def find_name(name: str, known: Iterable[str]) -> str | None:
    """Return which of the known parameters a name means: itself, an alias, or the end of one."""
    names = list(known)
    by_alias = [one for one in names if canonical_name(one) == canonical_name(name)]
    by_end = [one for one in names if one.endswith(f".{name.strip()}")]
    for found in ([one for one in names if one == name.strip()], by_alias, by_end):
        if len(found) == 1:
            return found[0]
    return None
