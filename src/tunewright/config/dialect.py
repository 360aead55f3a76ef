"""A guide's names for what we name otherwise, as a recipe declares them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tunewright.config.tree import Tree

SHARED_ALIASES = {
    "n_trials": "study.trials",
    "n_jobs": "study.jobs",
    "timeout": "study.timeout",
    "storage": "study.storage",
    "study_name": "study.name",
    "fidelity": "fidelity",
    "batch_size": "training.batch_size",
    "epochs": "training.epochs",
    "lr": "optim.lr",
    "learning_rate": "optim.lr",
    "weight_decay": "optim.weight_decay",
}
"""Keys and flags that all guides write alike."""

NOT_BUILT: Mapping[str, Mapping[str, str]] = {
    "compression": {
        "save_dir": "Name the folder of all runs with --runs-dir.",
    },
    "retina": {
        "max_steps": "The length is training.epochs: steps times training.batch_size, by patients.",
        "num_workers": "Pictures are decoded once, and executor.threads is the number of threads.",
        "log_interval": "Each epoch is reported.",
        "report_training_batch_acc": "Scores are measured on the validation set after each epoch.",
        "val_data": "Name one place with data.dir; a column split says what is validated on.",
        "valid_batch_size": "Validation takes as much as fits at a time.",
        "valid_step_interval": "Each epoch is validated.",
        "valid_epoch_interval": "Each epoch is validated.",
        "use_bn_sync": "A training is one process.",
        "skip_aggregate": "A training is one process.",
    },
}
"""By guide, its flags and keys that this version lacks, and what to use instead.

`docs/coming-from-the-guides.md` has a row for each; a test compares the two.
"""


def _as_it_is(tree: Tree) -> Tree:
    return tree


@dataclass(frozen=True)
class Dialect:
    """How a guide and its files spell what a recipe understands.

    aliases: keys and flags, to config paths. value_aliases: by config path, values to ours.
    group_aliases: names of YAML groups, to ours. options: flags that stand for an option that takes
    a file or folder (`space`, `config`, `runs-dir`). study_file: translates the `data:` section of
    a study file into settings by path. guide_file_names: names of files of a study's folder, and
    what they link to. not_built: keys and flags that this version lacks, and what to use instead.
    switches: names of flags without a value; another name for the same path has precedence over
    them, in whatever order both are typed. expansions: flags that are not the name of one key, to
    what returns the overrides that they stand for from their value.
    """

    aliases: Mapping[str, str] = field(default_factory=dict)
    value_aliases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    group_aliases: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    study_file: Callable[[Tree], Tree] = _as_it_is
    guide_file_names: Mapping[str, str] = field(default_factory=dict)
    not_built: Mapping[str, str] = field(default_factory=dict)
    switches: tuple[str, ...] = ()
    expansions: Mapping[str, Callable[[str], Sequence[str]]] = field(default_factory=dict)


def missing_name(name: str, not_built: Mapping[str, str] | None = None) -> str | None:
    """Return what to use in place of a guide's key or flag that is not built, or None.

    not_built: the table of the recipe at hand; its names count below any section (`loss.gamma`).
    Those of other guides count as they are.
    """
    key = name.replace("-", "_")
    own = not_built or {}
    for spelling in (key, key.rpartition(".")[2]):
        if spelling in own:
            return own[spelling]
    for guide, names in NOT_BUILT.items():
        if key in names:
            return names[key] if guide == "retina" else f"It is a name of the guide `{guide}`."
    return None
