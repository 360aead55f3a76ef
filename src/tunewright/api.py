"""The commands as functions of the same names, for notebooks, scripts and the command line.

Words are what one types: a recipe or a file, then overrides (`"optim.lr=1e-3"`).
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.config.compose import Composed
from tunewright.errors import UsageError
from tunewright.request import Files, Request, function_request, resuming, understand

if TYPE_CHECKING:  # imported in the functions: `show` needs neither Optuna nor NumPy
    from tunewright.deliver.check import Checked
    from tunewright.deliver.meant import Told
    from tunewright.deliver.replay import Replayed
    from tunewright.recipes.function.call import Function
    from tunewright.runs.folder import RunFolder
    from tunewright.search.look import Looked
    from tunewright.search.plan import Plan
    from tunewright.search.repair import Repaired
    from tunewright.search.single import Trained
    from tunewright.search.stages import Tuned
    from tunewright.search.watch import Watch
    from tunewright.spaces.space import Space

RUNS = Path("runs")
NOT_TYPED = ("watch", "goal", "steps", "constraints")
"""Keywords for which the command line has no option, but an override or nothing."""


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
    config: Path | str | None = None,
    config_dir: Path | str | None = None,
    config_name: str | None = None,
    runs_dir: Path | str = RUNS,
    watch: "Watch | None" = None,
) -> "Tuned":
    """Search for the best configuration, then train it in full; the same call resumes.

    trials: in all, also after a resume. jobs: at once. seeds: runs a configuration, of which
    the mean counts. constraints: on what comes out, such as `"size_mib <= 10"`. timeout: seconds
    for the search. budget: for the whole call, the final training included, in seconds or as
    `45m`, `8h`, `1h30m`.

    With a function in place of the words, `tune(function, space)`, search for the parameters
    for which `function(params, report)` returns the best score. space: a mapping from names to
    domains, or a space file. goal: `value` for a number that is returned, else one of the names;
    `:min` or `:max` says which way, else the largest wins, and of costs the smallest; of several,
    which are a front, the first prunes and picks the winner. steps: the last step that the
    function reports, at which none is pruned. See docs/functions.md.

    from_: another study (its name, folder or database): the search starts at its best
    configuration, and its trials that fit are carried over; alone, without a recipe or file, its
    configuration and space hold as well. imports: CSV files and Optuna storages (`URL#STUDY`)
    whose trials are carried over. Carried trials do not count towards `trials`.

    Raises a TunewrightError; see `search.stages.tune`.
    """
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
    )
    origin = None if from_ is None else str(from_)
    files = partial(_files_of, origin, space, Path(runs_dir))
    configs = (config, config_dir, config_name)
    request = _study_request(tune, words, space, configs, settings, goal, steps, files)
    runs = _runs(request, runs_dir)
    if words and callable(words[0]):
        from tunewright.search.watch import Notices

        watch = watch or Notices()
    return tune_stages(
        request.recipe,
        request.composed,
        given=request.space,
        runs=runs,
        watch=watch,
        from_=origin,
        imports=[str(source) for source in imports],
    )


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
    watch: "Watch | None" = None,
) -> "Plan":
    """How many trials, how long, how much disk `tune` with the same words would take.

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
        runs=_runs(request, runs_dir),
        watch=watch,
        from_=origin,
        imports=[str(source) for source in imports],
    )


def train(
    *words: str,
    resume: Path | str | None = None,
    name: str | None = None,
    config: Path | str | None = None,
    config_dir: Path | str | None = None,
    config_name: str | None = None,
    runs_dir: Path | str = RUNS,
    watch: "Watch | None" = None,
) -> "Trained":
    """Train one configuration in full, by one seed or several; the same call resumes.

    resume: a run that was stopped, by its folder or its name; it goes on with the configuration
    that lies there. Raises UsageError for words that would change it.
    """
    if resume is not None:
        if name is not None or any((config, config_dir, config_name)):
            raise UsageError(
                f"--resume {resume} with another option that names a run or a configuration",
                expected="the run alone, which has both",
            )
        return _resumed(Path(resume), words, Path(runs_dir), watch)
    from tunewright.search.stages import train as train_stage

    request = _request(train, words, config, config_dir, config_name)
    runs = _runs(request, runs_dir)
    return train_stage(request.recipe, request.composed, name=name, runs=runs, watch=watch)


