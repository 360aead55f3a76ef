"""Turns the arguments of a call into a request: words, files, and keywords for overrides."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.classification.inference.tta_views import NAMES, Views, read_views
from tunewright.cli.command import option_names
from tunewright.cli.options import RUNS
from tunewright.errors import UsageError, did_you_mean
from tunewright.recipes.recipe import Recipe
from tunewright.recipes.registry import find_recipe, recipe_names
from tunewright.request import (
    ParsedRequest,
    bind_reachable,
    parse_function_request,
    parse_request,
    refuse_files,
)
from tunewright.runs.record import Trial
from tunewright.typed_arguments import Configs, FileArguments

if TYPE_CHECKING:
    from tunewright.search.reporting.study_view import StudyView

GivenSpace = Mapping[str, Any] | Path | str | None


def runs_of(request: ParsedRequest, given: Path | str) -> Path:
    """Return the folder of all runs, which a flag of a guide may set."""
    own, typed = request.runs, Path(given)
    if own is not None and typed != RUNS and typed.absolute() != own.absolute():
        raise UsageError(f"{own} and --runs-dir {given}", expected="one folder of runs")
    return own or typed


def request_of(
    command: Callable[..., Any],
    words: Sequence[Any],
    configs: Configs,
    space: GivenSpace = None,
    settings: Mapping[str, Any] | None = None,
    otherwise: Callable[[], FileArguments] | None = None,
) -> ParsedRequest:
    """Return the request that `command`, a function of this package, was called with.

    Raises as `request.parse_request` does, with the options of `command` as what was expected.
    """
    return parse_request(
        [str(word) for word in words],
        command=command.__name__.replace("_", "-"),
        options=option_names(command),
        settings=settings,
        configs=configs,
        space=space if isinstance(space, Mapping) else path_of(space),
        otherwise=otherwise,
    )


def study_request(
    command: Callable[..., Any],
    words: Sequence[Any],
    configs: Configs,
    space: GivenSpace,
    settings: Mapping[str, Any],
    origins: Sequence[str],
    runs_dir: Path | str,
) -> ParsedRequest:
    """Return the request for words or for a function; UsageError for keywords of the other.

    The first word may name a study, which then goes on; see `resumed_request`.

    settings: values by config path; `training.epochs` may be set for a function only. origins: the
    studies that `from_` names; configuration and space of the first one hold where no recipe or
    file is named.
    """
    if words and callable(words[0]):
        if any(given is not None for given in configs):
            raise UsageError("a function and a configuration file", expected="one of them")
        return parse_function_request(words, space, settings)
    study, others = _study_among(words, Path(runs_dir))
    if study is not None:
        return resumed_request(command, study, others, configs, space, settings, runs_dir)
    if (steps := settings["training.epochs"]) is not None:
        raise UsageError(
            f"steps={steps} with a recipe", expected="training.epochs=... among the words"
        )
    files = partial(_files_of, origins[0] if origins else None, space, Path(runs_dir))
    return request_of(command, words, configs, space, settings, files)


def resumed_request(
    command: Callable[..., Any],
    study: str,
    words: Sequence[Any],
    configs: Configs,
    space: GivenSpace,
    settings: Mapping[str, Any],
    runs_dir: Path | str,
) -> ParsedRequest:
    """Return the request to go on with a study as its folder describes it, with the overrides.

    study: its name or folder. Raises UsageError for words and options that name another study or
    configuration, and what `find_stopped_study` raises.
    """
    from tunewright.search.resume import find_stopped_study

    stopped = find_stopped_study(study, Path(runs_dir))
    if any(configs) or settings["study.name"] is not None or settings["training.epochs"]:
        raise UsageError(
            f"the study {study} with another option that names it or its configuration",
            expected="the study alone, which has both",
            remedy="For a new study that begins at its best configuration: tunewright tune --from "
            f"{shlex.quote(study)} --name NEW.",
        )
    refuse_files([str(word) for word in words], "the study", recipe=True)
    stored = FileArguments([(stopped.folder.settings, stopped.tree)], stopped.reserved)
    request = request_of(command, words, configs, space, settings, lambda: stored)
    return replace(request, runs=stopped.runs)


def trial_request(
    command: Callable[..., Any],
    trial: int,
    words: Sequence[Any],
    configs: Configs,
    runs_dir: Path | str,
) -> tuple[ParsedRequest, str]:
    """Return the request to train a trial of a study in full, and the name of its run.

    The first of `words` is the study; overrides may follow. Raises UsageError where it is none, and
    what `StudyView.trial` and `StudyView.configure` raise.
    """
    from tunewright.search.read_study import read_study

    study, others = _study_among(words, Path(runs_dir))
    if study is None or any(configs):
        raise UsageError(
            f"--trial {trial} without a study" if study is None else f"--trial {trial} and a file",
            expected=f"a study and its trial: tunewright {command.__name__} STUDY --trial {trial}",
        )
    refuse_files([str(word) for word in others], "the study", recipe=True)
    view = read_study(study, runs=Path(runs_dir))
    found = view.trial(trial)
    request = request_of_trial(command, view, found, others)
    assert view.folder is not None  # it was configured from it
    path = view.folder.path.absolute()
    score = "" if found.score is None else f" with {view.record.goal} = {found.score:.4g}"
    notice = f"trial {trial} of {view.record.name!r} ({found.state}{score} in the search), in full"
    composed = replace(request.composed, notices=(notice, *request.composed.notices))
    request = replace(request, composed=composed, runs=path.parent)
    return request, f"{path.name}-trial-{trial}"


def study_and_overrides(
    command: Callable[..., Any], study: str | Path | None, words: Sequence[str]
) -> tuple[str | None, Sequence[str]]:
    """Return a study and the overrides after it; the first word may be an override already.

    Raises UsageError for an option that `command` does not have, before the study.
    """
    if str(study).startswith("-"):
        options = [f"--{name}" for name in option_names(command)]
        raise UsageError(
            f"{study} before the study",
            expected=f"the study first, or one of {', '.join(options)}",
            remedy=did_you_mean(str(study), options),
        )
    if study is None or ("=" in str(study) and not Path(study).exists()):
        return None, (*([] if study is None else [str(study)]), *words)
    return str(study), words


def request_of_trial(
    command: Callable[..., Any],
    view: "StudyView",
    trial: Trial,
    words: Sequence[Any],
    settings: Mapping[str, Any] | None = None,
    sections: Sequence[str] = (),
) -> ParsedRequest:
    """Return the request to train a trial of a study in full, with overrides.

    sections: of the study's configuration that hold as well. Raises as `StudyView.configure` and
    `request_of` do.
    """
    tree = view.configure(trial)
    assert view.folder is not None  # it was configured from it
    assert view.configuration is not None
    tree |= {name: view.configuration[name] for name in sections}
    stored = FileArguments([(view.folder.trial(trial.number).config, tree)])
    return request_of(command, words, Configs(), settings=settings, otherwise=lambda: stored)


def audit_request(
    command: Callable[..., Any],
    view: "StudyView",
    words: Sequence[Any],
    function: Callable[..., Any] | None,
) -> tuple[Recipe, Callable[[Trial], ParsedRequest]]:
    """Return the recipe of a study, and what gives the request to train one of its trials in full.

    function: that of a study of a Python function. Raises UsageError where there is none, or one
    too many, and for trials that name their own parameters.
    """
    refuse_files([str(word) for word in words], "the study", recipe=True)
    recipe, settings = find_recipe(view.record.recipe), dict[str, Any]()
    if (recipe.name == "function") is (function is None):
        place = view.record.name if view.folder is None else str(view.folder.path)
        raise UsageError(
            f"the study {view.record.name!r} of a Python function, and no function"
            if function is None
            else f"a function for a study of the recipe {recipe.name}",
            expected="the function in a call in Python, since no file names code to import"
            if function is None
            else "a study of that function",
            remedy=f"From Python: tunewright.audit({place!r}, function=FUNCTION). Without "
            "training, the epochs of its trials are compared with --curves."
            if function is None
            else "Leave function= out.",
        )
    if function is not None:
        if view.define_by_run:
            raise UsageError(
                f"the trials of {view.record.name!r} name their own parameters while they run",
                expected="a study with a space, whose configurations can be trained again",
                remedy="Compare the epochs of its trials: --curves.",
            )
        recipe, settings = bind_reachable(function)

    def request(trial: Trial) -> ParsedRequest:
        return request_of_trial(command, view, trial, words, settings, ("executor", "study"))

    return recipe, request


def path_of(given: Path | str | None) -> Path | None:
    """Return a path that may be given as text."""
    return None if given is None else Path(given)


def run_and_views(
    run: Path | str | None, words: Sequence[str], *, tta: bool, views: str | Sequence[str]
) -> tuple[Path | str | None, Views]:
    """Return the run among the words, and the views: `tta.rotate=5`, or `rotate=5` for short."""
    if isinstance(run, str) and _is_view(run):
        words = (run, *words)
        run = None
    for word in words:
        if not _is_view(word):
            raise UsageError(
                f"{word!r}",
                expected="one run, then views: " + ", ".join(f"tta.{name}" for name in NAMES),
                remedy="The other settings of a run come from its training.",
            )
    return run, read_views(tta=tta, named=views, words=dict(word.split("=", 1) for word in words))


def run_pictures_and_views(
    run: Path | str | None,
    words: Sequence[Path | str],
    *,
    tta: bool,
    views: str | Sequence[str],
) -> tuple[Path | str | None, tuple[Path, ...], Views]:
    """Return the run, the single pictures and the views among the words.

    The first word is a picture, and the run the newest, where it has the suffix of a picture.
    Raises DataError for a picture that does not exist.
    """
    from tunewright.images.sources.picture_files import find_pictures, names_pictures
    from tunewright.runs.regular_files import exists

    if run is not None and names_pictures(str(run)):
        words, run = (run, *words), None
    pictures = [str(word) for word in words if names_pictures(str(word))]
    others = [str(word) for word in words if not names_pictures(str(word))]
    if places := [word for word in others if not _is_view(word) and exists(word)]:
        raise UsageError(
            f"{places[0]!r} beside the run",
            expected="pictures such as photo.jpg or 'photos/*.jpg', or views",
            remedy=f"A folder, zip or table is predicted with --data {places[0]}.",
        )
    run, chosen = run_and_views(run, others, tta=tta, views=views)
    return run, tuple(find_pictures(pictures)), chosen


def _is_view(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and (name.startswith("tta.") or name in NAMES)


def _study_among(words: Sequence[Any], runs: Path) -> tuple[str | None, Sequence[Any]]:
    """Return the study that the first word names in place of a recipe or file; and the others."""
    first = next((word for word in map(str, words) if "=" not in word and word[:1] not in "-~"), "")
    if not first or first in recipe_names():
        return None, words
    from tunewright.search.read_study import is_study

    if not is_study(first, runs):
        return None, words
    return first, [word for word in words if str(word) != first]


def _files_of(study: str | None, space: GivenSpace, runs: Path) -> FileArguments:
    """Return the configuration and the space of a study, as if they had been typed."""
    if study is None:
        return FileArguments()
    from tunewright.search.transfer.sources import files_of

    trees, reserved = files_of(study, runs)
    return FileArguments(trees if space is None else trees[:1], reserved)
