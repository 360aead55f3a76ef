"""The commands that search: tune, plan, space."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, Unpack

import typer

from tunewright.cli.command import JSON, Default, Switch, command, complete
from tunewright.cli.options import (
    RUNS,
    SEARCH,
    ConfigDir,
    ConfigFile,
    ConfigName,
    RunsDir,
    Word,
    Yes,
)
from tunewright.errors import UsageError

if TYPE_CHECKING:  # imported in the functions, since `--help` waits for what is imported here
    from tunewright.search.callbacks import StudyCallback
    from tunewright.search.forecast.training import RunPlan
    from tunewright.search.plan import StudyPlan
    from tunewright.search.stages import TuneResult
    from tunewright.spaces.checked_space import CheckedSpace
    from tunewright.typed_arguments import Configs

SpaceFile = Annotated[
    Path | str | Mapping[str, Any] | None, typer.Option("--space", help="A space file.")
]
Trials = Annotated[
    int | None, typer.Option(help="Total number of trials, including those before a resume.")
]
Name = Annotated[str | None, typer.Option(help="Name of the study and of its folder.")]
Jobs = Annotated[int | None, typer.Option(help="Number of trials to run in parallel.")]
Seeds = Annotated[int | None, typer.Option(help="Runs per configuration; the score is their mean.")]
Timeout = Annotated[float | None, typer.Option(help="Time limit of the search, in seconds.")]
Budget = Annotated[
    str | float | None,
    typer.Option(help="Total time, including the final training: 45m, 8h, 1h30m, 90 (seconds)."),
]
Sampler = Annotated[
    str | None,
    typer.Option(
        help="tpe, random, grid, quasi_random, gp, cma_es, curves, or one that is installed."
    ),
]
Pruner = Annotated[
    str | None,
    typer.Option(help="asha, hyperband, median, percentile, patient, none, or an installed one."),
]
Storage = Annotated[str | None, typer.Option(help="Database URL.")]
From = Annotated[
    Sequence[str | Path] | str | Path | None,
    typer.Option("--from", help="A study to start from: its best configuration and its trials."),
]
Imports = Annotated[
    Sequence[str | Path],
    typer.Option("--import", help="A CSV file or Optuna storage to import trials from."),
]
Goal = Annotated[
    str | Sequence[str] | None,
    typer.Option("--goal", help="The metric to optimise: val_accuracy:max, val_loss:min."),
]
Env = Annotated[
    Sequence[str],
    typer.Option("--env", help="A variable of the script, such as LR={lr} (recipe command)."),
]
Script = Annotated[Sequence[str], typer.Option("--script", hidden=True)]
"""The words of a command, which one types after `--`."""
Resume = Annotated[
    str | Path | None,
    typer.Option("--resume", help="A study to go on with, as it was begun: name or folder."),
]
Stages = Annotated[
    str | Sequence[str] | None,
    typer.Option("--stages", help="What one call does: explore,final or explore,refine,final."),
]
Regions = Annotated[
    int | None, typer.Option("--regions", help="Groups of good trials that refine searches around.")
]
RetryFailed = Annotated[
    bool | str | None, typer.Option("--retry-failed", help="Run the failed trials again, too.")
]
Detach = Annotated[
    bool, typer.Option("--detach", help="Go on in the background once the search has begun.")
]


class StudyOptions(TypedDict, total=False):
    """What a study searches, its limits, and what it starts from."""

    space: SpaceFile
    trials: Trials
    name: Name
    jobs: Jobs
    seeds: Seeds
    sampler: Sampler
    pruner: Pruner
    timeout: Timeout
    budget: Budget
    storage: Storage
    from_: From
    imports: Annotated[Imports, Default(())]
    goal: Goal
    stages: Stages
    regions: Regions
    env: Annotated[Env, Default(())]
    yes: Annotated[Yes, Default(False)]


class CallOptions(TypedDict, total=False):
    """The files and folders of a search, and what only a call in Python says."""

    config: ConfigFile
    config_dir: ConfigDir
    config_name: ConfigName
    runs_dir: Annotated[RunsDir, Default(RUNS)]
    script: Annotated[Script, Default(())]
    steps: int | None
    constraints: Sequence[str] | None
    watch: "StudyCallback | None"


class PlanOptions(StudyOptions, CallOptions):
    """The keywords of `plan`; what `tune` would be given."""


class RetryOptions(TypedDict, total=False):
    """What happens to trials that have failed, and where the search goes on."""

    retry_failed: RetryFailed
    detach: Annotated[Detach, Default(False)]


class TuneOptions(StudyOptions, RetryOptions, CallOptions):
    """The keywords of `tune`, in the order of `--help`."""


@command(SEARCH, prints="results:print_tuned", guide_flags=True, takes_script=True)
def tune(*words: Word, resume: Resume = None, **options: Unpack[TuneOptions]) -> "TuneResult":
    """Search for the best configuration, then train it in full.

    Run the same command again to resume, or name the study instead: tune STUDY, tune --resume
    STUDY. A study file may follow the recipe.

    In Python, `words` are what one types, and the same call resumes. resume: a study that goes on
    with the configuration in its folder; trials, jobs, times and the executor may change.
    constraints: on what comes
    out, such as `"size_mib <= 10"`. watch: receives the events of the study.

    With a function in place of the words, `tune(function, space)`, search for the parameters
    for which `function(params, report)` returns the best score. space: a mapping from names to
    domains, or a space file. goal: `value` for a number that is returned, else one of the names;
    `:min` or `:max` says which way, else the largest wins, and of costs and of what is called a
    loss or an error the smallest; of several, which are a front, the first prunes and picks the
    winner. steps: the last step that the function reports, at which none is pruned. See
    docs/functions.md.

    from_: another study (its name, folder or database): the search starts at its best
    configuration, and its trials that fit are carried over; alone, without a recipe or file, its
    configuration and space hold as well. Of several, the best configurations of the others are
    tried next. imports: CSV files and Optuna storages (`URL#STUDY`)
    whose trials are carried over. Carried trials do not count towards `trials`. retry_failed: run
    failed trials again, with their numbers and settings: True for all of them, or one cause.

    stages: with `refine`, a second search follows in the space that the first one leaves, in a
    study of its own, `NAME-refine`; `trials` are those of both. regions: around so many groups of
    good trials, each in a study of its own. See docs/narrowing.md.

    script: the words of a script's command, with placeholders for the parameters; for the recipe
    `command`, see docs/command.md. env: variables of it, written `NAME=VALUE`. yes: run a command
    that only a study's folder names. detach: of the command line alone.

    Raises a TunewrightError; see `search.refine.staged_search.tune`. RunError where all trials
    were run and none finished.
    """
    from tunewright.cli.confirm import confirm_command
    from tunewright.cli.requests import resumed_request, runs_of, study_request
    from tunewright.search.callbacks import PrintNotices
    from tunewright.search.refine.staged_search import tune as tune_stages
    from tunewright.search.results import refuse_failure

    given = complete(tune, options)
    if given["detach"]:
        given["watch"] = _leave(given["watch"])
    settings = {**_settings(given), "study.retry_failed": given["retry_failed"] or None}
    configs = _configs(given)
    origins = _origins(given["from_"])
    space, runs_dir, watch = given["space"], given["runs_dir"], given["watch"]
    if resume is not None:
        request = resumed_request(tune, str(resume), words, configs, space, settings, runs_dir)
    else:
        request = study_request(tune, words, configs, space, settings, origins, runs_dir)
    if words and callable(words[0]):
        watch = watch or PrintNotices()
    confirm_command(request, yes=given["yes"])
    tuned = tune_stages(
        request.recipe,
        request.composed,
        given=request.space,
        runs=runs_of(request, runs_dir),
        watch=watch,
        from_=origins,
        imports=[str(source) for source in given["imports"]],
    )
    if tuned.ending == "finished":
        refuse_failure(tuned.folder, tuned.record)
    return tuned


def plan_training(
    *words: str | Path,
    jobs: int | None = None,
    yes: bool = False,
    config: Path | str | None = None,
    config_dir: Path | str | None = None,
    config_name: str | None = None,
    watch: "StudyCallback | None" = None,
) -> "RunPlan":
    """Estimate the time, memory and disk of what `train` would do; `plan --train`.

    The configuration is trained for two epochs, and nothing is stored.
    """
    from tunewright.cli.commands.run import train
    from tunewright.cli.confirm import confirm_command
    from tunewright.cli.requests import request_of
    from tunewright.search.forecast.training import plan_training as plan_one
    from tunewright.typed_arguments import Configs

    configs, settings = Configs(config, config_dir, config_name), {"study.jobs": jobs}
    request = request_of(train, words, configs, settings=settings)
    confirm_command(request, yes=yes)
    return plan_one(request.recipe, request.composed, watch)


ONE_TRAINING = Switch(
    "train",
    "Plan a single training instead of a search.",
    "plan:print_run_plan",
    call=plan_training,
    alone=True,
)


@command(
    SEARCH,
    prints="plan:print_plan",
    switches=[ONE_TRAINING, JSON],
    guide_flags=True,
    takes_script=True,
)
def plan(*words: Word, **options: Unpack[PlanOptions]) -> "StudyPlan":
    """Estimate how long tune would take, from a first short trial.

    Give the same arguments as for tune, or with --train those for train. The first configuration
    is trained for two epochs, and nothing is stored.

    In Python, raises what `tune` would raise before its first trial, and RunError when the first
    configuration does not train. See `search.plan.plan`.
    """
    from tunewright.cli.confirm import confirm_command
    from tunewright.cli.requests import runs_of, study_request
    from tunewright.search.plan import plan as plan_study

    given = complete(plan, options)
    origins = _origins(given["from_"])
    request = study_request(
        plan, words, _configs(given), given["space"], _settings(given), origins, given["runs_dir"]
    )
    confirm_command(request, yes=given["yes"])
    return plan_study(
        request.recipe,
        request.composed,
        given=request.space,
        runs=runs_of(request, given["runs_dir"]),
        watch=given["watch"],
        from_=origins,
        imports=[str(source) for source in given["imports"]],
    )


def _leave(watch: "StudyCallback | None") -> "StudyCallback":
    """Fork and return in the child, which goes on; see `cli.detach`."""
    from tunewright.cli.detach import detach
    from tunewright.cli.output.screen import ScreenCallback

    if not isinstance(watch, ScreenCallback):
        raise UsageError(
            "detach=True in Python",
            expected="the command line, whose process does nothing else",
            remedy="Type it: tunewright tune ... --detach.",
        )
    return detach()


def _origins(given: Sequence[str | Path] | str | Path | None) -> list[str]:
    """Return the studies that a search starts from."""
    return [str(one) for one in ([given] if isinstance(given, str | Path) else given or ())]


OF_STUDY = ("trials", "name", "jobs", "seeds", "constraints", "timeout", "budget", "storage")
"""The options that set a value of the same name under `study`."""


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a search as settings by config path."""
    from tunewright.recipes.command.placeholders import read_environment, translate_macros

    settings = {f"study.{name}": given[name] for name in OF_STUDY}
    settings |= {f"study.{name}.type": given[name] for name in ("sampler", "pruner")}
    script = translate_macros(given["script"])
    return {
        **settings,
        "study.stages": _stages(given["stages"]),
        "study.refine.regions": given["regions"],
        "goal": given["goal"],
        "training.epochs": given["steps"],
        "command": script or None,
        **{f"env.{name}": text for name, text in read_environment(given["env"]).items()},
    }