def evaluate(
    run: Path | str, *, split: str | None = None, runs_dir: Path | str = RUNS
) -> "tuple[RunFolder, Mapping[str, Any]]":
    """Measure a trained run on a split, by default test; where it lies, and its metrics."""
    from tunewright.deliver.evaluate import evaluate as evaluate_run

    return evaluate_run(run, split=split, runs=Path(runs_dir))


def models(wanted: str = "", *, classes: int = 100, limit: int = 40) -> Mapping[str, Any]:
    """Image models by name, with parameters, exported sizes, input size and licence.

    See `deliver.models.models`.
    """
    from tunewright.deliver.models import models as list_models

    return list_models(wanted, classes=classes, limit=limit)


def predict(
    run: Path | str | None = None,
    *words: str,
    data: Path | str | None = None,
    output: Path | str = "predictions.csv",
    checkpoint: Path | str | None = None,
    tta: bool = False,
    views: str | Sequence[str] = (),
    force: bool = False,
    probabilities: Path | str | None = None,
    logit_adjustment: float = 0.0,
    skip_bad: bool = False,
    category_ids: bool = False,
    batch_size: int | None = None,
    runs_dir: Path | str = RUNS,
    told: "Told | None" = None,
) -> "Mapping[str, Any]":
    """Label every picture of `data` into a CSV file; without a run, by the newest one.

    words: views beside the picture and its mirror image, such as `"tta.rotate=5"`. told: called
    with what is being done, how much is done, how much there is; None shows it on standard error.
    See `deliver.predict.predict`.
    """
    from tunewright.deliver.predict import predict as predict_pictures

    run, of_views = _run_and_views(run, words)
    with _telling(told) as tell:
        return predict_pictures(
            run,
            data=data,
            output=output,
            checkpoint=checkpoint,
            tta=tta,
            views=views,
            words=of_views,
            force=force,
            probabilities=probabilities,
            logit_adjustment=logit_adjustment,
            skip_bad=skip_bad,
            category_ids=category_ids,
            batch_size=batch_size,
            runs=Path(runs_dir),
            told=tell,
        )


def benchmark(
    run: Path | str | None = None,
    *words: str,
    checkpoint: Path | str | None = None,
    input_size: int = 600,
    tta: bool = False,
    views: str | Sequence[str] = (),
    runs_dir: Path | str = RUNS,
    told: "Told | None" = None,
) -> "Mapping[str, Any]":
    """How long one picture takes, from its file to its label; see `deliver.check.benchmark`."""
    from tunewright.deliver.check import benchmark as time_one

    run, of_views = _run_and_views(run, words)
    with _telling(told) as tell:
        return time_one(
            run,
            checkpoint=checkpoint,
            input_size=input_size,
            tta=tta,
            views=views,
            words=of_views,
            runs=Path(runs_dir),
            told=tell,
        )


def ensemble(
    *named: Path | str,
    method: str = "mean",
    average: str = "probabilities",
    name: str | None = None,
    max_size: str | float = "500MB",
    max_latency: str | float = "100ms",
    runs_dir: Path | str = RUNS,
    told: "Told | None" = None,
) -> "Mapping[str, Any]":
    """Several runs, or the trials of a study, as one; see `deliver.ensemble.ensemble`."""
    from tunewright.deliver.ensemble import ensemble as join

    with _telling(told) as tell:
        return join(
            *named,
            method=method,
            average=average,
            name=name,
            max_size=max_size,
            max_latency=max_latency,
            runs=Path(runs_dir),
            told=tell,
        )


def check(
    run: Path | str | None = None,
    *words: str,
    checkpoint: Path | str | None = None,
    max_size: str | float = "500MB",
    max_latency: str | float = "100ms",
    max_params: str | float = "10B",
    input_size: int = 600,
    half: bool = False,
    tta: bool = False,
    views: str | Sequence[str] = (),
    benchmark: bool = False,
    runs_dir: Path | str = RUNS,
    told: "Told | None" = None,
) -> "Checked":
    """Size, latency, parameters and input against limits; see `deliver.check.check`."""
    from tunewright.deliver.check import check as check_limits

    run, of_views = _run_and_views(run, words)
    with _telling(told) as tell:
        return check_limits(
            run,
            checkpoint=checkpoint,
            max_size=max_size,
            max_latency=max_latency,
            max_params=max_params,
            input_size=input_size,
            half=half,
            tta=tta,
            views=views,
            words=of_views,
            benchmark=benchmark,
            runs=Path(runs_dir),
            told=tell,
        )


