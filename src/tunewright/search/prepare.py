"""Everything about a study that can be checked before its first trial."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunewright.config import study_schema
from tunewright.config.apply import set_in, with_values
from tunewright.config.compose import SHARED, Composition
from tunewright.config.leaves import open_section
from tunewright.config.schema import OF_STUDIES, RunConfig
from tunewright.config.tree import Tree, flatten, get
from tunewright.config.typed import SEARCH_SEED, TypedSources
from tunewright.errors import ConfigError, StudyError, UsageError, shorten
from tunewright.recipes.capabilities import find_capability
from tunewright.recipes.fidelity import check_before_training, convert_space
from tunewright.recipes.recipe import Recipe
from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import COSTS, Goal
from tunewright.runs.sqlite_url import is_text, sqlite_url
from tunewright.search.curves.requirements import (
    refuse_audit_of_pruning,
    refuse_second_pruner,
    why_not_curves,
)
from tunewright.search.loop.lease import FolderLock
from tunewright.search.stage_lengths import (
    STAGES,
    long_warmup_notices,
    outweighed_notices,
    short_final_notices,
)
from tunewright.search.storage.database import Settings, stored_settings
from tunewright.search.storage.trusted_servers import refuse_stored_servers
from tunewright.search.storage.urls import absolute_url, without_password
from tunewright.search.study.compatibility import (
    changed_space,
    refuse_other_recipe,
    refuse_other_study,
    shared_settings,
    upgrade_settings,
)
from tunewright.search.study.constraints import Constraint, constraints
from tunewright.search.study.goals import study_goals
from tunewright.search.study.older_studies import OLDER_PRUNER, apply_older_rules
from tunewright.search.study.pruners import pruner, shrink_pruner
from tunewright.search.study.samplers import check_sampler
from tunewright.spaces.build import build_space
from tunewright.spaces.parameter import Surroundings
from tunewright.spaces.points import grid, is_finite
from tunewright.spaces.read import SpaceFile, parse_space, read_space
from tunewright.spaces.space import Space
from tunewright.spaces.specification import specification
from tunewright.training.trackers.tracker import require


@dataclass(frozen=True)
class PreparedStudy:
    """A study that has passed every check and not yet begun.

    composed: the whole configuration, as the study was begun with it. known: the stored settings of
    the study, None for a new one. changed: the differences in its space since. earlier_trainings:
    how many whole trainings earlier stages were worth, of which replicates may take a share too.
    lock: the lease on its folder, once it has begun.
    """

    name: str
    url: str
    folder: StudyFolder
    composed: Composition
    explore: Tree
    config: RunConfig
    reserved: Mapping[str, Any]
    space: Space
    settings: Settings
    constraints: tuple[Constraint, ...]
    notices: tuple[str, ...]
    known: Settings | None = None
    changed: tuple[str, ...] = ()
    earlier_trainings: float = 0.0
    lock: FolderLock | None = None


def prepare(
    recipe: Recipe, composed: Composition, *, given: SpaceFile | None, runs: Path
) -> PreparedStudy:
    """Check everything that can be checked before a study begins."""
    require(composed.config.trackers.names)
    refuse_stored_servers(composed)
    study = composed.config.study
    name = study.name or "-".join(filter(None, (recipe.name, composed.config.fidelity)))
    refuse_leading_out(name, runs)
    folder = StudyFolder((runs / name).absolute())  # trials may change the working directory
    url = absolute_url(study.storage or sqlite_url(folder.database))
    known = stored_settings(url, name)
    if known is not None:
        refuse_other_recipe(name, known, recipe)
    if known is not None and not known.typed_holds:
        composed = apply_older_rules(composed, known.configuration, recipe.config)
    if whole_grid := recipe.grid_space is not None and study.sampler.type == "grid":
        composed = _with_defaults(recipe, composed, {"study.final": False})
    explore, config = stage(recipe, composed, "explore")
    (first, *others), goal_notices = study_goals(recipe, config, known)
    limits = constraints(study.constraints, recipe.measures)
    _check_preference(config)
    if any(limit.metric == "latency_ms" for limit in limits):
        explore, config = with_values(explore, {"training.latency": True}, recipe.config)
    if study.keep_predictions_mib:
        find_capability(recipe, "classifier")
        explore, config = with_values(explore, {"training.keep_predictions": True}, recipe.config)
    notices = [*composed.notices, *outweighed_notices(composed)]
    if study.sampler.type == "curves" and (why := why_not_curves(config, [first, *others])):
        notices.append(f"{why}: the sampler is tpe here")
        tpe = study_schema.TpeConfig().model_dump()
        explore, config = with_values(explore, {"study.sampler": tpe}, recipe.config)
    if not any(path.startswith("study.pruner") for path in (*composed.typed, *composed.written)):
        explore, config = _with_fitting_pruner(recipe, explore, config, notices, known)
    else:
        refuse_second_pruner(config)
    refuse_audit_of_pruning(config)
    study = config.study
    pruner(study.pruner, config.training.epochs, first.direction)
    notices += goal_notices
    full, full_config = stage(recipe, composed, "final")
    checked = len(notices)
    notices += short_final_notices(composed, config, full_config)
    notices += long_warmup_notices(config, composed.sources, STAGES["explore"])
    if study.trains_winner:
        notices += long_warmup_notices(full_config, composed.sources, STAGES["final"])
    if known is None:
        _refuse_stray_trials(folder, url)
    if known is not None and bool(known.space.get("define_by_run")) != recipe.define_by_run:
        raise _other_way(name, recipe)
    spec = given
    if given is None and known is not None and not recipe.define_by_run:
        spec = parse_space(known.space, folder.space, {})
    space, changes = build_checked_space(recipe, composed, explore, config, spec)
    notices[checked:checked] = _check_data(recipe, explore, space)
    if whole_grid and is_finite(space):
        composed = _with_defaults(recipe, composed, {"study.trials": sum(1 for _ in grid(space))})
        trials = composed.config.study.trials
        explore, config = with_values(explore, {"study.trials": trials}, recipe.config)
        study = config.study
    if study.trains_winner and full.get("data") != explore.get("data"):
        _check_data(recipe, full, space)
    notices += recipe.check_run(config, space)
    if known is None and space.good:
        names = "; ".join(map(str, space.good))
        notices.append(f"tried right after the defaults: {names}")
    notices += [*_check_goals(config, first, others), *check_sampler(study, space, len(others) + 1)]
    seeded = SEARCH_SEED in composed.typed or SEARCH_SEED in composed.written
    settings = Settings(
        recipe=recipe.name,
        goal=", ".join(config.goals),
        metric=first.metric,
        direction=first.direction,
        sampler=study.sampler.model_dump(),
        pruner=study.pruner.model_dump(),
        space=specification(space),
        configuration=shared_settings(recipe, explore, space) | dict(composed.reserved),
        seed=known.seed if known is not None and not seeded else study.seed,
        others=tuple(others),
        constraints=tuple(limit.text for limit in limits),
        seeds=study.seeds,
        data=dict(recipe.fingerprints(config)),
        typed_holds=known is None or known.typed_holds,
    )
    changed: tuple[str, ...] = ()
    if known is not None:
        changed = changed_space(known, settings)
        refuse_other_study(name, upgrade_settings(known, settings, recipe), settings, recipe)
    return PreparedStudy(
        name,
        url,
        folder,
        composed,
        explore,
        config,
        composed.reserved,
        space,
        settings,
        limits,
        (*notices, *changes),
        known,
        changed,
    )


def _with_defaults(recipe: Recipe, composed: Composition, values: Mapping[str, Any]) -> Composition:
    """Return the configuration with these values in place of shipped ones."""
    shipped = TypedSources((recipe.conf, *recipe.groups, SHARED))
    new = {path: v for path, v in values.items() if shipped.is_shipped(path, composed.sources)}
    tree, config = with_values(composed.tree, new, recipe.config)
    return replace(composed, tree=tree, config=config)


def _other_way(name: str, recipe: Recipe) -> StudyError:
    """Return the error over a study that was begun with a space, or the other way round."""
    begun, now = "with a space", "has an objective that suggests its own parameters"
    if not recipe.define_by_run:
        begun, now = "with an objective that suggests its own parameters", "has a space"
    return StudyError(
        f"the study {name!r} was begun {begun}, and this call {now}",
        expected="the same, since its trials are read with the space that they had",
        remedy="Choose another name for the new study.",
    )


def _check_data(recipe: Recipe, tree: Tree, space: Space) -> list[str]:
    """Check the data as the first trial has them: pictures of a size that no trial has take long.

    Returns notices.
    """
    first = {recipe.path(path): value for path, value in (space.default() or {}).items()}
    read = {path: v for path, v in first.items() if path.startswith(("data.", "training."))}
    return check_before_training(recipe, with_values(tree, read, recipe.config)[1])


def _with_fitting_pruner(
    recipe: Recipe,
    explore: Tree,
    config: RunConfig,
    notices: list[str],
    known: Settings | None,
) -> tuple[Tree, RunConfig]:
    """Fit a default pruner to the epochs of the stage; return the stage's configuration.

    known: the settings of the study, where it was begun before; an older default stays.
    """
    if config.study.sampler.type == "curves":  # it pauses trials itself
        none = study_schema.NoPrunerConfig().model_dump()
        return with_values(explore, {"study.pruner": none}, recipe.config)
    if known is not None and dict(known.pruner) == OLDER_PRUNER.model_dump():
        explore, config = with_values(explore, {"study.pruner": dict(known.pruner)}, recipe.config)
    shipped, epochs = config.study.pruner, config.training.epochs
    fitting = shrink_pruner(shipped, epochs)
    if fitting == shipped:
        return explore, config
    change = ", ".join(f"study.pruner.{k}={v}" for k, v in set_in(fitting).items())
    notices.append(
        f"the default pruner {shipped.type} would decide too late for trials of "
        f"{epochs} epoch(s): "
        + (f"{change} here" if fitting.type == shipped.type else "no trial is pruned")
    )
    return with_values(explore, {"study.pruner": fitting.model_dump()}, recipe.config)


def _check_goals(config: RunConfig, first: Goal, others: Sequence[Goal]) -> list[str]:
    """Return notices about several goals; raise ConfigError when the first one cannot prune."""
    if first.metric in COSTS and config.study.pruner.type != "none":
        raise ConfigError(
            f"the first goal is {first.metric}, which is known only at the end of a run",
            expected="a metric that is reported every epoch, which the pruner can use",
            remedy="Put another goal first, or set study.pruner.type=none.",
        )
    if not others:
        return []
    rest = ", ".join(goal.metric for goal in others)
    by = "prunes and picks the winner" if config.study.pruner.type != "none" else "picks the winner"
    return [f"{len(others) + 1} goals: {first.metric} {by} of the front; beside it {rest}"]


def _check_preference(config: RunConfig) -> None:
    """Raise ConfigError for a preference that nothing would follow."""
    if config.study.prefer is not None and not config.study.replicate:
        raise ConfigError(
            f"study.prefer={config.study.prefer} with study.replicate=0",
            expected="replicates, since it decides between those that they do not tell apart",
            remedy="Leave study.replicate out, or study.prefer; a goal of its own weighs a cost in "
            "the search: goal=[METRIC, size_mib].",
        )


def build_checked_space(
    recipe: Recipe, composed: Composition, tree: Tree, config: RunConfig, given: SpaceFile | None
) -> tuple[Space, list[str]]:
    """Return the recipe's space, overlaid with `given` and checked against a stage."""
    if recipe.define_by_run:
        return Space((), define_by_run=True), []
    given, converted = convert_space(recipe, config, given)
    switched = [file for path, file in recipe.switched_spaces.items() if get(tree, path) is True]
    if given is None and recipe.space_alone is not None and not switched:
        given = read_space(recipe.space_alone)
    own = switched[0] if switched else recipe.space
    if recipe.grid_space is not None and config.study.sampler.type == "grid" and not switched:
        own = recipe.grid_space
    shipped = read_space(own) if own is not None else SpaceFile({})
    around = Surroundings(
        tree,
        recipe.config,
        recipe.data_facts(config),
        composed.typed,
        recipe.dialect.aliases,
        recipe.dialect.value_aliases,
        recipe.dialect.not_built,
        composed.reserved,
        avoid=config.space.avoid,
        written=composed.written,
    )
    if recipe.open_section:
        around = _within(recipe, around, given)
    space, notices = build_space(shipped, given, around)
    return space, [*converted, *notices]


