"""What the sampler curves needs of a study."""

from collections.abc import Sequence

from tunewright.config.schema import RunConfig
from tunewright.errors import ConfigError
from tunewright.recipes.recipe import UNKNOWN_EPOCHS
from tunewright.runs.record import COSTS, Goal


def why_not_curves(config: RunConfig, goals: Sequence[Goal]) -> str:
    """Return why the sampler curves cannot work in a study; empty where it can."""
    if len(goals) > 1:
        return "the sampler curves has one goal"
    if goals[0].metric in COSTS:
        return f"the sampler curves reads curves, and {goals[0].metric} is known only at the end"
    if config.training.epochs >= UNKNOWN_EPOCHS:
        return "the sampler curves needs training.epochs, the steps of a whole trial"
    if config.training.epochs < 2:
        return "the sampler curves needs trials of two epochs or more"
    return ""


def refuse_audit_of_pruning(config: RunConfig) -> None:
    """Raise ConfigError where pruned trials shall run on, beside a sampler that prunes none."""
    if config.study.sampler.type == "curves" and config.study.audit_pruning:
        raise ConfigError(
            f"study.audit_pruning={config.study.audit_pruning:g} with the sampler curves",
            expected="a pruner, which stops trials for good; curves pauses them, and goes on with "
            "the best ones",
            remedy="Leave it out; afterwards tunewright audit STUDY --curves says how many winners "
            "are left at a rung.",
        )


def refuse_second_pruner(config: RunConfig) -> None:
    """Raise ConfigError where a pruner was asked for beside the sampler curves."""
    kind = config.study.pruner.type
    if config.study.sampler.type == "curves" and kind != "none":
        raise ConfigError(
            f"the sampler curves together with the pruner {kind}",
            expected="one of them: curves pauses trials itself, and goes on with the best ones",
            remedy="Leave study.pruner out, or use study.sampler.type=tpe.",
        )