def export(
    run: Path | str | None = None,
    *,
    to: str = "safetensors",
    half: bool = False,
    output: Path | str | None = None,
    checkpoint: Path | str | None = None,
    runs_dir: Path | str = RUNS,
    told: "Told | None" = None,
) -> "Mapping[str, Any]":
    """A run as a file for other programs, with a parity check; see `deliver.export.export`."""
    from tunewright.deliver.export import export as export_run

    with _telling(told) as tell:
        return export_run(
            run,
            to=to,
            half=half,
            output=output,
            checkpoint=checkpoint,
            runs=Path(runs_dir),
            told=tell,
        )


def submit(
    run: Path | str | None = None,
    *,
    predictions: Path | str = "predictions.csv",
    output: Path | str = "submission.zip",
    data: Path | str | None = None,
    checkpoint: Path | str | None = None,
    half: bool = False,
    category_ids: bool | None = None,
    verify_only: bool = False,
    runs_dir: Path | str = RUNS,
    told: "Told | None" = None,
) -> "Mapping[str, Any]":
    """Checked predictions, weights and code in one ZIP; see `deliver.submit.submit`."""
    from tunewright.deliver.submit import submit as pack

    with _telling(told) as tell:
        return pack(
            run,
            predictions=predictions,
            output=output,
            data=data,
            checkpoint=checkpoint,
            half=half,
            category_ids=category_ids,
            verify_only=verify_only,
            runs=Path(runs_dir),
            told=tell,
        )


def analyze(
    study: Path | str | None = None,
    *,
    storage: str | None = None,
    name: str | None = None,
    top: int = 10,
    runs_dir: Path | str = RUNS,
) -> "Looked":
    """What a study found; see `search.look.look`."""
    from tunewright.search.look import look

    return look(
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
    told: Callable[[str], None] = print,
) -> None:
    """Serve optuna-dashboard on a study, read-only, until Ctrl-C; see `deliver.dashboard`.

    told: called with the address once it answers.
    """
    from tunewright.deliver.dashboard import dashboard as serve

    serve(
        study,
        storage=storage,
        host=host,
        port=port,
        open_browser=open_browser,
        runs=Path(runs_dir),
        told=told,
    )


def repair(
    study: Path | str | None = None, *, storage: str | None = None, runs_dir: Path | str = RUNS
) -> "Repaired":
    """Make a study's database agree with its run folders; see `search.repair.repair`."""
    from tunewright.search.repair import repair as repair_study

    named = None if study is None else str(study)
    return repair_study(named, storage=storage, runs=Path(runs_dir))


def lr_find(
    *words: str,
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    config: Path | str | None = None,
    config_dir: Path | str | None = None,
    config_name: str | None = None,
    runs_dir: Path | str = RUNS,
) -> "Mapping[str, Any]":
    """Sweep the learning rate of a configuration; what it suggests, or why it does not."""
    from tunewright.deliver.lr_find import lr_find as sweep

    request = _request(lr_find, words, config, config_dir, config_name)
    runs = _runs(request, runs_dir)
    return sweep(request.recipe, request.composed, runs=runs, low=low, high=high, steps=steps)


def augment(
    *words: str,
    level: str | None = None,
    output: Path | str | None = None,
    config: Path | str | None = None,
    config_dir: Path | str | None = None,
    config_name: str | None = None,
    runs_dir: Path | str = RUNS,
) -> "Mapping[str, Any]":
    """Draw training pictures as they are and as `level`, or each level, varies them.

    output: a PNG file. See `deliver.augment.augment`.
    """
    from tunewright.deliver.augment import augment as draw

    request = _request(augment, words, config, config_dir, config_name)
    runs = _runs(request, runs_dir)
    return draw(request.recipe, request.composed, level=level, output=_path(output), runs=runs)


def replay(
    run: Path | str,
    *options: str,
    to: str = "mlflow",
    runs_dir: Path | str = RUNS,
    told: "Callable[[Replayed], None] | None" = None,
) -> "list[Replayed]":
    """Push a stored run, or all runs of a study, to a tracker; twice is the same as once.

    options: the tracker's own, as `key=value`. told: called after each run.
    """
    from tunewright.deliver.replay import replay as push

    for option in options:
        if "=" not in option:
            raise UsageError(f"{option!r}", expected="options of the tracker as key=value")
    given = dict(option.split("=", 1) for option in options)
    return push(run, to=to, options=given, runs=Path(runs_dir), told=told)


def show(
    *words: str,
    config: Path | str | None = None,
    config_dir: Path | str | None = None,
    config_name: str | None = None,
) -> Composed:
    """The composed configuration, and where each value came from."""
    return _request(show, words, config, config_dir, config_name).composed