def _within(recipe: Recipe, around: Surroundings, given: SpaceFile | None) -> Surroundings:
    """Return the surroundings with the user's keys declared in the recipe's open section."""
    tree = get(around.tree, recipe.open_section, {})
    prefix = recipe.path("")
    return Surroundings(
        tree,
        open_section([*flatten(tree), *(given.parameters if given else ())]),
        around.facts,
        frozenset(p.removeprefix(prefix) for p in around.typed if p.startswith(prefix)),
        not_searched=(),
        avoid=around.avoid,
        written={p.removeprefix(prefix): s for p, s in around.written.items()},
    )


def stage(recipe: Recipe, composed: Composition, name: str) -> tuple[Tree, RunConfig]:
    """Return the configuration of a stage: the whole one with the stage's overrides."""
    replaced: Mapping[str, Any] = getattr(composed.config.stages, name)
    return with_values(composed.tree, flatten(replaced), recipe.config)


def trial_values(
    recipe: Recipe, prepared: PreparedStudy, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all values that a trial replaces: sampled, derived and reserved ones."""
    complete = prepared.space.complete(values)
    return {**prepared.reserved, **{recipe.path(name): v for name, v in complete.items()}}


def run_tree(recipe: Recipe, prepared: PreparedStudy, values: Mapping[str, Any]) -> Tree:
    """Return the whole configuration of a trial of the study."""
    values = trial_values(recipe, prepared, values)
    return run_part(with_values(prepared.explore, values, recipe.config)[0])


def full_configuration(recipe: Recipe, tree: Tree, values: Mapping[str, Any]) -> Tree:
    """Return a trial's configuration at full fidelity: `tree` with its final stage and `values`."""
    replaced = flatten(tree["stages"]["final"])
    return run_part(with_values(tree, {**replaced, **values}, recipe.config)[0])


def run_part(tree: Tree) -> Tree:
    """Return a configuration without the sections that only a study reads."""
    return {key: value for key, value in tree.items() if key not in OF_STUDIES}


def refuse_leading_out(name: str, runs: Path) -> None:
    """Raise UsageError for a name outside `runs`: it is one folder there, or one below it."""
    if "\0" in name or not is_text(name):
        raise UsageError(
            f"the name {name!a}",
            expected="text that can be stored: no NUL, and nothing that is not UTF-8",
            remedy="Choose another --name.",
        )
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or not name.strip():
        raise UsageError(
            f"the name {name!r}",
            expected=f"a name whose folder lies in {runs}",
            remedy="Choose a plain --name, and the place with --runs-dir.",
        )
    try:
        (runs / name).stat()
    except (FileNotFoundError, PermissionError):
        return
    except OSError as error:
        raise UsageError(
            f"{shorten(str(runs / name))} cannot be used ({error.strerror})",
            expected="a folder that is there or can be made",
            remedy="Choose another --name or --runs-dir.",
        ) from None


def _refuse_stray_trials(folder: StudyFolder, url: str) -> None:
    """Raise StudyError for trials of another database, to avoid mixing them up."""
    if any(folder.trials.glob("*/config.yaml")):
        raise StudyError(
            f"{folder.trials} holds trials, but {without_password(url)} knows no such study",
            expected="the storage that the study began with, or a new folder",
            remedy=(
                f"Rebuild the database: tunewright repair {shlex.quote(str(folder.path))}. Or "
                "pass the original --storage, choose another --name, or remove the folder."
            ),
        )
