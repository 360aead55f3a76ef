"""A guide's names for what we name otherwise, as a recipe declares them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tunewright.config.tree import Tree

SHARED_ALIASES = {
    "n_trials": "study.trials",
    "n_jobs": "study.jobs",
    "timeout": "study.timeout",
    "storage": "study.storage",
    "study_name": "study.name",
    "batch_size": "training.batch_size",
    "lr": "optim.lr",
    "learning_rate": "optim.lr",
    "weight_decay": "optim.weight_decay",
}
"""Keys and flags that all guides write alike."""


def _as_it_is(tree: Tree) -> Tree:
    return tree


@dataclass(frozen=True)
class Dialect:
    """How a guide and its files spell what a recipe understands.

    aliases: keys and flags, to config paths. value_aliases: by config path, values to ours.
    group_aliases: names of YAML groups, to ours. options: flags that stand for an option that takes
    a file or folder (`space`, `config`, `runs-dir`). study_file: translates the `data:` section of
    a study file into settings by path. guide_file_names: names of files of a study's folder, and
    what they link to.
    """

    aliases: Mapping[str, str] = field(default_factory=dict)
    value_aliases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    group_aliases: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    study_file: Callable[[Tree], Tree] = _as_it_is
    guide_file_names: Mapping[str, str] = field(default_factory=dict)