def space(
    *words: str,
    recipe: str | None = None,
    config_dir: Path | str | None = None,
    config_name: str | None = None,
) -> "tuple[Space, list[str]]":
    """What would be searched, checked against the recipe and its data; and what was changed."""
    from tunewright.search.prepare import checked_space, stage

    words = (*([recipe] if recipe else []), *words)
    request = _request(space, words, None, config_dir, config_name)
    tree, config = stage(request.recipe, request.composed, "explore")
    found, notices = checked_space(request.recipe, request.composed, tree, config, request.space)
    return found, [*request.composed.notices, *notices]


def _of_study(**given: Any) -> dict[str, Any]:
    """Keywords of a study as settings by path."""
    return {f"study.{name}": value for name, value in given.items()}


def _study_request(
    command: Callable[..., Any],
    words: tuple[Any, ...],
    space: Mapping[str, Any] | Path | str | None,
    configs: tuple[Path | str | None, Path | str | None, str | None],
    settings: Mapping[str, Any],
    goal: str | Sequence[str] | None,
    steps: int | None,
    otherwise: Callable[[], Files] | None = None,
) -> Request:
    """Words or a function, with a space; UsageError for keywords that only the other one has."""
    settings = {**settings, "goal": goal}
    if words and callable(words[0]):
        if any(given is not None for given in configs):
            raise UsageError("a function and a configuration file", expected="one of them")
        return function_request(words, space, {**settings, "training.epochs": steps})
    if steps is not None:
        raise UsageError(
            f"steps={steps} with a recipe", expected="training.epochs=... among the words"
        )
    return _request(command, words, *configs, space, settings, otherwise)


def _resumed(run: Path, words: tuple[str, ...], runs: Path, watch: "Watch | None") -> "Trained":
    from tunewright.search.resume import resume, stopped_run

    folder = stopped_run(run, runs)
    before = understand((), command="train", config=folder.config)
    wanted = resuming(words, folder.config)
    return resume(before.recipe, wanted.composed, folder, before=before.composed.tree, watch=watch)


def _runs(request: Request, given: Path | str) -> Path:
    """The folder of all runs, which a guide's own flag may name."""
    if request.runs is not None and Path(given) != RUNS:
        raise UsageError(f"{request.runs} and --runs-dir {given}", expected="one folder of runs")
    return request.runs or Path(given)


def _files_of(study: str | None, space: Mapping[str, Any] | Path | str | None, runs: Path) -> Files:
    """The configuration and the space of a study, as if they had been typed."""
    if study is None:
        return Files()
    from tunewright.search.source import files_of

    trees, reserved = files_of(study, runs)
    return Files(trees if space is None else trees[:1], reserved)


def _request(
    command: Callable[..., Any],
    words: tuple[str, ...],
    config: Path | str | None,
    config_dir: Path | str | None,
    config_name: str | None,
    space: Mapping[str, Any] | Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    otherwise: Callable[[], Files] | None = None,
) -> Request:
    parameters = inspect.signature(command).parameters.values()
    named = [p.name.rstrip("_").replace("_", "-") for p in parameters if p.kind is p.KEYWORD_ONLY]
    options = ["import" if name == "imports" else name for name in named]
    return understand(
        words,
        command=command.__name__.replace("_", "-"),
        options=[option for option in options if option not in NOT_TYPED],
        settings=settings,
        config=_path(config),
        space=space if isinstance(space, Mapping) else _path(space),
        config_dir=_path(config_dir),
        config_name=config_name,
        otherwise=otherwise,
    )


def _run_and_views(
    run: Path | str | None, words: tuple[str, ...]
) -> tuple[Path | str | None, dict[str, str]]:
    """Which word is the run, and the others as settings of views, as typed."""
    if isinstance(run, str) and run.startswith("tta.") and "=" in run:
        words = (run, *words)
        run = None
    for word in words:
        if "=" not in word:
            raise UsageError(f"{word!r}", expected="one run, then words such as tta.rotate=5")
        if not word.startswith("tta."):
            raise UsageError(
                f"{word!r}",
                expected="tta.hflip, tta.vflip, tta.rotate, tta.brightness or tta.mean",
                remedy="A run has its settings from its training.",
            )
    return run, dict(word.split("=", 1) for word in words)


@contextmanager
def _telling(told: "Told | None") -> "Iterator[Told]":
    """What is told, else standard error, wiped at the end."""
    if told is not None:
        yield told
        return
    from tunewright.deliver.saying import Saying

    with Saying() as saying:
        yield saying


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)
