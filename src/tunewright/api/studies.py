"""Searching: tune, plan, and what is asked of a study."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.api.requests import RUNS, request_of, runs_of
from tunewright.errors import UsageError
from tunewright.request import FileArguments, ParsedRequest, parse_function_request

if TYPE_CHECKING:  # imported in the functions: `show` needs neither Optuna nor NumPy
    from tunewright.recipes.function.call import Function
    from tunewright.search.callbacks import StudyCallback
    from tunewright.search.plan import StudyPlan
    from tunewright.search.read_study import StudyView
    from tunewright.search.recovery.repair import RepairReport
    from tunewright.search.stages import TuneResult
    from tunewright.spaces.space import Space


def tune(
    *words: "str | Function | Mapping[str, Any] | Path",
    space: Mapping[str, Any] | Path | str | None = None,
    goal: str | Sequence[str] | None = None,
    steps: int | None = None,
    trials: int | None = None,
    name: str | None = None,
    jobs: int | None = None,
    seeds: int | None = None,
    constraints: Sequence[str] | None = None,
    timeout: float | None = None,
    budget: str | float | None = None,
    storage: str | None = None,
    from_: str | Path | None = None,
    imports: Sequence[str | Path] = (),
    retry_failed: bool | str | None = None,
    config: Path | str | None = None,
    config_dir: Path | str | None = None,
    config_name: str | None = None,
    runs_dir: Path | str = RUNS,
    watch: "StudyCallback | None" = None,
) -> "TuneResult":
    """Search for the best configuration, then train it in full; the same call resumes.

    trials: in all, also after a resume. jobs: at once. seeds: runs a configuration, of which
    the mean counts. constraints: on what comes out, such as `"size_mib <= 10"`. timeout: seconds
    for the search. budget: for the whole call, the final training included, in seconds or as
    `45m`, `8h`, `1h30m`.

    With a function in place of the words, `tune(function, space)`, search for the parameters
    for which `function(params, report)` returns the best score. space: a mapping from names to
    domains, or a space file. goal: `value` for a number that is returned, else one of the names;
    `:min` or `:max` says which way, else the largest wins, and of costs and of what is called a
    loss or an error the smallest; of several, which are a front, the first prunes and picks the
    winner. steps: the last step that the function reports, at which none is pruned. See
    docs/functions.md.

    from_: another study (its name, folder or database): the search starts at its best
    configuration, and its trials that fit are carried over; alone, without a recipe or file, its
    configuration and space hold as well. imports: CSV files and Optuna storages (`URL#STUDY`)
    whose trials are carried over. Carried trials do not count towards `trials`. retry_failed: run
    failed trials again, with their numbers and settings: True for all of them, or one cause.

    Raises a TunewrightError; see `search.stages.tune`. RunError where all trials were run and none
    finished.
    """
    from tunewright.search.results import refuse_failure
    from tunewright.search.stages import tune as tune_stages

    settings = _of_study(
        trials=trials,
        name=name,
        jobs=jobs,
        seeds=seeds,
        constraints=constraints,
        timeout=timeout,
        budget=budget,
        storage=storage,
        retry_failed=retry_failed,
    )
    origin = None if from_ is None else str(from_)
    files = partial(_files_of, origin, space, Path(runs_dir))
    configs = (config, config_dir, config_name)
    request = _study_request(tune, words, space, configs, settings, goal, steps, files)
    runs = runs_of(request, runs_dir)
    if words and callable(words[0]):
        from tunewright.search.callbacks import PrintNotices

        watch = watch or PrintNotices()
    tuned = tune_stages(
        request.recipe,
        request.composed,
        given=request.space,
        runs=runs,
        watch=watch,
        from_=origin,
        imports=[str(source) for source in imports],
    )
    if tuned.ending == "finished":
        refuse_failure(tuned.folder, tuned.record)
    return tuned


def plan(
    *words: "str | Function | Mapping[str, Any] | Path",
    space: Mapping[str, Any] | Path | str | None = None,
    goal: str | Sequence[str] | None = None,
    steps: int | None = None,
    trials: int | None = None,
    name: str | None = None,
    jobs: int | None = None,
    seeds: int | None = None,
    constraints: Sequence[str] | None = None,
    timeout: float | None = None,
    budget: str | float | None = None,
    storage: str | None = None,
    from_: str | Path | None = None,
    imports: Sequence[str | Path] = (),
    config: Path | str | None = None,
    config_dir: Path | str | None = None,
    config_name: str | None = None,
    runs_dir: Path | str = RUNS,
    watch: "StudyCallback | None" = None,
) -> "StudyPlan":
    """Estimate the trials, time and disk that `tune` with the same words would take.

    Trains the first configuration for two epochs and stores nothing; see `search.plan.plan`.
    Arguments as for `tune`. Raises what `tune` would raise before its first trial, and RunError
    when the first configuration does not train.
    """
    from tunewright.search.plan import plan as plan_study

    settings = _of_study(
        trials=trials,
        name=name,
        jobs=jobs,
        seeds=seeds,
        constraints=constraints,
        timeout=timeout,
        budget=budget,
        storage=storage,
    )
    origin = None if from_ is None else str(from_)
    files = partial(_files_of, origin, space, Path(runs_dir))
    configs = (config, config_dir, config_name)
    request = _study_request(plan, words, space, configs, settings, goal, steps, files)
    return plan_study(
        request.recipe,
        request.composed,
        given=request.space,
        runs=runs_of(request, runs_dir),
        watch=watch,
        from_=origin,
        imports=[str(source) for source in imports],
    )


def space(
    *words: str,
    recipe: str | None = None,
    config_dir: Path | str | None = None,
    config_name: str | None = None,
) -> "tuple[Space, list[str]]":
    """Return the space to search, checked against the recipe and its data, and the notices."""
    from tunewright.search.prepare import build_checked_space, stage

    words = (*([recipe] if recipe else []), *words)
    request = request_of(space, words, None, config_dir, config_name)
    tree, config = stage(request.recipe, request.composed, "explore")
    found, notices = build_checked_space(
        request.recipe, request.composed, tree, config, request.space
    )
    return found, [*request.composed.notices, *notices]


def analyze(
    study: Path | str | None = None,
    *,
    storage: str | None = None,
    name: str | None = None,
    top: int = 10,
    runs_dir: Path | str = RUNS,
) -> "StudyView":
    """Return what a study found; see `search.read_study.read_study`."""
    from tunewright.search.read_study import read_study

    return read_study(
        None if study is None else str(study),
        storage=storage,
        name=name,
        runs=Path(runs_dir),
        top=top,
    )


def dashboard(
    study: Path | str | None = None,
    *,
    storage: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    open_browser: bool = False,
    runs_dir: Path | str = RUNS,
    on_address: Callable[[str], None] = print,
) -> None:
    """Serve optuna-dashboard for a study, read-only, until Ctrl-C; see `deliver.dashboard`.

    on_address: called with the address once the server listens.
    """
    from tunewright.deliver.dashboard import dashboard as serve

    serve(
        study,
        storage=storage,
        host=host,
        port=port,
        open_browser=open_browser,
        runs=Path(runs_dir),
        on_address=on_address,
    )


def repair(
    study: Path | str | None = None, *, storage: str | None = None, runs_dir: Path | str = RUNS
) -> "RepairReport":
    """Make a study's database agree with its run folders; see `search.recovery.repair.repair`."""
    from tunewright.search.recovery.repair import repair as repair_study

    named = None if study is None else str(study)
    return repair_study(named, storage=storage, runs=Path(runs_dir))