def _stages(given: str | Sequence[str] | None) -> list[str] | None:
    """Return the stages that were typed with commas between them, or given as a list."""
    if given is None:
        return None
    words = given.split(",") if isinstance(given, str) else given
    return [word.strip() for word in words]


def _configs(given: CallOptions) -> "Configs":
    from tunewright.typed_arguments import Configs

    return Configs(given["config"], given["config_dir"], given["config_name"])


@command(
    SEARCH,
    prints="results:print_space",
    switches=[Switch("yaml", "Print a space file.", "results:print_space_file")],
    guide_flags=True,
)
def space(
    *words: Word,
    recipe: Annotated[str | None, typer.Option("--recipe", help="The recipe to check for.")] = None,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
) -> "CheckedSpace":
    """Check a space file and print what would be searched.

    The space is checked against the recipe and its data.

    In Python, return the space and the notices.
    """
    from tunewright.cli.requests import request_of
    from tunewright.search.prepare import build_checked_space, stage
    from tunewright.spaces.checked_space import CheckedSpace
    from tunewright.typed_arguments import Configs

    words = (*([recipe] if recipe else []), *words)
    request = request_of(space, words, Configs(None, config_dir, config_name))
    tree, config = stage(request.recipe, request.composed, "explore")
    found, notices = build_checked_space(
        request.recipe, request.composed, tree, config, request.space
    )
    return CheckedSpace(found, (*request.composed.notices, *notices))