def _of_study(**given: Any) -> dict[str, Any]:
    """Return keywords of a study as settings by path."""
    return {f"study.{name}": value for name, value in given.items()}


def _study_request(
    command: Callable[..., Any],
    words: tuple[Any, ...],
    space: Mapping[str, Any] | Path | str | None,
    configs: tuple[Path | str | None, Path | str | None, str | None],
    settings: Mapping[str, Any],
    goal: str | Sequence[str] | None,
    steps: int | None,
    otherwise: Callable[[], FileArguments] | None = None,
) -> ParsedRequest:
    """Return the request for words or for a function; UsageError for keywords of the other."""
    settings = {**settings, "goal": goal}
    if words and callable(words[0]):
        if any(given is not None for given in configs):
            raise UsageError("a function and a configuration file", expected="one of them")
        return parse_function_request(words, space, {**settings, "training.epochs": steps})
    if steps is not None:
        raise UsageError(
            f"steps={steps} with a recipe", expected="training.epochs=... among the words"
        )
    return request_of(command, words, *configs, space, settings, otherwise)


def _files_of(
    study: str | None, space: Mapping[str, Any] | Path | str | None, runs: Path
) -> FileArguments:
    """Return the configuration and the space of a study, as if they had been typed."""
    if study is None:
        return FileArguments()
    from tunewright.search.transfer.sources import files_of

    trees, reserved = files_of(study, runs)
    return FileArguments(trees if space is None else trees[:1], reserved)
